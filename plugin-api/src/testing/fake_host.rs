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

/// The timeout of [`FakeHost::next_call`], [`FakeHost::next_line`] and [`FakeHost::next_done`].
pub const PATIENCE: Duration = Duration::from_secs(10);

/// The core and one actor, as a test configures them. Dropping it drops spawned futures and removes the data folder.
pub struct FakeHost {
    pub(super) side: Arc<FakeSide>,
}

impl Default for FakeHost {
    fn default() -> Self {
        Self::new()
    }
}

impl FakeHost {
    /// An actor with a new id, no exports and no events.
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

    /// The host to pass to `init` or `attach` of the plugin.
    #[must_use]
    pub fn host(&self) -> Host {
        self.object().into()
    }

    /// [`FakeHost::host`] as it crosses the ABI, for a plugin that is loaded from its file.
    #[must_use]
    pub fn object(&self) -> HostObject {
        host_object(Arc::clone(&self.side))
    }

    /// The actor's id.
    #[must_use]
    pub fn actor(&self) -> String {
        self.side.id()
    }

    /// A call of the actor, to pass to a method of a provided interface.
    #[must_use]
    pub fn caller(&self) -> Call {
        let state = self.side.state();
        let (deadline_ms, cause_actor) = (state.deadline_ms, state.cause_actor);
        let (actor, cancelled) = (self.side.actor, u32::from(self.side.stop.0.is_closed()));
        Call { context: CallContext { actor, call: 1, cause_actor, deadline_ms, cancelled, ..CallContext::default() } }
    }

    /// Sets the deadline of the actor's calls, in milliseconds since the epoch (0: none). It is passed to the plugin
    /// but not enforced.
    pub fn set_deadline(&self, deadline_ms: u64) {
        self.side.state().deadline_ms = deadline_ms;
    }

    /// Sets the actor's exports, by their numbers in the descriptor's `calls`, and their answers.
    /// [`encoded`](crate::abi::encoded) creates the answer of a function from a tuple of its values.
    pub fn set_exports(&self, exports: &[u32], answer: impl Fn(u32, &[u8]) -> Answer + Send + Sync + 'static) {
        let mut state = self.side.state();
        state.exports = exports.to_vec();
        state.answers = Some(Arc::new(answer));
    }

    /// Sets the events of the actor's chain, oldest first.
    pub fn set_events(&self, events: Vec<ChainEvent>) {
        self.side.state().events = events;
    }

    /// Sets the actor's name; the default is "fake".
    pub fn set_name(&self, name: &str) {
        self.side.state().name = Some(name.to_owned());
    }

    /// Sets the name of the actor with the id `actor`. If that actor is running, [`Host::find`] finds it by its name.
    pub fn set_named(&self, name: &str, actor: &str) {
        self.side.state().named.insert(name.to_owned(), actor.to_owned());
    }

    /// Sets the actor that caused this actor's calls; `None` for calls from outside.
    pub fn set_cause(&self, other: Option<&FakeHost>) {
        self.side.state().cause_actor = other.map_or([0; 16], |other| other.side.actor);
    }

    /// Fills the mailbox: calls wait until [`FakeHost::make_room`].
    pub fn fill(&self) {
        self.side.state().full = Some(bounded(1));
    }

    /// Makes room in the mailbox.
    pub fn make_room(&self) {
        if let Some((full, _)) = self.side.state().full.take() {
            full.close();
        }
    }

    /// Sets the ids of the other running actors, which can be found and waited for.
    pub fn set_living(&self, actors: &[&str]) {
        self.side.state().living = actors.iter().map(ToString::to_string).collect();
    }

    /// Sets the ids of the actor's running children, oldest first.
    pub fn set_children(&self, children: &[&str]) {
        self.side.state().children = children.iter().map(ToString::to_string).collect();
    }

    /// Sets the last state and the events of a descendant.
    pub fn set_descendant(&self, actor: &str, state: Option<&[u8]>, events: Vec<ChainEvent>) {
        self.side.state().descendants.insert(actor.to_owned(), (state.map(Into::into), events));
    }

    /// Sets the results of operations on children (the id for those that start one). Without it, all of them fail.
    pub fn set_child_answers(&self, answer: impl Fn(&Done) -> Result<String, String> + Send + Sync + 'static) {
        self.side.state().child_answers = Some(Arc::new(answer));
    }

    /// Reports the end of a child to the plugin.
    pub fn child_ended(&self, end: ChildEnd) {
        // Cannot fail: `self` also holds the receiver.
        self.side.ends.0.try_send(end).ok();
    }

    /// The next operation on a child that this method has not returned yet.
    ///
    /// # Errors
    /// There was none within [`PATIENCE`].
    pub async fn next_done(&self) -> Result<Done, String> {
        next(&self.side.done.1, "operation on a child").await
    }

    /// The reason for which the plugin failed the actor, if it did.
    #[must_use]
    pub fn failed(&self) -> Option<String> {
        self.side.state().failed.clone()
    }

    /// Begins to stop the actor: [`Host::cancelled`] returns, and later calls are marked as cancelled.
    pub fn stop(&self) {
        self.side.stop.0.close();
    }

    /// Ends the actor: does what [`FakeHost::stop`] does and drops spawned futures. Calls into the actor, including
    /// those that wait for room in its mailbox, return [`crate::CallError::Gone`].
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

    /// The next call into the actor that this method has not returned yet.
    ///
    /// # Errors
    /// There was none within [`PATIENCE`].
    pub async fn next_call(&self) -> Result<Called, String> {
        next(&self.side.calls.1, "call").await
    }

    /// The next logged line that this method has not returned yet.
    ///
    /// # Errors
    /// There was none within [`PATIENCE`].
    pub async fn next_line(&self) -> Result<Line, String> {
        next(&self.side.lines.1, "line").await
    }

    /// All lines logged so far.
    #[must_use]
    pub fn lines(&self) -> Vec<Line> {
        self.side.state().lines.clone()
    }

    /// The value of a counter or gauge, if it has been set.
    #[must_use]
    pub fn metric(&self, name: &str) -> Option<f64> {
        self.side.state().metrics.get(name).copied()
    }

    /// The data that the plugin recorded with [`Host::note`]: the description and the bytes.
    #[must_use]
    pub fn notes(&self) -> Vec<(String, Vec<u8>)> {
        self.side.state().notes.clone()
    }

    /// The data that the plugin shut the actor down with, if it did.
    #[must_use]
    pub fn shut_down(&self) -> Option<Option<Vec<u8>>> {
        self.side.state().shutdown.clone()
    }

    /// The ids of the actors that this actor waits for.
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
