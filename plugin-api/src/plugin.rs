//! What an author implements: [`Plugin`] once, [`Handler`] for each actor, and the traits `bindings!` makes of WIT.

use std::future::Future;

use serde_json::Value;
use theater_plugin_abi::{Answer, CallContext};

use crate::abi::host_handle::Host;
use crate::encoding::{Reader, uuid_text};
use crate::result_buffer::{Pending, ResultBuffer};

/// A plugin: one value per process, made at start.
///
/// The core calls it; all methods may run on any thread of the core's executor, at the same time for different actors.
/// None may block. A panic in any of them is caught and becomes one actor's error.
pub trait Plugin: Send + Sync + Sized + 'static {
    /// This plugin's side of one actor.
    type Handler: Handler;

    /// Makes the plugin. Called once per process, before any other method, on the thread that starts the first actor that
    /// names it: for an actor that another one starts, one of the executor's. Must not block, nor do what an operator who
    /// merely lists plugins would not expect (listing does not call it).
    ///
    /// # Errors
    /// A sentence on what is missing: every actor that names this plugin then fails to start with it.
    fn init(host: Host) -> Result<Self, String>;

    /// Makes the handler of one actor. Called once per `[[handlers]]` entry each time the actor starts or restarts,
    /// before the actor's `init`; `attachment.config` has been checked against the schema. Calls into the actor are
    /// accepted from [`Handler::started`] on, not here.
    ///
    /// # Errors
    /// A sentence: the actor's start fails with it.
    fn attach(&self, host: Host, attachment: Attachment) -> impl Future<Output = Result<Self::Handler, String>> + Send;

    /// The part of `requested` (an actor's config) that `ceiling` (its parent's) allows. Called by the core when
    /// an actor starts with a manifest and ceiling that none had before, and by `theater validate`; must be pure.
    /// `Value::Null` as ceiling is "everything", as requested "nothing was said". The default grants the request where there is no ceiling, and else only what is equal to it.
    ///
    /// # Errors
    /// A sentence on why the two do not fit.
    fn narrow(&self, _handler_type: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        Ok(crate::narrow::equal_only(ceiling, requested))
    }

    /// Reads what a URL of one of this plugin's `schemes` names. Called when such a URL stands in the manifest of an actor
    /// that an operator starts (then `actor` is empty), or when the actor with the id `actor` starts another from one.
    /// `ceiling` is what whoever asks may grant of this plugin's config, as in [`Plugin::narrow`]: what it does not allow
    /// must not be read.
    ///
    /// # Errors
    /// A sentence with the URL in it.
    fn resolve(
        &self,
        url: &str,
        _actor: &str,
        _ceiling: &Value,
    ) -> impl Future<Output = Result<Vec<u8>, String>> + Send {
        let refusal = format!("{url}: this plugin resolves no URLs");
        async move { Err(refusal) }
    }

    /// Whether [`Plugin::forget`] does anything, and so is called at all.
    const FORGETS: bool = false;

    /// An actor has ended for good: neither its parent nor the program will start it again under this id, and none of its
    /// handlers is left. Called once for each such actor while this plugin is in use, whether the actor named it or not;
    /// not when the program ends. The place to remove what an actor left outside, as files.
    ///
    /// # Errors
    /// A sentence for the log.
    fn forget(&self, _actor: &str) -> impl Future<Output = Result<(), String>> + Send {
        async { Ok(()) }
    }

    /// Runs an operator's command, one of this plugin's `commands`.
    ///
    /// # Errors
    /// A sentence for the operator.
    fn command(&self, name: &str, arguments: Value) -> impl Future<Output = Result<Value, String>> + Send {
        let refusal = format!("there is no command {name}");
        drop(arguments);
        async move { Err(refusal) }
    }
}

/// What a handler is made from.
#[derive(Debug, Clone)]
pub struct Attachment {
    /// Which of the plugin's handler types the manifest names.
    pub handler_type: String,
    /// The effective config: the manifest's, narrowed by the ceiling.
    pub config: Value,
    /// What the parent has; `Null` = everything.
    pub ceiling: Value,
}

impl Attachment {
    /// The config as a type of the author's.
    ///
    /// # Errors
    /// What serde says about the first thing that does not fit.
    pub fn config<T: serde::de::DeserializeOwned>(&self) -> Result<T, String> {
        let config = if self.config.is_null() { Value::Object(serde_json::Map::new()) } else { self.config.clone() };
        serde_json::from_value(config).map_err(|error| error.to_string())
    }
}

/// One plugin's side of one actor: all state that belongs to the actor lives here.
///
/// Methods may run on any thread of the core's executor, and must not block it; the functions the actor calls run one at a
/// time, since an actor does one thing at a time, but `started`, `stopped` and what was spawned may run beside them. A panic
/// in any of them is caught and becomes the actor's error.
pub trait Handler: Send + Sync + 'static {
    /// The actor is ready. Called once per attach, after the actor's `init`. From now on calls into it are accepted, so
    /// this is where work that calls it begins. Returns the addresses it listens on, for the ready line.
    ///
    /// # Errors
    /// A sentence: the start fails with it.
    fn started(&self, _resumed: bool) -> impl Future<Output = Result<Vec<String>, String>> + Send {
        async { Ok(Vec::new()) }
    }

    /// The actor makes no more calls. Called once per attach, before the handler is dropped. What was spawned through
    /// the host ends right after it.
    fn stopped(&self) -> impl Future<Output = ()> + Send {
        async {}
    }

    /// What a snapshot has to keep to make this handler again. Called between two calls of the actor, every
    /// `snapshot_every` events.
    ///
    /// # Errors
    /// A sentence: no snapshot is taken, and the next one is tried after as many events again.
    fn export_state(&self) -> Result<Vec<u8>, String> {
        Ok(Vec::new())
    }

    /// What [`Handler::export_state`] gave. Called at most once, after `attach` and before `started(resumed = true)`.
    ///
    /// # Errors
    /// A sentence: the actor does not resume.
    fn import_state(&self, state: &[u8]) -> Result<(), String> {
        if state.is_empty() { Ok(()) } else { Err("this handler keeps no state".to_owned()) }
    }

    /// A call recorded after the snapshot, in order, before `started(resumed = true)`: rebuild what it made, repeat no
    /// effect. These are the functions that the actor called, and the exports that this plugin called or was about to call
    /// (some from before the snapshot, if they waited then): an export stands where it was queued.
    ///
    /// # Errors
    /// A sentence: the actor does not resume.
    fn recover(&self, _call: Recovered<'_>) -> Result<(), String> {
        Ok(())
    }
}

/// A recorded call, for [`Handler::recover`].
#[derive(Debug, Clone, Copy)]
pub struct Recovered<'a> {
    /// `package:name/interface/function`.
    pub function: &'static str,
    /// Whether it is an export of the actor's, called by this plugin, and not a function of this plugin's.
    pub is_export: bool,
    /// The encoded arguments.
    pub arguments: &'a [u8],
    /// The encoded result. Of an export it is `option<result<(values behind the state), ()>>`: none has not ended and runs
    /// once the actor is ready, an error is any end that is not `ok`.
    pub result: &'a [u8],
}

/// The call of an actor that a function answers.
#[derive(Debug, Clone, Copy)]
#[repr(transparent)]
pub struct Call {
    pub(crate) context: CallContext,
}

impl Call {
    /// The calling actor's id as text.
    #[must_use]
    pub fn actor(&self) -> String {
        uuid_text(&self.context.actor)
    }
    /// The idempotency key of this host call: ASCII, unique to the call, and the same when the call is retried after a crash.
    /// An `idempotent` function passes it on to the system that it changes.
    #[must_use]
    pub fn key(&self) -> String {
        format!("{}-{}-{}", self.actor(), self.context.call, self.context.host_call)
    }
    /// Everything the core says about the call.
    #[must_use]
    pub fn context(&self) -> &CallContext {
        &self.context
    }
    /// Whether the actor was being stopped when it made the call; while a call waits, [`Host::cancelled`] tells.
    #[must_use]
    pub fn is_cancelled(&self) -> bool {
        self.context.cancelled != 0
    }
    /// Milliseconds since the epoch at which the running call ends, if it has an end.
    #[must_use]
    pub fn deadline_ms(&self) -> Option<u64> {
        (self.context.deadline_ms != 0).then_some(self.context.deadline_ms)
    }
}

/// From function numbers to the author's methods: `bindings!` implements it.
pub trait Dispatch: Handler {
    /// Calls a function that is not async.
    fn dispatch_sync(&self, call: &Call, function: u32, arguments: Reader<'_>, place: &mut ResultBuffer<'_>);
    /// Starts an async function and polls it once; `None` when it has ended. What is left of it may look at the handler
    /// and at the call, which the core keeps as they are until it has dropped that.
    fn dispatch<'a>(
        &'a self,
        call: &'a Call,
        function: u32,
        arguments: Reader<'_>,
        place: &mut ResultBuffer<'_>,
    ) -> Option<Pending<'a>>;
    /// `package:name/interface/function` of a number.
    fn function_name(function: u32) -> &'static str;
    /// `package:name/interface/function` of the number of an export that the plugin calls.
    fn export_name(_export: u32) -> &'static str {
        ""
    }
}

/// The answer to a function number the descriptor does not have.
#[doc(hidden)]
#[must_use]
pub fn no_such_function(function: u32) -> Answer {
    Answer::error(format!("the plugin has no function number {function}"))
}

/// The answer to arguments that are not what the function takes.
#[doc(hidden)]
#[must_use]
pub fn bad_arguments(error: &crate::encoding::EncodingError) -> Answer {
    Answer::error(format!("the arguments do not decode: {error}"))
}
