//! The plan of a resume: reads where each chain ends, and decides from its last events what its actor does.

use std::sync::Arc;

use theater_plugin_api::encoding::decode;
use theater_plugin_api::{FailureKind, uuid_text};

use theater_chain::event::{EventRef, Id};
use theater_chain::journal::segment::FramePosition;
use theater_chain::record::{Created, Failed, Kind, Stopped};
use theater_chain::verify;

use crate::actor::{BY_ITSELF, BY_PROGRAM, End, START, TO_RESTART};
use crate::core::Core;
use crate::core::resume::crossings::Crossings;
use crate::core::resume::read::read_recorded;
use crate::support::error::{ActorProblem, Error};
use crate::support::executor;

/// How an actor ended according to its chain.
pub(super) enum RecordedEnd {
    /// It did not end, or only because the program did: it is resumed.
    Running,
    /// It ended, and its parent has not decided what happens to it. `is_notified` is whether the parent was notified.
    Held { end: End, event: EventRef, is_notified: bool },
    /// It ended for good.
    Ended,
}

impl Core {
    /// Reads the whole journal. Returns the end of each chain, sorted by first event, and what the order across chains
    /// tells.
    pub(super) async fn ends(&self) -> Result<(Vec<(Id, verify::ChainEnd)>, Crossings), Error> {
        let data = self.data().to_owned();
        let (contents, crossings) = executor::blocking(move || {
            let mut crossings = Crossings::default();
            verify::read(&data, |event| crossings.observe(event)).map(|contents| (contents, crossings))
        })
        .await?;
        let mut ends: Vec<_> = contents.chains.into_iter().collect();
        ends.sort_by_key(|(_, end)| end.first);
        Ok((ends, crossings))
    }

    /// Returns the top-level actor of that name that [`Core::resume`] would resume.
    ///
    /// # Errors
    /// The errors of [`Core::resume`].
    pub(in crate::core) async fn would_resume(self: &Arc<Self>, name: &str) -> Result<Option<Id>, Error> {
        let (ends, crossings) = self.ends().await?;
        let mut newest = None;
        for (id, end) in ends {
            // A chain that does not decode is never resumed.
            if let Ok((created, recorded_end)) = self.recorded_end(id, &end, &crossings).await
                && created.parent.is_none()
                && created.name == name
            {
                newest = matches!(recorded_end, RecordedEnd::Running).then_some(id);
            }
        }
        Ok(newest)
    }

    /// Returns the actor's newest start and how the actor ended.
    ///
    /// # Errors
    /// The chain cannot be read or does not decode; it does not begin with a start.
    pub(super) async fn recorded_end(
        self: &Arc<Self>,
        id: Id,
        end: &verify::ChainEnd,
        crossings: &Crossings,
    ) -> Result<(Created, RecordedEnd), Error> {
        let setup = end.setups.last().copied();
        let folder = self.data().join("journal");
        let read = executor::blocking(move || {
            let setup: FramePosition = setup.ok_or_else(|| std::io::Error::other("it does not begin with a start"))?;
            read_recorded(&folder, id, setup)
        });
        let unreadable = |source| theater_chain::Error::Read { path: self.data().join("journal"), source };
        let setup = read.await.map_err(unreadable)?;
        let wrong = |what: String| Error::Actor { name: end.name.clone(), what: ActorProblem::NotResumed(what) };
        let undecodable = |error| wrong(format!("its chain ({}) does not decode: {error}", uuid_text(&id)));
        let created: Created = decode(&setup.data).map_err(undecodable)?;
        let Some(death) = crossings.deaths.get(&id) else { return Ok((created, RecordedEnd::Running)) };
        let (event, is_notified) = (death.event, death.is_notified);
        let again = setup.header.kind == Kind::Restarted as u8;
        let recorded_end = match death.kind {
            _ if death.is_released => RecordedEnd::Ended,
            Kind::Stopped => {
                let Stopped { reason, data } = decode(&death.data).map_err(undecodable)?;
                match (reason.as_str(), &created.parent) {
                    (BY_PROGRAM, _) => RecordedEnd::Running,
                    (BY_ITSELF | TO_RESTART, Some(_)) => {
                        let end = End::Stopped { reason, data: data.map(|data| data.to_vec()) };
                        RecordedEnd::Held { end, event, is_notified }
                    }
                    _ => RecordedEnd::Ended,
                }
            }
            _ => {
                let Failed { step, message } = decode(&death.data).map_err(undecodable)?;
                match &created.parent {
                    // The caller of a failed start was notified, and no actor was left.
                    _ if step == START && !again => RecordedEnd::Ended,
                    None => RecordedEnd::Running,
                    Some(_) => {
                        let end = End::Failed { function: step, kind: FailureKind::Internal, reason: message };
                        RecordedEnd::Held { end, event, is_notified }
                    }
                }
            }
        };
        Ok((created, recorded_end))
    }
}
