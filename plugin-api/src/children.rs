//! Starting, watching and ending an actor's children: service `theater.children`.
//!
//! The core starts and ends actors, keeps who is whose child and hands every death to the parent's plugin exactly once; what
//! a death means (tell the parent, start again, let go, fail) is the plugin's to decide.

use serde::de::DeserializeOwned;
use theater_plugin_abi::{Answer, OK};

use crate::abi::host_handle::Host;
use crate::host_types::{ChainEvent, ChildEnd};
use crate::{Bytes, encoding};

/// What the core answered, or a sentence.
type ServiceAnswer = Result<Answer, Answer>;

impl Host {
    /// Starts a child of this actor and returns its id once it is ready. `manifest` is TOML when it has a newline or `=`, a
    /// URL when it has a scheme, else a path (relative to this actor's manifest). `state` is what its `init` gets in place
    /// of the manifest's.
    ///
    /// # Errors
    /// The chain of causes of the failed start.
    pub async fn spawn_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<String, String> {
        text(awaited(self.raw_spawn_child(manifest, state)).await)
    }

    /// Starts the ended child of that manifest's name again with the same id and chain, and returns the id. `init` gets
    /// `state`, or without one the child's last state.
    ///
    /// # Errors
    /// There is no such ended child, or the chain of causes of the failed start.
    pub async fn resume_child(&self, manifest: &str, state: Option<&[u8]>) -> Result<String, String> {
        text(awaited(self.raw_resume_child(manifest, state)).await)
    }

    /// Starts a living or held child again as it was first started, with the same id; calls that wait for it stay.
    ///
    /// # Errors
    /// It is no such child, or the chain of causes of the failed start; then the child is held again and its death told.
    pub async fn restart_child(&self, child: &str) -> Result<(), String> {
        text(awaited(self.raw_restart_child(child, false)).await).map(drop)
    }

    /// As [`Host::restart_child`] for a child that is held; one that was started again meanwhile is left alone. What a
    /// strategy calls.
    ///
    /// # Errors
    /// As [`Host::restart_child`].
    pub async fn restart_held_child(&self, child: &str) -> Result<(), String> {
        text(awaited(self.raw_restart_child(child, true)).await).map(drop)
    }

    /// Stops a child and everything below it, deepest first; returns when they have stopped. Nothing when it has ended.
    ///
    /// # Errors
    /// It is no child of this actor.
    pub async fn stop_child(&self, child: &str) -> Result<(), String> {
        text(awaited(self.raw_stop_child(child)).await).map(drop)
    }

    /// Lets a child go that ended and is held: what waits for it is answered.
    ///
    /// # Errors
    /// It is no child of this actor.
    pub fn release_child(&self, child: &str) -> Result<(), String> {
        text(self.raw_release_child(child)).map(drop)
    }

    /// The ids of the children that live or are held, oldest first.
    ///
    /// # Errors
    /// The core does not offer the service.
    pub fn children(&self) -> Result<Vec<String>, String> {
        decoded(self.raw_children())
    }

    /// The last state a descendant's calls left, none when it has none; never waits for a running call.
    ///
    /// # Errors
    /// It is no descendant of this actor.
    pub fn child_state(&self, actor: &str) -> Result<Option<Bytes>, String> {
        decoded(self.raw_child_state(actor))
    }

    /// The newest events of a descendant's chain, oldest first, as many as fit into one value.
    ///
    /// # Errors
    /// It is no descendant of this actor, or its chain cannot be read.
    pub async fn child_events(&self, actor: &str) -> Result<Vec<ChainEvent>, String> {
        decoded(awaited(self.raw_child_events(actor)).await)
    }

    /// The next death of a child: each is given out once, in order. A child that ended, unless somebody stopped it, is held
    /// until [`Host::restart_held_child`] or [`Host::release_child`].
    ///
    /// # Errors
    /// This actor is ending: no more deaths are told.
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

fn text(told: ServiceAnswer) -> Result<String, String> {
    match told {
        Ok(answer) if answer.status == OK => Ok(answer.sentence()),
        Ok(refused) | Err(refused) => Err(refused.sentence()),
    }
}

fn decoded<T: DeserializeOwned>(told: ServiceAnswer) -> Result<T, String> {
    match told {
        Ok(answer) if answer.status == OK => encoding::decode(&answer.bytes).map_err(|error| error.to_string()),
        Ok(refused) | Err(refused) => Err(refused.sentence()),
    }
}
