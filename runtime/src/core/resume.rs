//! Resume: continues the actors that were running when previous runs of the program ended.
//!
//! # What is resumed
//! An actor is resumed when its chain does not end, or ends because the program did (a crash, a failure of a top-level
//! actor, or `stopped` with the program's own reason). Of several top-level actors with one name only the newest is. A
//! child is resumed only below a parent that runs. An ended child whose parent had not decided about it is *held*: the
//! parent is notified again and decides.
//!
//! # Algorithm
//! 1. `plan` reads all events once and forward. It takes from each chain its end, and from the order across chains what
//!    no single chain tells ([`Crossings`](crossings::Crossings)): which deaths the parents know, and which calls an
//!    unfinished host call had sent to other actors.
//! 2. `read` reads each chain backwards to its last snapshot (or start), and to the calls that waited at that point.
//! 3. `revive` re-executes the finished calls after that point in the replay engine, with host results from the chain,
//!    which gives the state. It claims the name, continues the chain, attaches the handlers and rebuilds their state
//!    with `import_state` and `recover`. A kept instance gets its memory back by re-executing its calls. Nothing is
//!    visible outside yet.
//! 4. `launch` notifies the handlers that the actor is ready. Then parents are notified of deaths, and the tasks start.
//!    An unfinished call runs first: its host calls return their recorded results up to the point of the crash and run
//!    for real after it. Queued calls follow in their recorded order.
//!
//! # Invariants
//! - Parents are revived before their children, since a chain begins after the chain of its parent.
//! - No handler is notified before all actors are registered, so a handler that looks for another actor finds it.
//! - No host call with a recorded result runs twice. One with a recorded intent but no result has an unknown outcome:
//!   it returns `err`, or runs again where the manifest permits that.
//! - A resumed host call re-issues its calls to other actors. The receivers recognize these
//!   ([`PendingReply`](crate::actor::PendingReply)) and answer them with the first result.
//! - A child that was started during the unfinished call of its parent, after that call's last recorded host call, is
//!   ended: the parent does not know it, and the resumed call starts another one.
//!
//! # Damage
//! A journal that cannot be read stops the resume. A chain that does not decode, a missing object, data that was
//! dropped, or a call that differs from the chain refuses that actor and those below it, and leaves its chain as it is,
//! so that a later run can resume it. The first error of an actor never affects actors outside its tree.

use std::collections::HashMap;
use std::sync::Arc;

use theater_plugin_api::uuid_text;

use theater_chain::event::Id;
use theater_chain::record::Created;
use theater_chain::verify;

use crate::actor::ActorHandle;
use crate::core::Core;
use crate::replay::parts::Parts;
use crate::support::error::Error;

mod crossings;
mod launch;
mod plan;
mod read;
mod recover;
mod revive;

use crossings::Crossings;
use plan::RecordedEnd;
use revive::{ResumedActor, ResumedRole};

/// An actor of a previous run: its id, the end of its chain, its newest start, and how it ended.
type Candidate = (Id, verify::ChainEnd, Created, RecordedEnd);

/// The result of a resume.
#[derive(Default)]
pub struct Resumed {
    /// Top-level actors that were resumed.
    pub actors: Vec<Arc<ActorHandle>>,
    /// The number of resumed actors, children included.
    pub count: usize,
    /// Why other actors were not resumed; actors below one of these have no entry. A later run may resume them.
    pub refused: Vec<Error>,
    /// The names of the top-level actors among those that were not resumed.
    pub waiting: Vec<String>,
}

impl Core {
    /// Resumes the actors of previous runs of the program. Once the program begins to stop, no further actor is
    /// resumed.
    ///
    /// # Errors
    /// The journal cannot be read, or is damaged. An actor that cannot be resumed is no error: see
    /// [`Resumed::refused`].
    pub async fn resume(self: &Arc<Self>) -> Result<Resumed, Error> {
        let (ends, crossings) = self.ends().await?;
        let parts = Arc::new(Parts::new(Arc::clone(&self.engines), self.data()));
        let mut resumed = Resumed::default();
        let (candidates, newest) = self.candidates(ends, &crossings, &mut resumed).await;
        let mut revived: Vec<ResumedActor> = Vec::new();
        let mut indexes: HashMap<String, usize> = HashMap::new();
        for (number, (id, end, created, recorded_end)) in candidates.into_iter().enumerate() {
            if matches!(recorded_end, RecordedEnd::Ended) || self.services.stopped.is_set() {
                continue;
            }
            // Only the newest top-level actor of a name, and only below a parent that runs.
            let parent = match &created.parent {
                None if newest.get(&created.name) != Some(&number) => continue,
                None => None,
                Some(parent) => match indexes.get(parent).and_then(|index| revived.get(*index)) {
                    Some(parent) if matches!(parent.role, ResumedRole::Runs { .. }) => Some(parent),
                    _ => continue,
                },
            };
            if parent.is_some_and(|parent| parent.last_host_call.is_some_and(|until| end.first > until)) {
                self.record_failed_start(end.chain, end.newest, "the program ended before its parent learned of it")?;
                continue;
            }
            let parent = parent.map(|parent| Arc::clone(&parent.handle));
            let (top, name) = (parent.is_none(), created.name.clone());
            match self.revive(&parts, parent.as_ref(), end, created, recorded_end).await {
                Ok(actor) => {
                    indexes.insert(uuid_text(&id), revived.len());
                    revived.push(actor);
                }
                Err(error) => {
                    if top {
                        resumed.waiting.push(name);
                    }
                    resumed.refused.push(error);
                }
            }
        }
        self.expect_repeated_calls(&revived, crossings);
        self.launch(revived, &mut resumed).await;
        Ok(resumed)
    }

    /// Decodes what each chain says of its actor. Returns the actors in the order of their first events, and for each
    /// name the index of the newest top-level actor. Chains that do not decode are added to [`Resumed::refused`].
    async fn candidates(
        self: &Arc<Self>,
        ends: Vec<(Id, verify::ChainEnd)>,
        crossings: &Crossings,
        resumed: &mut Resumed,
    ) -> (Vec<Candidate>, HashMap<String, usize>) {
        let mut candidates = Vec::new();
        let mut newest: HashMap<String, usize> = HashMap::new();
        for (id, end) in ends {
            let (created, recorded_end) = match self.recorded_end(id, &end, crossings).await {
                Ok(known) => known,
                Err(error) => {
                    resumed.refused.push(error);
                    continue;
                }
            };
            if created.parent.is_none() {
                newest.insert(created.name.clone(), candidates.len());
            }
            candidates.push((id, end, created, recorded_end));
        }
        (candidates, newest)
    }
}
