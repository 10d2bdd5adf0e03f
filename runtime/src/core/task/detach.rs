//! Ends the handlers of an actor.

use std::sync::Arc;

use theater_plugin_api::abi::{Answer, OK, PANIC};

use crate::actor::ActorHandle;
use crate::core::Core;
use crate::support::executor;
use crate::wasm::guest::Attached;

/// Stops and releases handlers, the last one first. A handler that panics or does not end in time is reported as a
/// fault.
pub(in crate::core) async fn detach(core: &Core, handle: &Arc<ActorHandle>, handlers: Arc<Vec<Attached>>) {
    // Less than a second when the program is stopping; otherwise running work may finish.
    let patience = handle.services.grace(10_000);
    // An interrupted call has dropped its store, so this is the last owner. If it is not, the handlers end with their
    // last owner.
    let Ok(mut handlers) = Arc::try_unwrap(handlers) else {
        tracing::error!(actor = handle.short_id(), "handlers are still in use at the actor's end");
        return;
    };
    while let Some(attached) = handlers.pop() {
        let Attached { plugin, handler, host, .. } = attached;
        let stopped = core.watch.polls(handle.id(), &plugin, handler.get().stopped());
        match executor::timeout(patience, stopped).await {
            Some(answer) if answer.status == OK => {}
            Some(answer) => handle.report_fault(
                &plugin.descriptor.name,
                "P0108",
                &format!("stopped panicked: {}", answer.sentence()),
            ),
            None => handle.report_fault(
                &plugin.descriptor.name,
                "P0109",
                &format!("stopped did not end within {patience:?}"),
            ),
        }
        if executor::timeout(patience, host.end()).await.is_none() {
            handle.report_fault(
                &plugin.descriptor.name,
                "P0109",
                &format!("a task it spawned did not end within {patience:?}"),
            );
        }
        let answer: Answer = {
            let _watched = core.watch.enter(handle.id(), &plugin);
            handler.release()
        };
        if answer.status == PANIC {
            handle.report_fault(
                &plugin.descriptor.name,
                "P0106",
                &format!("the handler's drop panicked: {}", answer.sentence()),
            );
        }
    }
}
