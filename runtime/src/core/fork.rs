//! Fork: the start of a new top-level actor with the state that another one had behind an event.
//!
//! Only the start is written: a `created` event whose first state is that state, and whose cause is that event. The actor
//! is one whose `init` has not run, so [`Core::resume`] lets it go on from there.

use std::sync::Arc;

use super::Core;
use crate::manifest::Manifest;
use crate::support::error::Error;
use theater_chain::event::{Chain, EventRef, Id, NewEvent};
use theater_chain::journal::Sync;
use theater_chain::record::Kind;

/// An actor that was made by a fork.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Forked {
    /// Its id.
    pub id: Id,
    /// Its name: that of its manifest.
    pub name: String,
    /// The actor of that name that would have gone on at a resume; the new one does now, since it is the newest.
    pub in_place_of: Option<Id>,
}

impl Core {
    /// Makes an actor from a manifest as [`Core::start`] does, but with `state` as its first one, and does not bring it up.
    ///
    /// # Errors
    /// As [`Core::start`], but for those of bringing it up.
    pub async fn fork(
        self: &Arc<Self>,
        manifest: &Manifest,
        state: Option<Vec<u8>>,
        from: EventRef,
    ) -> Result<Forked, Error> {
        let (manifest, prepared) = self.ready(manifest, self.top()).await?;
        let origin = prepared.origin(manifest, state.map(Arc::new));
        let name = origin.manifest.name.clone();
        let in_place_of = self.would_go_on(&name).await?;
        let data = self.start_data(&name, None, &origin)?;
        let id = *uuid::Uuid::new_v4().as_bytes();
        let start = NewEvent { cause: Some(from), ..NewEvent::plain(Kind::Created, &data) };
        self.services.journal.append(&mut Chain::new(id), &start, Sync::Always)?;
        self.services.journal.written().await?;
        Ok(Forked { id, name, in_place_of })
    }
}
