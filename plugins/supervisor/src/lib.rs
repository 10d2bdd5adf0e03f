//! The `supervisor` plugin: lets an actor start and supervise other actors.
//!
//! The core does the work (service `theater.children`): it starts and stops actors, tracks parents and children, stops
//! subtrees deepest first, rejects waits that would close a cycle, and keeps the calls queued for a child across its
//! restart. This plugin handles deaths: `watch` notifies the parent and carries out what `strategy` decides from the
//! child's name (`pattern`).
//!
//! No function is declared `effect`. Starting and stopping actors changes the runtime, not the outside world, and is
//! recorded in the child's own chain, so a durable intent before each call would add no information. The functions are
//! `read`: the result depends on more than the arguments, is recorded, and a replay takes it from the chain.

#![forbid(unsafe_code)]

#[cfg(test)]
mod narrow_tests;
mod pattern;
mod strategy;
#[cfg(test)]
mod tests;
mod watch;

use futures_lite::future::or;
use serde::Deserialize;
use serde_json::Value;
use theater_plugin_api::host::WaitGuard;
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin, host};

use strategy::{Config, Strategy};
use theater::simple::types::ChainEvent;
use watch::ChildWatcher;

theater_plugin_api::bindings! {
    plugin: Supervisor,
    handler: Parent,
    name: "supervisor",
    wit: "../../wit",
    provides: { "theater:simple/supervisor": {
        "spawn": async read, "resume": async read, "list-children": read, "stop-child": async read,
        "restart-child": async read, "get-child-state": read, "get-child-events": async read,
    } },
    calls: { "theater:simple/supervisor-handlers": optional },
    services: { "theater.children": 0, "theater.messages": 0 },
    config: "config.schema.json",
}

/// The plugin. It has no state.
pub struct Supervisor;

impl Plugin for Supervisor {
    type Handler = Parent;

    fn init(_: Host) -> Result<Self, String> {
        Ok(Self)
    }

    async fn attach(&self, host: Host, attachment: Attachment) -> Result<Parent, String> {
        let ceiling = match attachment.ceiling {
            Value::Null => None,
            ref ceiling => Some(Config::deserialize(ceiling).map_err(|error| format!("the parent's config: {error}"))?),
        };
        Ok(Parent { host, config: attachment.config()?, ceiling })
    }

    fn narrow(&self, _: &str, ceiling: &Value, requested: &Value) -> Result<Value, String> {
        strategy::narrow(ceiling, requested)
    }
}

/// The handler of one actor, in its role as a parent.
pub struct Parent {
    host: Host,
    config: Config,
    /// The config of the actor's own parent, which bounds `config`; `None` is unbounded.
    ceiling: Option<Config>,
}

/// Has no state to export, import or recover: the core knows the children of a resumed actor, and the restart counts
/// start at zero, as they do for a supervisor that is restarted itself.
impl Handler for Parent {
    async fn started(&self, _resumed: bool) -> Result<Vec<String>, String> {
        let watch = ChildWatcher::new(self.host.clone(), Strategy::new(&self.config, self.ceiling.as_ref()));
        self.host.spawn(watch.run());
        Ok(Vec::new())
    }
}

impl Parent {
    /// Registers that this actor waits for a living child, until the result is dropped. Not needed for starts, for
    /// which the core registers the wait.
    ///
    /// # Errors
    /// If the wait would close a cycle; the message shows the cycle.
    fn waits_for(&self, child: &str, why: &str) -> Result<Option<WaitGuard>, String> {
        let living = self.host.find(child).ok().filter(|id| self.host.children().is_ok_and(|all| all.contains(id)));
        living.map(|id| self.host.wait_for(&id, why)).transpose()
    }

    /// Runs `work`, or returns an error if this actor is being stopped before `work` completes.
    async fn unless_stopped<T>(
        &self,
        call: &Call,
        what: &str,
        work: impl Future<Output = Result<T, String>>,
    ) -> Result<T, String> {
        let interrupted = || Err(format!("{what} was interrupted: this actor is being stopped"));
        if call.is_cancelled() {
            return interrupted();
        }
        let stop = async {
            self.host.cancelled().await;
            interrupted()
        };
        or(work, stop).await
    }
}

impl theater::simple::supervisor::Supervisor for Parent {
    async fn spawn(&self, call: &Call, manifest: String, init_bytes: Option<Bytes>) -> Result<String, String> {
        there_is(&manifest)?;
        let start = self.host.spawn_child(&manifest, slice(&init_bytes));
        self.unless_stopped(call, "the start of the child", start).await
    }

    async fn resume(&self, call: &Call, manifest: String, init_state: Option<Bytes>) -> Result<String, String> {
        there_is(&manifest)?;
        let start = self.host.resume_child(&manifest, slice(&init_state));
        self.unless_stopped(call, "the start of the child", start).await
    }

    fn list_children(&self, _: &Call) -> Vec<String> {
        match self.host.children() {
            Ok(children) => children,
            #[allow(
                clippy::panic,
                reason = "the function has no result: only a fault, which traps the call, can report it"
            )]
            Err(sentence) => panic!("the children could not be listed: {sentence}"),
        }
    }

    async fn stop_child(&self, call: &Call, child_id: String) -> Result<(), String> {
        let _waiting = self.waits_for(&child_id, "stop-child")?;
        let stop = self.host.stop_child(&child_id);
        self.unless_stopped(call, "the stop of the child", stop).await
    }

    async fn restart_child(&self, call: &Call, child_id: String) -> Result<(), String> {
        let _waiting = self.waits_for(&child_id, "restart-child")?;
        let restart = self.host.restart_child(&child_id);
        self.unless_stopped(call, "the restart of the child", restart).await
    }

    fn get_child_state(&self, _: &Call, child_id: &str) -> Result<Option<Bytes>, String> {
        self.host.child_state(child_id)
    }

    async fn get_child_events(&self, _: &Call, child_id: String) -> Result<Vec<ChainEvent>, String> {
        let events = self.host.child_events(&child_id).await?;
        Ok(events.into_iter().map(chain_event).collect())
    }
}

fn there_is(manifest: &str) -> Result<(), String> {
    if !manifest.trim().is_empty() {
        return Ok(());
    }
    Err("the manifest is empty; it must be TOML (with a newline or =), a URL (with a scheme), or else the path of a \
         file"
        .to_owned())
}

fn slice(bytes: &Option<Bytes>) -> Option<&[u8]> {
    bytes.as_ref().map(|bytes| bytes.as_slice())
}

fn chain_event(event: host::ChainEvent) -> ChainEvent {
    let host::ChainEvent { hash, parent_hash, event_type, data, timestamp } = event;
    ChainEvent { hash, parent_hash, event_type, data, timestamp }
}
