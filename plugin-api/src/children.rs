//! Starts, monitors and stops an actor's children: service `theater.children`.
//!
//! The core starts and stops actors, keeps the tree of parents and children, and delivers the end of each child to the
//! parent's plugin exactly once. The plugin decides what follows: notify the parent, restart the child, release it, or
//! fail.

use serde::de::DeserializeOwned;
use theater_encoding::{self as encoding, Bytes};
use theater_plugin_abi::{Answer, OK};

use crate::abi::host_handle::Host;
use crate::host_types::{ChainEvent, ChildEnd};

/// The core's answer, or an error answer if it does not offer the service.
type ServiceAnswer = Result<Answer, Answer>;

impl Host {
    /// Starts a child of this actor and returns its id once it is ready.
    ///
    /// `manifest` is TOML if it contains a newline or `=`, a URL if it has a scheme, and otherwise a path relative to
    /// this actor's manifest. `state` replaces the state that the manifest passes to `init`.
    ///
    /// # Errors
    /// The chain of causes of the failed start.
    pub async fn spawn_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<String, String> {
        text(awaited(self.raw_spawn_child(manifest, state)).await)
    }

    /// Starts the ended child with that manifest's name again, with the same id and chain, and returns the id. `init`
    /// receives `state`, or the child's last state if there is none.
    ///
    /// # Errors
    /// There is no such ended child, or the chain of causes of the failed start.
    pub async fn resume_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<String, String> {
        text(awaited(self.raw_resume_child(manifest, state)).await)
    }

    /// Restarts a running or held child as it was first started, with the same id. Its queued calls are kept.
    ///
    /// # Errors
    /// It is not such a child, or the chain of causes of the failed start. In the latter case the child is held again
    /// and its end is reported.
    pub async fn restart_child(&self, child: &str) -> Result<(), String> {
        text(awaited(self.raw_restart_child(child, false)).await).map(drop)
    }

    /// Restarts a child that is held, as [`Host::restart_child`]. Does nothing if it has been restarted in the
    /// meantime. Supervision strategies use this.
    ///
    /// # Errors
    /// As [`Host::restart_child`].
    pub async fn restart_held_child(&self, child: &str) -> Result<(), String> {
        text(awaited(self.raw_restart_child(child, true)).await).map(drop)
    }

    /// Stops a child and its descendants, the deepest first, and returns when all have stopped. Does nothing if the
    /// child has ended.
    ///
    /// # Errors
    /// It is not a child of this actor.
    pub async fn stop_child(&self, child: &str) -> Result<(), String> {
        text(awaited(self.raw_stop_child(child)).await).map(drop)
    }

    /// Releases a held child: its queued calls are answered.
    ///
    /// # Errors
    /// It is not a child of this actor.
    pub fn release_child(&self, child: &str) -> Result<(), String> {
        text(self.raw_release_child(child)).map(drop)
    }

    /// The ids of the running and held children, oldest first.
    ///
    /// # Errors
    /// The core does not offer the service.
    pub fn children(&self) -> Result<Vec<String>, String> {
        decoded(self.raw_children())
    }

    /// The state after the last completed call of a descendant, or none. Does not wait for a running call.
    ///
    /// # Errors
    /// It is not a descendant of this actor.
    pub fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String> {
        decoded(self.raw_child_state(actor))
    }

    /// The newest events of a descendant's chain that fit into one value, oldest first.
    ///
    /// # Errors
    /// It is not a descendant of this actor, or its chain cannot be read.
    pub async fn child_events(&self, actor: &str) -> Result<Vec<ChainEvent>, String> {
        decoded(awaited(self.raw_child_events(actor)).await)
    }

    /// The next end of a child. Each end is returned once, in order. A child that ended without being stopped is held
    /// until [`Host::restart_held_child`] or [`Host::release_child`].
    ///
    /// # Errors
    /// This actor is ending, and no more ends are reported.
    pub async fn next_child_end(&self) -> Result<ChildEnd, String> {
        decoded(awaited(self.raw_next_end()).await)
    }

    /// Ends this actor as failed after the running call.
    ///
    /// # Errors
    /// The core does not offer the service.
    pub fn fail(&self, reason: &str) -> Result<(), String> {
        self.raw_fail(reason).map_err(|answer| answer.sentence())
    }
}

async fn awaited(future: Result<impl Future<Output = Answer>, Answer>) -> ServiceAnswer {
    Ok(future?.await)
}

fn text(answer: ServiceAnswer) -> Result<String, String> {
    match answer {
        Ok(answer) if answer.status == OK => Ok(answer.sentence()),
        Ok(refused) | Err(refused) => Err(refused.sentence()),
    }
}

fn decoded<T: DeserializeOwned>(answer: ServiceAnswer) -> Result<T, String> {
    match answer {
        Ok(answer) if answer.status == OK => encoding::decode(&answer.bytes).map_err(|error| error.to_string()),
        Ok(refused) | Err(refused) => Err(refused.sentence()),
    }
}
