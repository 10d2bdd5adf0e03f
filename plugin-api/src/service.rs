//! Services: what was added to the ABI by name.
//!
//! A service is a frozen `#[repr(C)]` table whose functions take the `this` of the object it was asked from. A new
//! function is a new service, or the same name with a new minor whose table starts with the old one's fields.
//!
//! | id | since | offered by | table |
//! |---|---|---|---|
//! | `theater.chain` | 1.0 | core, on an actor's host | [`ChainService`] |
//! | `theater.lifecycle` | 1.0 | core, on an actor's host | [`LifecycleService`] |

use async_ffi::FfiFuture;

use crate::abi::{Answer, Slice};

/// Id of [`ChainService`].
pub const SERVICE_CHAIN: &str = "theater.chain";
/// Id of [`LifecycleService`].
pub const SERVICE_LIFECYCLE: &str = "theater.lifecycle";

/// Reads the actor's own chain.
#[repr(C)]
pub struct ChainService {
    /// The newest `most` events, oldest first, encoded as `list<chain-event>` of `theater:simple/types`.
    pub newest: unsafe extern "C" fn(this: *const (), most: u64) -> FfiFuture<Answer>,
}

/// Ends the actor.
#[repr(C)]
pub struct LifecycleService {
    /// The running call finishes, then the actor stops with `data` (none when `some` is false). An error when it is
    /// stopping already.
    pub shutdown: unsafe extern "C" fn(this: *const (), some: bool, data: Slice) -> Answer,
}
