//! Bringing an actor what another one, or the outside, has for it: service `theater.messages`.
//!
//! `bindings!` makes an [`Invocation`] of each called export (`invoke_handle_send(&message)`); the methods here bring it to
//! the actor of the host they are called on. Which of them:
//!
//! | method | ends when | its result |
//! |---|---|---|
//! | [`Host::invoke`] | the call has returned | what it returned |
//! | [`Host::post`] | the call is recorded and waits in the mailbox | goes to nobody |
//! | [`Host::stage`] | there is a place in the mailbox; it is recorded and queued with the sender's own event | goes to nobody |

use serde::de::DeserializeOwned;
use theater_plugin_abi::{Answer, OK};

use crate::abi::host_handle::Host;
use crate::call_error::{CallError, result_of};
use crate::plugin::Call;

/// A call of an actor's export that gives an `R`.
pub struct Invocation<R> {
    number: u32,
    params: Vec<u8>,
    unpack: fn(&Answer) -> Result<R, CallError>,
}

/// What `bindings!` makes an [`Invocation`] with.
#[doc(hidden)]
#[must_use]
pub fn invocation<R>(number: u32, params: Vec<u8>, unpack: fn(&Answer) -> Result<R, CallError>) -> Invocation<R> {
    Invocation { number, params, unpack }
}

/// What a function returns behind its state, as `bindings!` unpacks it.
#[doc(hidden)]
pub fn values<T: DeserializeOwned>(answer: &Answer) -> Result<T, CallError> {
    result_of(answer)
}

impl Host {
    /// Calls an export and waits for its end. `source` says in a few words where the call comes from; `from` is the call
    /// of the other actor that it is made from. Both are recorded.
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

    /// Queues a call and ends once it is recorded. It waits for a place in the mailbox, unless `first` says that it goes
    /// before all that waits and takes no place: for news that must not be lost, as a child's death.
    ///
    /// # Errors
    /// [`CallError::Gone`] when the actor is ending, [`CallError::Absent`] when it does not export the function.
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

    /// Waits for a place in the mailbox, then leaves the call with `from`, the host call that is running: the core queues
    /// it when the plugin has answered, recorded in one step with that answer. So after a crash nobody has received what
    /// nobody sent. `otherwise` is the host call's encoded result if this actor has ended by then.
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

    /// The id of the living actor that `wanted` stands for: an id, a unique start of one (4 characters or more), or a name
    /// that one living actor has. Works on a plugin's own host too.
    ///
    /// # Errors
    /// A sentence when nobody, or more than one, is meant.
    pub fn find(&self, wanted: &str) -> Result<String, String> {
        let answer = self.raw_find(wanted).map_err(|answer| answer.sentence())?;
        if answer.status == OK { Ok(answer.sentence()) } else { Err(answer.sentence()) }
    }
}

fn refused(answer: &Answer) -> CallError {
    CallError::Gone(answer.sentence())
}

/// The end of a call whose result goes to nobody.
fn done(answer: &Answer) -> Result<(), CallError> {
    if answer.status == OK { Ok(()) } else { result_of(answer) }
}
