//! Attaches the handlers of an actor, and notifies them that it is ready.

use std::sync::Arc;

use theater_plugin_api::abi::{OwnedHandler, PANIC, host_object};

use crate::actor::ActorHandle;
use crate::core::Core;
use crate::core::prepared::{PreparedHandler, handler_error, prepared_of};
use crate::core::start::bring_up::StartFailure;
use crate::core::task::ActorTask;
use crate::core::task::interruption::bounded;
use crate::plugin::actor_host::ActorHost;
use crate::plugin::core_services::CoreServices;
use crate::support::error::{Error, HandlerProblem};
use crate::wasm::guest::Attached;

impl Core {
    /// Attaches all handlers in the order of the manifest. On failure the error carries those that are attached
    /// already.
    pub(in crate::core) async fn attach_all(
        self: &Arc<Self>,
        handle: &Arc<ActorHandle>,
    ) -> Result<Vec<Attached>, StartFailure> {
        let mut attached = Vec::new();
        let prepared = prepared_of(handle.origin());
        for (slot, handler) in prepared.handlers.iter().enumerate() {
            match self.attach(handle, handler, prepared.linked.calls.get(slot)).await {
                Ok(one) => attached.push(one),
                Err(what) => {
                    let error = handler_error(handle.name(), &handler.handler_type, handler.place.clone(), what);
                    return Err(StartFailure::internal(error, Arc::new(attached)));
                }
            }
        }
        Ok(attached)
    }

    /// Notifies each handler that the actor is ready.
    ///
    /// # Errors
    /// The first handler that refused, with its message.
    pub(in crate::core) async fn notify_started(
        handle: &ActorHandle,
        actor: &ActorTask,
        resumed: bool,
    ) -> Result<(), Error> {
        actor.notify_started(resumed).await.map_err(|(handler, sentence)| {
            let prepared = prepared_of(handle.origin());
            let known = prepared.handlers.iter().find(|known| known.handler_type == handler);
            let place = known.and_then(|handler| handler.place.clone());
            handler_error(handle.name(), &handler, place, HandlerProblem::Started(sentence))
        })
    }

    /// Attaches one handler. An interrupted actor does not wait for the plugin.
    async fn attach(
        self: &Arc<Self>,
        handle: &Arc<ActorHandle>,
        handler: &PreparedHandler,
        calls: Option<&Vec<Option<u32>>>,
    ) -> Result<Attached, HandlerProblem> {
        let plugin = &handler.plugin;
        let host = Arc::new(ActorHost::new(
            (Arc::clone(self) as Arc<dyn CoreServices>, Arc::clone(&self.watch)),
            handle,
            plugin,
            (&handler.handler_type, &handler.config),
            calls.cloned().unwrap_or_default(),
        ));
        let [config, ceiling] = &handler.texts;
        let attach = plugin.object.attach(host_object(Arc::clone(&host)), &handler.handler_type, config, ceiling);
        let attach = self.watch.polls(handle.id(), plugin, Box::pin(attach));
        match bounded(handle, attach, 0).await {
            Ok(Ok(object)) => Ok(Attached {
                plugin: Arc::clone(plugin),
                handler: OwnedHandler::new(object),
                host,
                handler_type: handler.handler_type.clone(),
            }),
            Err(why) => {
                host.end().await;
                Err(HandlerProblem::Attach(why))
            }
            Ok(Err(answer)) => {
                host.end().await;
                let message = answer.sentence();
                Err(if answer.status == PANIC {
                    HandlerProblem::AttachPanicked { plugin: plugin.descriptor.name.clone(), message }
                } else {
                    HandlerProblem::Attach(message)
                })
            }
        }
    }
}
