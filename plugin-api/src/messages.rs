//! Delivers calls from another actor or from outside to an actor: service `theater.messages`.
//!
//! `bindings!` generates a function that creates an [`Invocation`] for each called export
//! (`invoke_handle_send(&message)`). The methods here deliver it to the actor that the host belongs to:
//!
//! | method | returns when | result of the call |
//! |---|---|---|
//! | [`Host::invoke`] | the call has returned | is returned |
//! | [`Host::post`] | the call has been recorded and queued | is discarded |
//! | [`Host::stage`] | the mailbox has room; the call is recorded and queued with the sender's own event | is discarded |

use serde::de::DeserializeOwned;
use theater_plugin_abi::{Answer, OK};

use crate::abi::host_handle::Host;
use crate::call_error::{CallError, result_of};
use crate::plugin::Call;

/// A call of an actor's export that returns an `R`.
pub struct Invocation<R> {
    number: u32,
    params: Vec<u8>,
    unpack: fn(&Answer) -> Result<R, CallError>,
}

/// Creates an [`Invocation`]; for code that `bindings!` generates.
#[doc(hidden)]
#[must_use]
pub fn invocation<R>(number: u32, params: Vec<u8>, unpack: fn(&Answer) -> Result<R, CallError>) -> Invocation<R> {
    Invocation { number, params, unpack }
}

/// The values that an export returns after its state; for code that `bindings!` generates.
#[doc(hidden)]
pub fn values<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    result_of(answer)
}

impl Host {
    /// Calls an export and returns its result. `source` describes the origin of the call in a few words; `from` is the
    /// other actor's call that this call is part of. Both are recorded.
    ///
    /// # Errors
    /// Every case of [`CallError`].
    pub async fn invoke<R>(&self, call: Invocation<R>, source: &str, from: Option<&Call>) -> Result<R, CallError> {
        let answer = match from {
            None => self.raw_call(call.number, &call.params, source),
            Some(from) => self
                .raw_call_from(call.number, &call.params, source, from.context())
                .map_err(|answer| refused(&answer))?,
        };
        (call.unpack)(&answer.await)
    }

    /// Queues a call and returns once it is recorded. It waits for room in the mailbox, unless `first` is set: the call
    /// then precedes all queued calls and takes no room. Use this for notices that must not be lost, such as the end of
    /// a child.
    ///
    /// # Errors
    /// [`CallError::Gone`] if the actor is ending, [`CallError::Absent`] if it does not export the function.
    pub async fn post<R>(
        &self,
        call: Invocation<R>,
        source: &str,
        from: Option<&Call>,
        first: bool,
    ) -> Result<(), CallError> {
        let context = from.map_or(std::ptr::null(), |from| std::ptr::from_ref(from.context()));
        let posted = self.raw_post(call.number, &call.params, source, context, first);
        done(&posted.map_err(|answer| refused(&answer))?.await)
    }

    /// Waits for room in the mailbox, then attaches the call to the running host call `from`. The core queues the call
    /// when the plugin has answered `from`, and records both in one step, so that a crash cannot leave a received
    /// message that was never sent. `otherwise` is the encoded result of `from` if this actor has ended by then.
    ///
    /// # Errors
    /// As [`Host::post`].
    pub async fn stage<R>(
        &self,
        call: Invocation<R>,
        source: &str,
        from: &Call,
        otherwise: &[u8],
    ) -> Result<(), CallError> {
        let staged = self.raw_stage(call.number, &call.params, source, from.context(), otherwise);
        done(&staged.map_err(|answer| refused(&answer))?.await)
    }

    /// The id of the running actor that `wanted` names: by its id, a unique prefix of the id (at least 4 characters),
    /// or a name that only one running actor has. The host of a plugin itself supports it too.
    ///
    /// # Errors
    /// A sentence: no running actor, or more than one, matches.
    pub fn find(&self, wanted: &str) -> Result<String, String> {
        let answer = self.raw_find(wanted).map_err(|answer| answer.sentence())?;
        if answer.status == OK { Ok(answer.sentence()) } else { Err(answer.sentence()) }
    }
}

fn refused(answer: &Answer) -> CallError {
    CallError::Gone(answer.sentence())
}

/// The outcome of a call whose result is discarded.
fn done(answer: &Answer) -> Result<(), CallError> {
    if answer.status == OK { Ok(()) } else { result_of(answer) }
}
