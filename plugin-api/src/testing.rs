//! A fake host: tests a plugin without the core, in the plugin's own unit tests (feature `testing`).
//!
//! [`FakeHost`] stands for the core and one actor. It records what the plugin logs, measures and calls, and answers as
//! the test says. [`attach`] makes a handler, [`FakeHost::call`] calls one of its functions through the same encoding and
//! dispatch as the core, and a caught panic is an `Err` as it would be there. It is not the core: it checks no config
//! against the schema, no permissions and no types of exports, and keeps no chain.
//!
//! ```toml
//! [dev-dependencies]
//! theater-plugin-api = { version = "0.1", features = ["testing"] }
//! ```
//!
//! ```standalone_crate
//! use theater_plugin_api::testing::{FakeHost, attach, block_on};
//! use theater_plugin_api::{Attachment, Call, Handler, Host, Plugin};
//!
//! theater_plugin_api::bindings! {
//!     plugin: Variables,
//!     handler: Nothing,
//!     name: "nothing",
//!     wit: "../wit",
//!     provides: { "theater:simple/environment": { "get-var": pure, "list-vars": pure, "exists": pure } },
//! }
//!
//! struct Variables;
//! struct Nothing(Host);
//!
//! impl Plugin for Variables {
//!     type Handler = Nothing;
//!     fn init(_: Host) -> Result<Self, String> {
//!         Ok(Self)
//!     }
//!     async fn attach(&self, host: Host, _: Attachment) -> Result<Nothing, String> {
//!         Ok(Nothing(host))
//!     }
//! }
//! impl Handler for Nothing {}
//! impl theater::simple::environment::Environment for Nothing {
//!     fn get_var(&self, _: &Call, _name: &str) -> Option<String> {
//!         self.0.count("asked", 1.0);
//!         None
//!     }
//!     fn list_vars(&self, _: &Call) -> Vec<(String, String)> {
//!         Vec::new()
//!     }
//!     fn exists(&self, _: &Call, _name: &str) -> bool {
//!         panic!("not today")
//!     }
//! }
//!
//! fn main() {
//!     block_on(async {
//!         let host = FakeHost::new();
//!         let handler = attach::<Variables>(&host, "nothing", serde_json::json!({})).await.unwrap();
//!         assert_eq!(host.call(&handler, "get-var", &("HOME",)).await, Ok(None::<String>));
//!         assert_eq!(host.metric("asked"), Some(1.0));
//!         let fault = host.call::<_, bool>(&handler, "exists", &("HOME",)).await.unwrap_err();
//!         assert!(fault.contains("not today"), "{fault}");
//!     });
//! }
//! ```

mod narrowing;
mod seeded;

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use async_ffi::FfiFuture;
use async_std::channel::{Receiver, Sender, unbounded};
use async_std::task::JoinHandle;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

pub use self::narrowing::{Pair, pairs};
pub use self::seeded::Seeded;
pub use crate::abi::Answer;
use crate::abi::{ABSENT, CallContext, GONE, HostObject, HostSide, Message, OK, PANIC, host_object};
use crate::host_types::{About, ChainEvent, ChildEnd, Level};
use crate::abi::host_handle::Host;
use crate::panic_guard::{self, Guarded};
use crate::plugin::{Attachment, Call, Dispatch, Plugin, Recovered, no_such_function};
use crate::result_buffer::ResultBuffer;
use crate::service::{SERVICE_CHAIN, SERVICE_CHILDREN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD};
use crate::{Bytes, Handler, encoding, uuid_text};

/// How long [`FakeHost::next_call`] and [`FakeHost::next_line`] wait before they say that nothing came.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// Runs a future to its end.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    async_std::task::block_on(future)
}

/// Makes a plugin and its handler of `host`'s actor.
///
/// # Errors
/// What `init` or `attach` refused with.
pub async fn attach<P: Plugin>(host: &FakeHost, handler_type: &str, config: Value) -> Result<Arc<P::Handler>, String> {
    let plugin = P::init(FakeHost::new().host())?;
    attach_to(&plugin, host, handler_type, config).await
}

/// Makes `plugin`'s handler of `host`'s actor: a fake host for each actor of the plugin.
///
/// # Errors
/// What `attach` refused with.
pub async fn attach_to<P: Plugin>(
    plugin: &P,
    host: &FakeHost,
    handler_type: &str,
    config: Value,
) -> Result<Arc<P::Handler>, String> {
    let attachment = Attachment { handler_type: handler_type.to_owned(), config, ceiling: Value::Null };
    plugin.attach(host.host(), attachment).await.map(Arc::new)
}

/// A line a plugin logged.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Line {
    /// How loud.
    pub level: Level,
    /// `actor` for the actor's own stream, else empty.
    pub target: String,
    /// The text.
    pub message: String,
}

/// A call of an export of the actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Called {
    /// The export's number in the descriptor's `calls`.
    pub export: u32,
    /// The encoded parameters.
    pub params: Vec<u8>,
    /// Where the plugin said the call came from.
    pub cause: String,
    /// Id of the actor whose call it was made from, if it was.
    pub from: Option<String>,
    /// How it was brought.
    pub way: Way,
}

/// How a call is brought to an actor.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// Somebody waits for its end.
    Call,
    /// Queued behind what waits.
    Post,
    /// Queued before what waits.
    First,
    /// Left with the sender's host call, with that one's result should this actor have ended.
    Staged(Vec<u8>),
}

/// What a plugin did with a child.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// Started from this manifest, with this state.
    Spawned(String, Option<Vec<u8>>),
    /// Started again from its end, with this manifest and state.
    Resumed(String, Option<Vec<u8>>),
    /// Started again from its beginning.
    Restarted(String),
    /// Stopped.
    Stopped(String),
    /// Let go.
    Released(String),
}

type Answers = dyn Fn(u32, &[u8]) -> Answer + Send + Sync;
type ChildAnswers = dyn Fn(&Done) -> Result<String, String> + Send + Sync;

#[derive(Default)]
struct Inner {
    name: Option<String>,
    named: BTreeMap<String, String>,
    cause_actor: [u8; 16],
    // Closed, never sent on: closing it wakes all who wait for a place.
    full: Option<(Sender<()>, Receiver<()>)>,
    exports: Vec<u32>,
    answers: Option<Arc<Answers>>,
    events: Vec<ChainEvent>,
    living: Vec<String>,
    children: Vec<String>,
    descendants: BTreeMap<String, (Option<Bytes>, Vec<ChainEvent>)>,
    child_answers: Option<Arc<ChildAnswers>>,
    failed: Option<String>,
    deadline_ms: u64,
    last_number: u64,
    lines: Vec<Line>,
    metrics: BTreeMap<String, f64>,
    shutdown: Option<Option<Vec<u8>>>,
    waits: BTreeMap<u64, String>,
    tasks: BTreeMap<u64, JoinHandle<()>>,
    faults: Vec<String>,
    notes: Vec<(String, Vec<u8>)>,
    ended: bool,
}

impl Inner {
    fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

#[derive(Clone)]
struct Side {
    actor: [u8; 16],
    inner: Arc<Mutex<Inner>>,
    calls: (Sender<Called>, Receiver<Called>),
    lines: (Sender<Line>, Receiver<Line>),
    done: (Sender<Done>, Receiver<Done>),
    ends: (Sender<ChildEnd>, Receiver<ChildEnd>),
    // Closed, never sent on: closing it wakes all who wait to be cancelled.
    stop: (Sender<()>, Receiver<()>),
}

impl Side {
    fn inner(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn id(&self) -> String {
        uuid_text(&self.actor)
    }

    fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("theater-fake-host-{}-{}", std::process::id(), self.id()))
    }

    fn answer(&self, export: u32, params: &[u8]) -> Answer {
        let (known, answers) = {
            let inner = self.inner();
            if inner.ended {
                return Answer::with(GONE, "the actor has ended");
            }
            (inner.exports.contains(&export), inner.answers.clone())
        };
        match answers.filter(|_| known) {
            Some(answers) => answers(export, params),
            None => Answer::with(ABSENT, format!("the actor does not export number {export}")),
        }
    }
}

impl Side {
    fn brought(&self, message: Message<'_>, way: Way) -> impl Future<Output = Answer> + Send + use<> {
        let Message { export, params, source, from } = message;
        let from = from.map(|context| uuid_text(&context.actor));
        let called = Called { export, params: params.to_vec(), cause: source.to_owned(), from, way };
        let side = self.clone();
        async move {
            let full = if called.way == Way::First { None } else { side.inner().full.clone() };
            if let Some((_, room)) = full {
                room.recv().await.ok();
            }
            let params = called.params.clone();
            // The receiver lives as long as side.
            side.calls.0.try_send(called).ok();
            side.answer(export, &params)
        }
    }

    fn dealt(&self, done: Done) -> Result<String, String> {
        let answers = self.inner().child_answers.clone();
        let answer = answers.map_or_else(|| Err("there is no such child".to_owned()), |answers| answers(&done));
        // The receiver lives as long as self.
        self.done.0.try_send(done).ok();
        answer
    }
}

/// The answer to whoever does not wait for the end of a call.
fn nothing(answer: Answer) -> Answer {
    if answer.status == GONE || answer.status == ABSENT { answer } else { Answer::ok(Vec::new()) }
}

fn no_descendant(actor: &str) -> String {
    format!("{actor} is no descendant of this actor")
}

/// The core and one actor, as a test wants them. Dropping it ends what was spawned and removes the data folder.
pub struct FakeHost {
    side: Arc<Side>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// An actor with an id of its own that exports nothing and has no events.
    #[must_use]
    pub fn new() -> Self {
        static ACTORS: AtomicU64 = AtomicU64::new(1);
        panic_guard::install_hook();
        // A version 4 UUID (RFC 9562, section 5.4) whose last 8 bytes are a running number.
        let id = 0x4000_8000_0000_0000_0000_u128 | u128::from(ACTORS.fetch_add(1, Ordering::Relaxed));
        let side = Side {
            actor: id.to_be_bytes(),
            inner: Arc::default(),
            calls: unbounded(),
            lines: unbounded(),
            done: unbounded(),
            ends: unbounded(),
            stop: async_std::channel::bounded(1),
        };
        Self { side: Arc::new(side) }
    }

    /// What `init` or `attach` of the plugin is given.
    #[must_use]
    pub fn host(&self) -> Host {
        self.object().into()
    }

    /// [`FakeHost::host`] as it crosses the ABI: for a plugin that is loaded from its file.
    #[must_use]
    pub fn object(&self) -> HostObject {
        host_object(Arc::clone(&self.side))
    }

    /// The actor's id.
    #[must_use]
    pub fn actor(&self) -> String {
        self.side.id()
    }

    /// A call of the actor's, to pass to a method of a provided interface.
    #[must_use]
    pub fn caller(&self) -> Call {
        let inner = self.side.inner();
        let (deadline_ms, cause_actor) = (inner.deadline_ms, inner.cause_actor);
        let (actor, cancelled) = (self.side.actor, u32::from(self.side.stop.0.is_closed()));
        Call { context: CallContext { actor, call: 1, cause_actor, deadline_ms, cancelled, ..CallContext::default() } }
    }

    /// Ends the actor's calls at `deadline_ms` (milliseconds since the epoch, 0 = never). Only said to the plugin.
    pub fn set_deadline(&self, deadline_ms: u64) {
        self.side.inner().deadline_ms = deadline_ms;
    }

    /// The actor exports these numbers of the descriptor's `calls`, and `answer` is what they answer;
    /// [`encoded`](crate::abi::encoded) makes the answer of a function from a tuple of its values.
    pub fn set_exports(&self, exports: &[u32], answer: impl Fn(u32, &[u8]) -> Answer + Send + Sync + 'static) {
        let mut inner = self.side.inner();
        inner.exports = exports.to_vec();
        inner.answers = Some(Arc::new(answer));
    }

    /// The actor's chain, oldest first.
    pub fn set_events(&self, events: Vec<ChainEvent>) {
        self.side.inner().events = events;
    }

    /// The actor's name, "fake" without this.
    pub fn set_name(&self, name: &str) {
        self.side.inner().name = Some(name.to_owned());
    }

    /// `name` is the name of the actor with this id, which can be found by it if it lives.
    pub fn set_named(&self, name: &str, actor: &str) {
        self.side.inner().named.insert(name.to_owned(), actor.to_owned());
    }

    /// The actor's calls were caused by `other`; without one they come from outside.
    pub fn set_cause(&self, other: Option<&FakeHost>) {
        self.side.inner().cause_actor = other.map_or([0; 16], |other| other.side.actor);
    }

    /// The mailbox is full: what is brought waits until [`FakeHost::make_room`].
    pub fn fill(&self) {
        self.side.inner().full = Some(async_std::channel::bounded(1));
    }

    /// There is room in the mailbox again.
    pub fn make_room(&self) {
        if let Some((full, _)) = self.side.inner().full.take() {
            full.close();
        }
    }

    /// The ids of the other actors that live: those that can be found and waited for.
    pub fn set_living(&self, actors: &[&str]) {
        self.side.inner().living = actors.iter().map(ToString::to_string).collect();
    }

    /// The actor's living children, oldest first.
    pub fn set_children(&self, children: &[&str]) {
        self.side.inner().children = children.iter().map(ToString::to_string).collect();
    }

    /// A descendant's last state and its events.
    pub fn set_descendant(&self, actor: &str, state: Option<&[u8]>, events: Vec<ChainEvent>) {
        self.side.inner().descendants.insert(actor.to_owned(), (state.map(Into::into), events));
    }

    /// What doing something with a child answers (an id for those that start one); without it everything is refused.
    pub fn set_child_answers(&self, answer: impl Fn(&Done) -> Result<String, String> + Send + Sync + 'static) {
        self.side.inner().child_answers = Some(Arc::new(answer));
    }

    /// A child has ended.
    pub fn child_ended(&self, end: ChildEnd) {
        // The receiver lives as long as self.
        self.side.ends.0.try_send(end).ok();
    }

    /// The next thing done with a child that has not been asked for yet.
    ///
    /// # Errors
    /// None came within [`PATIENCE`].
    pub async fn next_done(&self) -> Result<Done, String> {
        next(&self.side.done.1, "child was dealt with").await
    }

    /// Why the plugin ended the actor as failed, if it did.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.side.inner().failed.clone()
    }

    /// Calls a function of the handler, named as in WIT (`get-var`) or in full (`theater:simple/environment/get-var`),
    /// with a tuple of its arguments.
    ///
    /// # Errors
    /// The plugin's fault, as the core would see it: no such function, arguments or a result that do not fit, a panic.
    pub async fn call<H: Dispatch, R: DeserializeOwned>(
        &self,
        handler: &Arc<H>,
        function: &str,
        arguments: &impl Serialize,
    ) -> Result<R, String> {
        let number = number_of(H::function_name, function)?;
        let arguments = encoding::encode(arguments).map_err(|error| error.to_string())?;
        let answer = self.call_number(handler, number, &arguments).await;
        match answer.status {
            OK => {
                let mut reader = encoding::Reader::with_tail(&answer.bytes, &answer.tail);
                let value = reader.value().and_then(|value| reader.finish().map(|()| value));
                value.map_err(|error| format!("the result does not decode: {error}"))
            }
            _ => Err(answer.sentence()),
        }
    }

    /// Calls function number `function` of the descriptor with encoded arguments.
    pub async fn call_number<H: Dispatch>(&self, handler: &Arc<H>, function: u32, arguments: &[u8]) -> Answer {
        let panicked = |message| Answer::with(PANIC, message);
        let call = self.caller();
        let arguments = encoding::Reader::new(arguments);
        // Short results in the room and long ones elsewhere, as in the core.
        let mut room = [0; 64];
        let mut place = ResultBuffer::new(&mut room);
        let ended = panic_guard::catch(|| handler.dispatch_sync(&call, function, arguments, &mut place));
        let answer = ended.map_or_else(panicked, |()| place.into_answer());
        if answer.status == OK || answer.sentence() != no_such_function(function).sentence() {
            return answer;
        }
        let mut place = ResultBuffer::new(&mut room);
        let begun = panic_guard::catch(|| handler.dispatch(&call, function, arguments, &mut place));
        let answer = begun.map(|pending| pending.ok_or_else(|| place.into_answer()));
        match answer {
            Ok(Ok(pending)) => Guarded::new(pending, panicked).await,
            Ok(Err(answer)) => answer,
            Err(message) => panicked(message),
        }
    }

    /// Tells the handler of a recorded call of one of its functions, or of an export that it calls, as the core does when the
    /// actor resumes.
    ///
    /// # Errors
    /// No such function, or what the handler refused with.
    pub fn recover<H: Dispatch>(
        &self,
        handler: &Arc<H>,
        function: &str,
        arguments: &impl Serialize,
        result: &impl Serialize,
    ) -> Result<(), String> {
        let (function, is_export) = match number_of(H::function_name, function) {
            Ok(number) => (H::function_name(number), false),
            Err(_) => (H::export_name(number_of(H::export_name, function)?), true),
        };
        let arguments = encoding::encode(arguments).map_err(|error| error.to_string())?;
        let result = encoding::encode(result).map_err(|error| error.to_string())?;
        Handler::recover(&**handler, Recovered { function, is_export, arguments: &arguments, result: &result })
    }

    /// The actor is being stopped: [`Host::cancelled`] ends, and calls say so.
    pub fn stop(&self) {
        self.side.stop.0.close();
    }

    /// The actor has ended: as [`FakeHost::stop`], and what was spawned is dropped, and calls into it, those that wait for
    /// room in its mailbox too, are [`crate::CallError::Gone`].
    pub fn end(&self) {
        self.stop();
        let tasks = {
            let mut inner = self.side.inner();
            inner.ended = true;
            std::mem::take(&mut inner.tasks)
        };
        self.make_room();
        for task in tasks.into_values() {
            async_std::task::spawn(task.cancel());
        }
    }

    /// The next call into the actor that has not been asked for yet.
    ///
    /// # Errors
    /// None came within [`PATIENCE`].
    pub async fn next_call(&self) -> Result<Called, String> {
        next(&self.side.calls.1, "call").await
    }

    /// The next line logged that has not been asked for yet.
    ///
    /// # Errors
    /// None came within [`PATIENCE`].
    pub async fn next_line(&self) -> Result<Line, String> {
        next(&self.side.lines.1, "line").await
    }

    /// The lines logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.side.inner().lines.clone()
    }

    /// The value of a counter or gauge, if it was ever set.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.side.inner().metrics.get(name).copied()
    }

    /// What the plugin recorded that no export takes: what it is, and the bytes.
    #[must_use]
    pub fn notes(&self) -> Vec<(String, Vec<u8>)> {
        self.side.inner().notes.clone()
    }

    /// What the actor was shut down with, if it was.
    #[must_use]
    pub fn shut_down(&self) -> Option<Option<Vec<u8>>> {
        self.side.inner().shutdown.clone()
    }

    /// The ids that this actor waits for now.
    #[must_use]
    pub fn waits(&self) -> Vec<String> {
        self.side.inner().waits.values().cloned().collect()
    }

    /// The messages of the panics of spawned futures.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.side.inner().faults.clone()
    }
}

impl Drop for FakeHost {
    fn drop(&mut self) {
        self.end();
        let folder = self.side.folder();
        if folder.exists()
            && let Err(error) = std::fs::remove_dir_all(&folder)
        {
            eprintln!("{}: {error}", folder.display());
        }
    }
}

async fn next<T>(receiver: &Receiver<T>, what: &str) -> Result<T, String> {
    let next = async_std::future::timeout(PATIENCE, receiver.recv()).await;
    next.map_err(|_| format!("no {what} within {PATIENCE:?}"))?.map_err(|error| error.to_string())
}

/// The number that `names` gives a name which ends so.
fn number_of(names: fn(u32) -> &'static str, function: &str) -> Result<u32, String> {
    (0..)
        .map(|number| (number, names(number)))
        .take_while(|(_, name)| !name.is_empty())
        .find(|(_, name)| name.strip_suffix(function).is_some_and(|rest| rest.is_empty() || rest.ends_with('/')))
        .map(|(number, _)| number)
        .ok_or_else(|| format!("the plugin has no function {function}"))
}

impl HostSide for Side {
    fn about(&self) -> About {
        let name = self.inner().name.clone().unwrap_or_else(|| "fake".to_owned());
        About::actor("fake", &self.id(), &name, "fake")
    }

    fn call(&self, export: u32, params: &[u8], cause: String) -> impl Future<Output = Answer> + Send + 'static {
        self.brought(Message { export, params, source: &cause, from: None }, Way::Call)
    }

    fn has_export(&self, export: u32) -> bool {
        self.inner().exports.contains(&export)
    }

    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let shared = Arc::clone(&self.inner);
        let mut inner = self.inner();
        let number = inner.number();
        if !inner.ended {
            let task = async_std::task::spawn(async move {
                let answer = future.await;
                if answer.status == PANIC {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).faults.push(answer.sentence());
                }
            });
            inner.tasks.insert(number, task);
        }
        number
    }

    fn abort(&self, task: u64) {
        let task = self.inner().tasks.remove(&task);
        if let Some(task) = task {
            async_std::task::spawn(task.cancel());
        }
    }

    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static {
        async_std::task::sleep(Duration::from_micros(microseconds))
    }

    fn cancelled(&self) -> impl Future<Output = ()> + Send + 'static {
        let stop = self.stop.1.clone();
        async move {
            stop.recv().await.ok();
        }
    }

    fn wait_for(&self, other: &str, why: &str) -> Result<u64, String> {
        let own = self.id();
        if other == own {
            return Err(format!("{own} would wait for itself: {why}"));
        }
        let mut inner = self.inner();
        if !inner.living.iter().any(|living| living == other) {
            return Err(format!("no actor has the id {other}"));
        }
        let number = inner.number();
        inner.waits.insert(number, other.to_owned());
        Ok(number)
    }

    fn wait_end(&self, edge: u64) {
        self.inner().waits.remove(&edge);
    }

    fn log(&self, level: u32, target: &str, message: &str) {
        let level = match level {
            1 => Level::Error,
            2 => Level::Warn,
            3 => Level::Info,
            4 => Level::Debug,
            _ => Level::Trace,
        };
        let line = Line { level, target: target.to_owned(), message: message.to_owned() };
        self.inner().lines.push(line.clone());
        // The receiver lives as long as self.
        self.lines.0.try_send(line).ok();
    }

    fn metric(&self, name: &str, kind: u32, value: f64) {
        let mut inner = self.inner();
        let metric = inner.metrics.entry(name.to_owned()).or_default();
        *metric = if kind == 0 { *metric + value } else { value };
    }

    fn data_folder(&self) -> Result<String, String> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder.display().to_string())
    }

    fn chain_newest(&self, most: u64) -> impl Future<Output = Answer> + Send + 'static {
        let inner = self.inner();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let newest: Vec<_> = inner.events.iter().skip(inner.events.len().saturating_sub(most)).collect();
        std::future::ready(crate::abi::encoded(&newest))
    }

    fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String> {
        let mut inner = self.inner();
        if inner.shutdown.is_some() {
            return Err("the actor is stopping already".to_owned());
        }
        inner.shutdown = Some(data);
        Ok(())
    }

    fn find(&self, wanted: &str) -> Result<String, String> {
        let inner = self.inner();
        let wanted = inner.named.get(wanted).map_or(wanted, String::as_str);
        let known = inner.living.iter().find(|living| *living == wanted);
        known.cloned().ok_or_else(|| format!("there is no living actor {wanted:?}"))
    }

    fn call_from(&self, message: Message<'_>) -> impl Future<Output = Answer> + Send + 'static {
        self.brought(message, Way::Call)
    }

    fn post(&self, message: Message<'_>, first: bool) -> impl Future<Output = Answer> + Send + 'static {
        let answer = self.brought(message, if first { Way::First } else { Way::Post });
        async move { nothing(answer.await) }
    }

    fn stage(&self, message: Message<'_>, otherwise: &[u8]) -> impl Future<Output = Answer> + Send + 'static {
        let answer = self.brought(message, Way::Staged(otherwise.to_vec()));
        async move { nothing(answer.await) }
    }

    fn spawn_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static {
        std::future::ready(self.dealt(Done::Spawned(manifest, state)))
    }

    fn resume_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static {
        std::future::ready(self.dealt(Done::Resumed(manifest, state)))
    }

    fn restart_child(&self, child: String, _: bool) -> impl Future<Output = Result<(), String>> + Send + 'static {
        std::future::ready(self.dealt(Done::Restarted(child)).map(drop))
    }

    fn stop_child(&self, child: String) -> impl Future<Output = Result<(), String>> + Send + 'static {
        std::future::ready(self.dealt(Done::Stopped(child)).map(drop))
    }

    fn release_child(&self, child: &str) -> Result<(), String> {
        self.dealt(Done::Released(child.to_owned())).map(drop)
    }

    fn children(&self) -> Vec<String> {
        self.inner().children.clone()
    }

    fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String> {
        self.inner().descendants.get(actor).map(|(state, _)| state.clone()).ok_or_else(|| no_descendant(actor))
    }

    fn child_events(&self, actor: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static {
        let events = self.inner().descendants.get(&actor).map(|(_, events)| events.clone());
        std::future::ready(events.ok_or_else(|| no_descendant(&actor)))
    }

    fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static {
        let ends = self.ends.1.clone();
        async move { ends.recv().await.map_err(|error| error.to_string()) }
    }

    fn fail(&self, reason: String) {
        self.inner().failed.get_or_insert(reason);
    }

    fn note(&self, what: &str, data: &[u8]) -> Result<(), String> {
        self.inner().notes.push((what.to_owned(), data.to_vec()));
        Ok(())
    }

    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        let offered = [SERVICE_CHAIN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_CHILDREN, SERVICE_RECORD];
        minimum_minor == 0 && offered.contains(&id)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::CallError;

    #[test]
    fn a_stop_ends_the_wait_for_it() {
        block_on(async {
            let fake = FakeHost::new();
            let host = fake.host();
            let waiting = async_std::task::spawn(async move { host.cancelled().await });
            fake.stop();
            waiting.await;
            assert!(fake.caller().is_cancelled());
        });
    }

    #[test]
    fn what_was_spawned_runs_until_it_is_aborted_or_the_actor_ends() {
        block_on(async {
            let fake = FakeHost::new();
            fake.set_exports(&[0], |_, params| Answer::ok(params.to_vec()));
            let host = fake.host();
            let inner = host.clone();
            host.spawn(async move {
                let answer: Result<u8, _> = inner.call(0, &[7], "a test").await;
                assert_eq!(answer, Ok(7));
                let absent: Result<u8, _> = inner.call(1, &[7], "a test").await;
                assert!(matches!(absent, Err(CallError::Absent(_))));
                inner.gauge("done", 1.0);
                panic!("on purpose");
            });
            let (from, way) = (None, Way::Call);
            let called = Called { export: 0, params: vec![7], cause: "a test".into(), from, way };
            assert_eq!(fake.next_call().await, Ok(called));
            assert_eq!(fake.next_call().await.unwrap().export, 1);
            let (sender, dropped) = unbounded::<()>();
            let forever = async move {
                std::future::pending::<()>().await;
                drop(sender);
            };
            host.spawn(forever).abort();
            assert!(dropped.recv().await.is_err());
            let (sender, dropped) = unbounded::<()>();
            host.spawn(async move {
                std::future::pending::<()>().await;
                drop(sender);
            });
            fake.end();
            assert!(dropped.recv().await.is_err());
            let gone: Result<u8, _> = host.call(0, &[7], "a test").await;
            assert!(matches!(gone, Err(CallError::Gone(_))));
        });
    }

    #[test]
    fn a_wait_stands_until_it_is_dropped() {
        let fake = FakeHost::new();
        fake.set_living(&["other"]);
        let waiting = fake.host().wait_for("other", "a test").unwrap();
        assert_eq!(fake.waits(), ["other"]);
        drop(waiting);
        assert!(fake.waits().is_empty());
        assert!(fake.host().wait_for(&fake.actor(), "a test").is_err());
        assert!(fake.host().wait_for("nobody", "a test").is_err());
    }

    #[test]
    fn a_full_mailbox_takes_nothing_but_what_goes_first() {
        block_on(async {
            let fake = FakeHost::new();
            fake.set_exports(&[0], |_, _| Answer::ok(Vec::new()));
            fake.fill();
            let host = fake.host();
            let invocation = || crate::messages::invocation::<()>(0, Vec::new(), |_| Ok(()));
            assert_eq!(host.post(invocation(), "first", None, true).await, Ok(()));
            let waiting = async_std::task::spawn({
                let host = host.clone();
                async move { host.post(invocation(), "waits", None, false).await }
            });
            assert_eq!(fake.next_call().await.unwrap().cause, "first");
            fake.make_room();
            assert_eq!(waiting.await, Ok(()));
            assert_eq!(fake.next_call().await.unwrap().cause, "waits");
        });
    }

    #[test]
    fn what_waits_for_room_when_the_actor_ends_is_gone() {
        block_on(async {
            let fake = FakeHost::new();
            fake.set_exports(&[0], |_, _| Answer::ok(Vec::new()));
            fake.fill();
            let host = fake.host();
            let invocation = crate::messages::invocation::<()>(0, Vec::new(), |_| Ok(()));
            let mut waiting = Box::pin(host.post(invocation, "waits", None, false));
            assert!(async_std::future::timeout(Duration::ZERO, waiting.as_mut()).await.is_err(), "there is no room");
            fake.end();
            assert!(matches!(waiting.await, Err(CallError::Gone(_))));
        });
    }

    #[test]
    fn an_actor_is_found_by_its_id_and_its_name() {
        let (fake, other) = (FakeHost::new(), FakeHost::new());
        other.set_name("other");
        fake.set_living(&[&other.actor()]);
        fake.set_named("other", &other.actor());
        fake.set_cause(Some(&other));
        assert_eq!(fake.host().find("other"), Ok(other.actor()));
        assert_eq!(fake.host().find(&other.actor()), Ok(other.actor()));
        assert_eq!(other.host().whose().unwrap().name, "other");
        assert_eq!(uuid_text(&fake.caller().context().cause_actor), other.actor());
    }

    #[test]
    fn events_shutdown_lines_metrics_and_the_folder_are_there() {
        let fake = FakeHost::new();
        let event = |n| ChainEvent {
            hash: vec![n].into(),
            parent_hash: None,
            event_type: "wasm".into(),
            data: Vec::new().into(),
            timestamp: 0,
        };
        fake.set_events(vec![event(1), event(2), event(3)]);
        let host = fake.host();
        assert_eq!(block_on(host.newest_events(2)), Ok(vec![event(2), event(3)]));
        assert_eq!(host.shutdown(Some(b"bye")), Ok(()));
        assert!(host.shutdown(None).is_err());
        assert_eq!(fake.shut_down(), Some(Some(b"bye".to_vec())));
        host.log(Level::Warn, "careful");
        assert_eq!(fake.lines()[0].level, Level::Warn);
        host.count("n", 2.0);
        host.count("n", 2.0);
        assert_eq!(fake.metric("n"), Some(4.0));
        let folder = host.data_folder().unwrap();
        assert!(folder.is_dir());
        assert_eq!(host.whose().unwrap().actor, fake.actor());
        drop(fake);
        assert!(!folder.exists());
    }
}
