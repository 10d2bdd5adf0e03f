//! What the core does when an actor ends: [`Lifecycle`], the trait through which actors reach the core.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;

use theater_plugin_api::abi::{OK, forget};

use crate::actor::{ActorHandle, End, Lifecycle, START};
use crate::core::Core;
use crate::support::executor;

/// How long a plugin has to remove the data of an ended actor, in milliseconds.
const REMOVAL_MS: u64 = 10_000;

impl Core {
    /// Handles the end of one run of an actor. A held actor keeps its name: it is restarted or released later.
    fn actor_ended(&self, actor: &ActorHandle, end: &End, held: bool) {
        self.services.waits.forget(actor.id());
        if !held {
            Lifecycle::let_go(self, actor);
        }
        // The caller of a failed start reports it.
        if let End::Failed { function, reason, .. } = end
            && function != START
        {
            tracing::error!(actor = actor.short_id(), name = actor.name(), "actor failed in {function}: {reason}");
        }
    }

    /// Handles the end of an actor that is not started again.
    fn actor_released(&self, actor: &ActorHandle) {
        self.services.registry.remove(actor);
        self.names_of(actor.parent()).give_back(actor.name());
        // A parent may still read the chain of its child.
        if actor.parent().is_none() {
            self.services.journal.end_chain(actor.id());
        }
    }

    /// Asks the plugins to remove what they keep of an actor that is never started again. When the program ends it asks
    /// no plugin: a resume may start the actor again.
    pub(crate) async fn remove_from_plugins(&self, actor: &ActorHandle) {
        for plugin in self.plugins.all().filter_map(|found| found.loaded()) {
            let Some(forgetting) = forget(plugin.object, actor.id_text()) else { continue };
            if self.services.stopped.is_set() {
                return;
            }
            let answer = executor::timeout(self.services.grace(REMOVAL_MS), forgetting).await;
            let sentence = match answer {
                Some(answer) if answer.status == OK => continue,
                Some(answer) => answer.sentence(),
                None => format!("it did not end within {REMOVAL_MS} ms"),
            };
            let (actor, plugin) = (actor.short_id(), &plugin.descriptor.name);
            tracing::error!(actor, plugin, "the plugin could not remove the data of the ended actor: {sentence}");
        }
    }
}

impl Lifecycle for Core {
    fn ended(&self, actor: &ActorHandle, end: &End, held: bool) {
        self.actor_ended(actor, end, held);
    }

    fn restart_top(self: Arc<Self>, before: &ActorHandle) {
        self.restart_top_level(before);
    }

    fn let_go(&self, actor: &ActorHandle) {
        self.actor_released(actor);
    }

    fn forget<'a>(&'a self, actor: &'a ActorHandle) -> Pin<Box<dyn Future<Output = ()> + Send + 'a>> {
        Box::pin(self.remove_from_plugins(actor))
    }
}
