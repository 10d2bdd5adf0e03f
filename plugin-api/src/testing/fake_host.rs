//! The fake host as a test sees it: setters, and readers of what the plugin did.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use theater_plugin_abi::{Answer, CallContext, HostObject};

use crate::abi::host_handle::Host;
use crate::abi::host_tables::host_object;
use crate::host_types::{ChainEvent, ChildEnd};
use crate::panic_guard;
use crate::plugin::Call;
use crate::testing::executor::{Receiver, bounded, spawn, timeout, unbounded};
use crate::testing::fake_side::FakeSide;
use crate::testing::observed::{Called, Done, Line};

/// How long [`FakeHost::next_call`] and [`FakeHost::next_line`] wait before they say that nothing came.
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The core and one actor, as a test wants them. Dropping it ends what was spawned and removes the data folder.
pub struct FakeHost {
    pub(super) side: Arc<FakeSide>,
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
        let side = FakeSide {
            actor: id.to_be_bytes(),
            state: Arc::default(),
            calls: unbounded(),
            lines: unbounded(),
            done: unbounded(),
            ends: unbounded(),
            stop: bounded(1),
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
        let state = self.side.state();
        let (deadline_ms, cause_actor) = (state.deadline_ms, state.cause_actor);
        let (actor, cancelled) = (self.side.actor, u32::from(self.side.stop.0.is_closed()));
        Call { context: CallContext { actor, call: 1, cause_actor, deadline_ms, cancelled, ..CallContext::default() } }
    }

    /// Ends the actor's calls at `deadline_ms` (milliseconds since the epoch, 0 = never). Only said to the plugin.
    pub fn set_deadline(&self, deadline_ms: u64) {
        self.side.state().deadline_ms = deadline_ms;
    }

    /// The actor exports these numbers of the descriptor's `calls`, and `answer` is what they answer;
    /// [`encoded`](crate::abi::encoded) makes the answer of a function from a tuple of its values.
    pub fn set_exports(&self, exports: &[u32], answer: impl Fn(u32, &[u8]) -> Answer + Send + Sync + 'static) {
        let mut state = self.side.state();
        state.exports = exports.to_vec();
        state.answers = Some(Arc::new(answer));
    }

    /// The actor's chain, oldest first.
    pub fn set_events(&self, events: Vec<ChainEvent>) {
        self.side.state().events = events;
    }

    /// The actor's name, "fake" without this.
    pub fn set_name(&self, name: &str) {
        self.side.state().name = Some(name.to_owned());
    }

    /// `name` is the name of the actor with this id, which can be found by it if it lives.
    pub fn set_named(&self, name: &str, actor: &str) {
        self.side.state().named.insert(name.to_owned(), actor.to_owned());
    }

    /// The actor's calls were caused by `other`; without one they come from outside.
    pub fn set_cause(&self, other: Option<&FakeHost>) {
        self.side.state().cause_actor = other.map_or([0; 16], |other| other.side.actor);
    }

    /// The mailbox is full: what is brought waits until [`FakeHost::make_room`].
    pub fn fill(&self) {
        self.side.state().full = Some(bounded(1));
    }

    /// There is room in the mailbox again.
    pub fn make_room(&self) {
        if let Some((full, _)) = self.side.state().full.take() {
            full.close();
        }
    }

    /// The ids of the other actors that live: those that can be found and waited for.
    pub fn set_living(&self, actors: &[&str]) {
        self.side.state().living = actors.iter().map(ToString::to_string).collect();
    }

    /// The actor's living children, oldest first.
    pub fn set_children(&self, children: &[&str]) {
        self.side.state().children = children.iter().map(ToString::to_string).collect();
    }

    /// A descendant's last state and its events.
    pub fn set_descendant(&self, actor: &str, state: Option<&[u8]>, events: Vec<ChainEvent>) {
        self.side.state().descendants.insert(actor.to_owned(), (state.map(Into::into), events));
    }

    /// What doing something with a child answers (an id for those that start one); without it everything is refused.
    pub fn set_child_answers(&self, answer: impl Fn(&Done) -> Result<String, String> + Send + Sync + 'static) {
        self.side.state().child_answers = Some(Arc::new(answer));
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
        self.side.state().failed.clone()
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
            let mut state = self.side.state();
            state.ended = true;
            std::mem::take(&mut state.tasks)
        };
        self.make_room();
        for task in tasks.into_values() {
            spawn(task.cancel());
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
        self.side.state().lines.clone()
    }

    /// The value of a counter or gauge, if it was ever set.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.side.state().metrics.get(name).copied()
    }

    /// What the plugin recorded that no export takes: what it is, and the bytes.
    #[must_use]
    pub fn notes(&self) -> Vec<(String, Vec<u8>)> {
        self.side.state().notes.clone()
    }

    /// What the actor was shut down with, if it was.
    #[must_use]
    pub fn shut_down(&self) -> Option<Option<Vec<u8>>> {
        self.side.state().shutdown.clone()
    }

    /// The ids that this actor waits for now.
    #[must_use]
    pub fn waits(&self) -> Vec<String> {
        self.side.state().waits.values().cloned().collect()
    }

    /// The messages of the panics of spawned futures.
    #[must_use]
    pub fn faults(&self) -> Vec<String> {
        self.side.state().faults.clone()
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
    let next = timeout(PATIENCE, receiver.recv()).await;
    next.map_err(|_| format!("no {what} within {PATIENCE:?}"))?.map_err(|error| error.to_string())
}
