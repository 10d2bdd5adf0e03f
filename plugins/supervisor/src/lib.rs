//! The plugin `supervisor`: an actor that starts other actors and looks after them.
//!
//! The core does the work (service `theater.children`): it starts and stops, keeps who is whose child, ends subtrees
//! deepest first, refuses waits that would close a cycle, and keeps what waits for a child over its restart. In here is
//! what a death means: `watch` tells the parent and does what `strategy` decides, by the child's name (`pattern`).
//!
//! No function is an `effect`. Starting and stopping actors changes the runtime itself, not the outside, and stands in the
//! child's own chain; an intent, durable before each, would tell nothing that is not there. They are `read`: the answer
//! depends on more than the arguments, is recorded, and a replay takes it from the chain.

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
use theater_plugin_api::host::Waiting;
use theater_plugin_api::{Attachment, Bytes, Call, Handler, Host, Plugin, host};

use strategy::{Config, Strategy};
use theater::simple::types::ChainEvent;
use watch::Watch;

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

/// The plugin: it keeps nothing.
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

/// One actor as a parent.
pub struct Parent {
    host: Host,
    config: Config,
    /// What the actor's own parent may; none is everything.
    ceiling: Option<Config>,
}

/// It has no state to export, import or recover: the core knows the children of an actor that resumes, and the counts of
/// restarts begin at none, as with a supervisor that is itself started again.
impl Handler for Parent {
    async fn started(&self, _resumed: bool) -> Result<Vec<String>, String> {
        let watch = Watch::new(self.host.clone(), Strategy::new(&self.config, self.ceiling.as_ref()));
        self.host.spawn(watch.run());
        Ok(Vec::new())
    }
}

impl Parent {
    /// This actor waits for a living child until the result is dropped; the core adds the edge of a start itself.
    ///
    /// # Errors
    /// The cycle that the wait would close.
    fn waits_for(&self, child: &str, why: &str) -> Result<Option<Waiting>, String> {
        let living = self.host.find(child).ok().filter(|id| self.host.children().is_ok_and(|all| all.contains(id)));
        living.map(|id| self.host.wait_for(&id, why)).transpose()
    }

    /// What `work` gives, or an error when this actor is being stopped before it ends.
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
                reason = "the function has no result: only a fault, which traps the call, can say it"
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
    Err("the manifest is empty; it has to be TOML (then it has a newline or =), a URL (with a scheme) or else the path of \
         a file"
        .to_owned())
}

fn slice(bytes: &Option<Bytes>) -> Option<&[u8]> {
    bytes.as_ref().map(|bytes| bytes.as_slice())
}

fn chain_event(event: host::ChainEvent) -> ChainEvent {
    let host::ChainEvent { hash, parent_hash, event_type, data, timestamp } = event;
    ChainEvent { hash, parent_hash, event_type, data, timestamp }
}
