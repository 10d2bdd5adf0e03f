//! Warnings of the watchdog: host calls that wait long, and plugins that do not return.

use std::sync::Arc;
use std::time::Duration;

use theater_plugin_api::uuid_text;

use crate::actor::ActorHandle;
use crate::core::Core;
use crate::core::prepared::prepared_of;
use crate::plugin::watchdog::Stuck;

/// How long a host call may wait before it is logged.
const LONG_WAIT: Duration = Duration::from_secs(30);

impl Core {
    /// Logs each host call that has waited for longer than [`LONG_WAIT`], once.
    pub(super) fn report_waits(&self) {
        for actor in self.services.registry.all() {
            let Some((record, since)) = actor.long_wait(LONG_WAIT) else { continue };
            let prepared = prepared_of(actor.origin());
            let function = actor.origin().interface.functions.get(record as usize);
            let handler = function
                .and_then(|function| function.handler)
                .and_then(|handler| prepared.handlers.get(handler as usize));
            let plugin = handler.map_or("?", |handler| handler.plugin.descriptor.name.as_str());
            let label = function.map_or_else(String::new, |known| format!("{}/{}", known.interface, known.function));
            let limit = match actor.limits().call_timeout_ms {
                0 => "call_timeout_ms is 0: nothing ends it but a stop".to_owned(),
                limit => format!("it is ended after call_timeout_ms = {limit}"),
            };
            let (id, name, seconds) = (actor.short_id(), actor.name(), since.as_secs());
            tracing::warn!(actor = id, name, "has waited for {seconds} s for {label} of plugin {plugin:?}; {limit}");
        }
    }

    /// Logs a plugin call that does not return. Ends the actor when the call exceeds `run_timeout_ms`, or when the
    /// actor is interrupted.
    pub(super) fn report_stuck(&self, stuck: &Stuck) {
        let actor = self.services.registry.get(stuck.actor);
        let (name, limit) = match &actor {
            Some(actor) => (actor.name().to_owned(), actor.limits().run_timeout_ms),
            None => (uuid_text(&stuck.actor), u64::MAX),
        };
        if stuck.first {
            let millis = stuck.since.as_millis();
            tracing::warn!(
                code = "P0107",
                "plugin {:?} has not returned from a call for actor {name:?} for {millis} ms; {}",
                stuck.plugin,
                if stuck.replaced {
                    "a worker thread was added in place of the one it holds"
                } else {
                    "it holds a worker thread, and no more can be added"
                }
            );
        }
        let over = |actor: &Arc<ActorHandle>| {
            // An earlier run of the actor may hold the thread.
            stuck.since <= actor.begun().elapsed()
                && (stuck.since >= Duration::from_millis(limit) || actor.is_interrupted())
        };
        if let Some(actor) = actor.filter(over) {
            let within = if actor.is_interrupted() {
                "in the time the actor had to stop".to_owned()
            } else {
                format!("within run_timeout_ms = {limit}")
            };
            let message = format!(
                "[P0107] plugin {:?} did not return {within}; its thread is lost until the program ends",
                stuck.plugin
            );
            actor.abandon(message);
        }
    }
}
