//! The fake host as the core's side of the ABI.

use std::future::Future;
use std::sync::{Arc, PoisonError};
use std::time::Duration;

use async_ffi::FfiFuture;
use theater_encoding::Bytes;
use theater_plugin_abi::{ABSENT, Answer, GONE, PANIC};

use crate::abi::host_side::{HostSide, Message};
use crate::host_types::{About, ChainEvent, ChildEnd, Level};
use crate::result_buffer::encoded;
use crate::service::{SERVICE_CHAIN, SERVICE_CHILDREN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_RECORD};
use crate::testing::executor::{sleep, spawn};
use crate::testing::fake_side::FakeSide;
use crate::testing::observed::{Done, Line, Way};

/// The answer to a caller that does not wait for the result of the call.
fn delivered(answer: Answer) -> Answer {
    if answer.status == GONE || answer.status == ABSENT { answer } else { Answer::ok(Vec::new()) }
}

fn no_descendant(actor: &str) -> String {
    format!("{actor} is not a descendant of this actor")
}

impl HostSide for FakeSide {
    fn about(&self) -> About {
        let name = self.state().name.clone().unwrap_or_else(|| "fake".to_owned());
        About::actor("fake", &self.id(), &name, "fake")
    }

    fn call(&self, export: u32, params: &[u8], cause: String) -> impl Future<Output = Answer> + Send + 'static {
        self.deliver(Message { export, params, source: &cause, from: None }, Way::Call)
    }

    fn has_export(&self, export: u32) -> bool {
        self.state().exports.contains(&export)
    }

    fn spawn(&self, future: FfiFuture<Answer>) -> u64 {
        let shared = Arc::clone(&self.state);
        let mut state = self.state();
        let number = state.number();
        if !state.ended {
            let task = spawn(async move {
                let answer = future.await;
                if answer.status == PANIC {
                    shared.lock().unwrap_or_else(PoisonError::into_inner).faults.push(answer.sentence());
                }
            });
            state.tasks.insert(number, task);
        }
        number
    }

    fn abort(&self, task: u64) {
        let task = self.state().tasks.remove(&task);
        if let Some(task) = task {
            spawn(task.cancel());
        }
    }

    fn sleep(&self, microseconds: u64) -> impl Future<Output = ()> + Send + 'static {
        sleep(Duration::from_micros(microseconds))
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
        let mut state = self.state();
        if !state.living.iter().any(|living| living == other) {
            return Err(format!("no actor has the id {other}"));
        }
        let number = state.number();
        state.waits.insert(number, other.to_owned());
        Ok(number)
    }

    fn wait_end(&self, edge: u64) {
        self.state().waits.remove(&edge);
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
        self.state().lines.push(line.clone());
        // Cannot fail: `self` also holds the receiver.
        self.lines.0.try_send(line).ok();
    }

    fn metric(&self, name: &str, kind: u32, value: f64) {
        let mut state = self.state();
        let metric = state.metrics.entry(name.to_owned()).or_default();
        *metric = if kind == 0 { *metric + value } else { value };
    }

    fn data_folder(&self) -> Result<String, String> {
        let folder = self.folder();
        std::fs::create_dir_all(&folder).map_err(|error| format!("{}: {error}", folder.display()))?;
        Ok(folder.display().to_string())
    }

    fn chain_newest(&self, most: u64) -> impl Future<Output = Answer> + Send + 'static {
        let state = self.state();
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let newest: Vec<_> = state.events.iter().skip(state.events.len().saturating_sub(most)).collect();
        std::future::ready(encoded(&newest))
    }

    fn shutdown(&self, data: Option<Vec<u8>>) -> Result<(), String> {
        let mut state = self.state();
        if state.shutdown.is_some() {
            return Err("the actor is stopping already".to_owned());
        }
        state.shutdown = Some(data);
        Ok(())
    }

    fn find(&self, wanted: &str) -> Result<String, String> {
        let state = self.state();
        let wanted = state.named.get(wanted).map_or(wanted, String::as_str);
        let known = state.living.iter().find(|living| *living == wanted);
        known.cloned().ok_or_else(|| format!("there is no living actor {wanted:?}"))
    }

    fn call_from(&self, message: Message<'_>) -> impl Future<Output = Answer> + Send + 'static {
        self.deliver(message, Way::Call)
    }

    fn post(&self, message: Message<'_>, first: bool) -> impl Future<Output = Answer> + Send + 'static {
        let answer = self.deliver(message, if first { Way::First } else { Way::Post });
        async move { delivered(answer.await) }
    }

    fn stage(&self, message: Message<'_>, otherwise: &[u8]) -> impl Future<Output = Answer> + Send + 'static {
        let answer = self.deliver(message, Way::Staged(otherwise.to_vec()));
        async move { delivered(answer.await) }
    }

    fn spawn_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static {
        std::future::ready(self.child_command(Done::Spawned(manifest, state)))
    }

    fn resume_child(
        &self,
        manifest: String,
        state: Option<Vec<u8>>,
    ) -> impl Future<Output = Result<String, String>> + Send + 'static {
        std::future::ready(self.child_command(Done::Resumed(manifest, state)))
    }

    fn restart_child(&self, child: String, _: bool) -> impl Future<Output = Result<(), String>> + Send + 'static {
        std::future::ready(self.child_command(Done::Restarted(child)).map(drop))
    }

    fn stop_child(&self, child: String) -> impl Future<Output = Result<(), String>> + Send + 'static {
        std::future::ready(self.child_command(Done::Stopped(child)).map(drop))
    }

    fn release_child(&self, child: &str) -> Result<(), String> {
        self.child_command(Done::Released(child.to_owned())).map(drop)
    }

    fn children(&self) -> Vec<String> {
        self.state().children.clone()
    }

    fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String> {
        self.state().descendants.get(actor).map(|(state, _)| state.clone()).ok_or_else(|| no_descendant(actor))
    }

    fn child_events(&self, actor: String) -> impl Future<Output = Result<Vec<ChainEvent>, String>> + Send + 'static {
        let events = self.state().descendants.get(&actor).map(|(_, events)| events.clone());
        std::future::ready(events.ok_or_else(|| no_descendant(&actor)))
    }

    fn next_end(&self) -> impl Future<Output = Result<ChildEnd, String>> + Send + 'static {
        let ends = self.ends.1.clone();
        async move { ends.recv().await.map_err(|error| error.to_string()) }
    }

    fn fail(&self, reason: String) {
        self.state().failed.get_or_insert(reason);
    }

    fn note(&self, what: &str, data: &[u8]) -> Result<(), String> {
        self.state().notes.push((what.to_owned(), data.to_vec()));
        Ok(())
    }

    fn offers(&self, id: &str, minimum_minor: u32) -> bool {
        let offered = [SERVICE_CHAIN, SERVICE_LIFECYCLE, SERVICE_MESSAGES, SERVICE_CHILDREN, SERVICE_RECORD];
        minimum_minor == 0 && offered.contains(&id)
    }
}
