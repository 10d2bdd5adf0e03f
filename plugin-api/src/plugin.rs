//! The traits that an author implements: [`Plugin`] (one value per process) and [`Handler`] (one value per actor).
//! `bindings!` generates further traits from WIT.

use std::future::Future;

use serde_json::Value;
use theater_encoding::{Reader, uuid_text};
use theater_plugin_abi::{Answer, CallContext};

use crate::abi::host_handle::Host;
use crate::result_buffer::{Pending, ResultBuffer};

/// A plugin: one value per process.
///
/// The core calls the methods on any thread of its executor, concurrently for different actors. They must not block. A
/// panic is caught and becomes the error of one actor.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// This plugin's side of one actor.
    type Handler: Handler;

    /// Initialises the plugin.
    ///
    /// Called once per process, before any other method, on the thread that starts the first actor with this plugin:
    /// one of the executor's threads if another actor starts it. Listing plugins does not call it. Must not block.
    ///
    /// # Errors
    /// A sentence on what is missing. Every actor with this plugin then fails to start with it.
    fn init(host: Host) -> Result<Self, String>;

    /// Creates the handler of one actor.
    ///
    /// Called for each `[[handlers]]` entry each time the actor starts or restarts, before the actor's `init`.
    /// `attachment.config` has been checked against the schema. The actor does not accept calls yet, only from
    /// [`Handler::started`] on.
    ///
    /// # Errors
    /// A sentence. The start of the actor fails with it.
    fn attach(&self, host: Host, attachment: Attachment) -> impl Future<Output = Result<Self::Handler, String>> + Send;

    /// Returns the part of `requested` (an actor's config) that `ceiling` (its parent's permissions) allows.
    ///
    /// The core calls it when it first starts an actor with this combination of manifest and ceiling, and for `theater
    /// validate`. It must be pure. A ceiling of `Value::Null` allows everything; a request of `Value::Null` means that
    /// the manifest has no config. The default grants the request if there is no ceiling or the two are equal, and
    /// otherwise nothing.
    ///
    /// # Errors
    /// A sentence on why the two do not match.
    fn narrow(&self, _handler_type: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        Ok(crate::narrow::equal_only(ceiling, requested))
    }

    /// Reads the data that a URL with one of this plugin's `schemes` names.
    ///
    /// Called for a URL in the manifest of an actor that an operator starts (`actor` is then empty) or that the actor
    /// with the id `actor` starts. `ceiling` is the requester's permission for this plugin, as in [`Plugin::narrow`]:
    /// data that it does not allow must not be read.
    ///
    /// # Errors
    /// A sentence that contains the URL.
    fn resolve(
        &self,
        url: &str,
        _actor: &str,
        _ceiling: &Value,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send {
        let refusal = format!("{url}: this plugin resolves no URLs");
        async move { Err(refusal) }
    }

    /// Whether the core calls [`Plugin::forget`].
    const FORGETS: bool = false;

    /// Removes the data of an actor that has ended for good, such as its files.
    ///
    /// Neither the actor's parent nor the program will start it again under this id, and its handlers have been
    /// released. Called once for each such actor while this plugin is in use, even if the actor did not use it; not
    /// called when the program ends.
    ///
    /// # Errors
    /// A sentence for the log.
    fn forget(&self, _actor: &str) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Runs an operator's command: one of this plugin's `commands`.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn command(&self, name: &str, arguments: Value) -> impl Future<Output = Result<Value, String>> + Send {
        let refusal = format!("there is no command {name}");
        drop(arguments);
        async move { Err(refusal) }
    }
}

/// The configuration of a new handler.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// The plugin's handler type that the manifest names.
    pub handler_type: String,
    /// The effective config: that of the manifest, narrowed by the ceiling.
    pub config: Value,
    /// The parent's permissions; `Null` means everything.
    pub ceiling: Value,
}

impl Attachment {
    /// Deserialises the config; no config counts as `{}`.
    ///
    /// # Errors
    /// The error of serde.
    pub fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        let config = if self.config.is_null() { Value::Object(serde_json::Map::new()) } else { self.config.clone() };
        serde_json::from_value(config).map_err(|error| error.to_string())
    }
}

/// A plugin's handler of one actor: it holds all state that belongs to the actor.
///
/// Methods run on any thread of the core's executor and must not block it. The functions that the actor calls run one
/// at a time, because an actor processes one call at a time; `started`, `stopped` and spawned futures may run
/// concurrently with them. A panic is caught and becomes the error of the actor.
pub trait Handler: Send + Sync + 'static {
    /// The actor is ready and accepts calls, so this is where work that calls it begins.
    ///
    /// Called once per attach, after the actor's `init`. Returns the addresses that the handler listens on, for the
    /// log.
    ///
    /// # Errors
    /// A sentence. The start of the actor fails with it.
    fn started(&self, _resumed: bool) -> impl Future<Output = Result<Vec<String>, String>> + Send {
        async { Ok(Vec::new()) }
    }

    /// The actor makes no more calls.
    ///
    /// Called once per attach, before the handler is dropped. Futures that were spawned through the host are dropped
    /// right after it returns.
    fn stopped(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// Returns the state that a snapshot stores to restore this handler.
    ///
    /// Called between two calls of the actor, every `snapshot_every` events.
    ///
    /// # Errors
    /// A sentence. No snapshot is taken, and the core tries again after another `snapshot_every` events.
    fn export_state(&self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    /// Restores the state that [`Handler::export_state`] returned.
    ///
    /// Called at most once, after `attach` and before `started(resumed = true)`.
    ///
    /// # Errors
    /// A sentence. The actor does not resume.
    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        if state.is_empty() { Ok(()) } else { Err("this handler keeps no state".to_owned()) }
    }

    /// Rebuilds the handler's state from a recorded call, without repeating an effect.
    ///
    /// Called before `started(resumed = true)`, in recorded order, for each function that the actor called after the
    /// snapshot and for each export that this plugin called or had queued. Exports appear at the position at which they
    /// were queued; those that were still queued at the snapshot are included.
    ///
    /// # Errors
    /// A sentence. The actor does not resume.
    fn recover(&self, _call: Recovered<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// A recorded call, for [`Handler::recover`].
#[derive(Debug, Clone, Copy)]
pub struct Recovered<'a> {
    /// `package:name/interface/function`.
    pub function: &'static str,
    /// Whether it is an export of the actor that this plugin called, rather than a function of this plugin.
    pub is_export: bool,
    /// The encoded arguments.
    pub arguments: &'a [u8],
    /// The encoded result. For an export it is `option<result<(values after the state), ()>>`: none if the call has not
    /// returned and runs once the actor is ready, an error if it did not return `ok`.
    pub result: &'a [u8],
}

/// The call of an actor that a function is executed for.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Call {
    pub(crate) context: CallContext,
}

impl Call {
    /// The id of the calling actor, as text.
    #[must_use]
    pub fn actor(&self) -> String {
        uuid_text(&self.context.actor)
    }
    /// The idempotency key of this host call: ASCII text that is unique to the call and stays the same when the call is
    /// retried after a crash. An `idempotent` function passes it on to the system that it changes.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}-{}", self.actor(), self.context.call, self.context.host_call)
    }
    /// All that the core passes about the call.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        &self.context
    }
    /// Whether the actor was being stopped when it made the call. For a stop during the call, await
    /// [`Host::cancelled`].
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.context.cancelled != 0
    }
    /// The deadline of the running call in milliseconds since the epoch, if it has one.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        (self.context.deadline_ms != 0).then_some(self.context.deadline_ms)
    }
}

/// Calls the author's methods by function number. `bindings!` implements it.
pub trait Dispatch: Handler {
    /// Calls a function that is not async and stores its result in `place`.
    fn dispatch_sync(&self, call: &Call, function: u32, arguments: Reader<'_>, place: &mut ResultBuffer<'_>);
    /// Starts an async function and polls it once. Returns `None` if it has returned; its result is then in `place`.
    ///
    /// The future may borrow the handler and the call: the core keeps both unchanged until it has dropped the future.
    fn dispatch<'a>(
        &'a self,
        call: &'a Call,
        function: u32,
        arguments: Reader<'_>,
        place: &mut ResultBuffer<'_>,
    ) -> Option<Pending<'a>>;
    /// The name of a function: `package:name/interface/function`.
    fn function_name(function: u32) -> &'static str;
    /// The name of an export that the plugin calls: `package:name/interface/function`.
    fn export_name(_export: u32) -> &'static str {
        ""
    }
}

/// The answer to a function number that the descriptor does not have.
#[doc(hidden)]
#[must_use]
pub fn no_such_function(function: u32) -> Answer {
    Answer::error(format!("the plugin has no function number {function}"))
}

/// The answer to arguments that do not have the types of the function's parameters.
#[doc(hidden)]
#[must_use]
pub fn bad_arguments(error: &theater_encoding::EncodingError) -> Answer {
    Answer::error(format!("the arguments do not decode: {error}"))
}
