//! The state of the fake host: what the test configured, and what the plugin did.

use std::collections::BTreeMap;
use std::future::Future;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use theater_encoding::{Bytes, uuid_text};
use theater_plugin_abi::{ABSENT, Answer, GONE};

use crate::abi::host_side::Message;
use crate::host_types::{ChainEvent, ChildEnd};
use crate::testing::executor::{JoinHandle, Receiver, Sender};
use crate::testing::observed::{Called, Done, Line, Way};

type Answers = dyn Fn(u32, &[u8]) -> Answer + Send + Sync;
type ChildAnswers = dyn Fn(&Done) -> Result<String, String> + Send + Sync;

/// The mutable part, behind one lock.
#[derive(Default)]
pub(super) struct State {
    pub(super) name: Option<String>,
    pub(super) named: BTreeMap<String, String>,
    pub(super) cause_actor: [u8; 16],
    // Nothing is ever sent: closing the channel wakes every caller that waits for room in the mailbox.
    pub(super) full: Option<(Sender<()>, Receiver<()>)>,
    pub(super) exports: Vec<u32>,
    pub(super) answers: Option<Arc<Answers>>,
    pub(super) events: Vec<ChainEvent>,
    pub(super) living: Vec<String>,
    pub(super) children: Vec<String>,
    pub(super) descendants: BTreeMap<String, (Option<Bytes>, Vec<ChainEvent>)>,
    pub(super) child_answers: Option<Arc<ChildAnswers>>,
    pub(super) failed: Option<String>,
    pub(super) deadline_ms: u64,
    pub(super) last_number: u64,
    pub(super) lines: Vec<Line>,
    pub(super) metrics: BTreeMap<String, f64>,
    pub(super) shutdown: Option<Option<Vec<u8>>>,
    pub(super) waits: BTreeMap<u64, String>,
    pub(super) tasks: BTreeMap<u64, JoinHandle<()>>,
    pub(super) faults: Vec<String>,
    pub(super) notes: Vec<(String, Vec<u8>)>,
    pub(super) ended: bool,
}

impl State {
    /// A new number for a wait or a task.
    pub(super) fn number(&mut self) -> u64 {
        self.last_number += 1;
        self.last_number
    }
}

/// The host side of one fake actor. Pairs of channel ends are queues that the test reads.
#[derive(Clone)]
pub(super) struct FakeSide {
    pub(super) actor: [u8; 16],
    pub(super) state: Arc<Mutex<State>>,
    pub(super) calls: (Sender<Called>, Receiver<Called>),
    pub(super) lines: (Sender<Line>, Receiver<Line>),
    pub(super) done: (Sender<Done>, Receiver<Done>),
    pub(super) ends: (Sender<ChildEnd>, Receiver<ChildEnd>),
    // Nothing is ever sent: closing the channel wakes every future of `cancelled`.
    pub(super) stop: (Sender<()>, Receiver<()>),
}

impl FakeSide {
    pub(super) fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn id(&self) -> String {
        uuid_text(&self.actor)
    }

    /// The folder that the plugin keeps the actor's data in.
    pub(super) fn folder(&self) -> PathBuf {
        std::env::temp_dir().join(format!("theater-fake-host-{}-{}", std::process::id(), self.id()))
    }

    /// The actor's answer to a call of an export.
    fn answer(&self, export: u32, params: &[u8]) -> Answer {
        let (known, answers) = {
            let state = self.state();
            if state.ended {
                return Answer::with(GONE, "the actor has ended");
            }
            (state.exports.contains(&export), state.answers.clone())
        };
        match answers.filter(|_| known) {
            Some(answers) => answers(export, params),
            None => Answer::with(ABSENT, format!("the actor does not export number {export}")),
        }
    }

    /// Delivers a call to the actor, after waiting while the mailbox is full; calls that go first do not wait.
    pub(super) fn deliver(&self, message: Message<'_>, way: Way) -> impl Future<Output = Answer> + Send + use<> {
        let Message { export, params, source, from } = message;
        let from = from.map(|context| uuid_text(&context.actor));
        let called = Called { export, params: params.to_vec(), cause: source.to_owned(), from, way };
        let side = self.clone();
        async move {
            let full = if called.way == Way::First { None } else { side.state().full.clone() };
            if let Some((_, room)) = full {
                room.recv().await.ok();
            }
            let params = called.params.clone();
            // Cannot fail: `side` also holds the receiver.
            side.calls.0.try_send(called).ok();
            side.answer(export, &params)
        }
    }

    /// Records what the plugin does with a child, and answers as the test configured.
    pub(super) fn child_command(&self, done: Done) -> Result<String, String> {
        let answers = self.state().child_answers.clone();
        let answer = answers.map_or_else(|| Err("there is no such child".to_owned()), |answers| answers(&done));
        // Cannot fail: `self` also holds the receiver.
        self.done.0.try_send(done).ok();
        answer
    }
}
