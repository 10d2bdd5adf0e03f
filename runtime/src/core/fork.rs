//! Fork: creates a top-level actor whose first state is the state of another actor after an event.
//!
//! Only the start is recorded: a `created` event with that state, caused by that event. Its `init` has not run, so
//! [`Core::resume`] starts the actor.

use std::sync::Arc;

use theater_chain::event::{Chain, EventRef, Id, NewEvent};
use theater_chain::journal::Sync;
use theater_chain::record::Kind;

use crate::core::Core;
use crate::manifest::Manifest;
use crate::support::error::Error;

/// The result of a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forked {
    /// The id of the new actor.
    pub id: Id,
    /// The name of the new actor, from its manifest.
    pub name: String,
    /// The actor of that name that a resume would have continued. Now it continues the new one, since that is the
    /// newest.
    pub in_place_of: Option<Id>,
}

impl Core {
    /// Creates an actor from a manifest as [`Core::start`] does, but with `state` as its first state, and does not
    /// start it.
    ///
    /// # Errors
    /// The errors of [`Core::start`] up to the recorded start.
    pub async fn fork(
        self: &Arc<Self>,
        manifest: &Manifest,
        state: Option<Vec<u8>>,
        from: EventRef,
    ) -> Result<Forked, Error> {
        let (manifest, prepared) = self.prepare_cached(manifest, self.top()).await?;
        let spec = prepared.actor_spec(manifest, state.map(Arc::new));
        let name = spec.manifest.name.clone();
        let in_place_of = self.would_resume(&name).await?;
        let data = self.start_data(&name, None, &spec)?;
        let id = *uuid::Uuid::new_v4().as_bytes();
        let start = NewEvent { cause: Some(from), ..NewEvent::plain(Kind::Created, &data) };
        self.services.journal.append(&mut Chain::new(id), &start, Sync::Always)?;
        self.services.journal.written().await?;
        Ok(Forked { id, name, in_place_of })
    }
}
