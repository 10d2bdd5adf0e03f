//! Resume: the actors of a program before go on in this one.
//!
//! An actor goes on when its chain does not end with `stopped`, or ends so because the program did; of several top-level
//! actors of one name, the newest one can. It has the state after its last call that ended, found by replaying what is behind its
//! last snapshot; its handlers are made again by `import_state` and `recover`, and then told that it is ready. A call that
//! had begun goes on first: what its host calls gave before comes from the chain. Then calls that wait go on in their order.
//! A child whose birth the chain of its parent does not tell ends: the parent's call makes another one.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use theater_plugin_api::abi::{Answer, EXPORT, OK};
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::{FailureKind, uuid_text};

use super::{Core, StartFailure, handler_error, prepared_of};
use crate::actor::StartMode;
use crate::actor::remainder::UnfinishedCall;
use crate::actor::{
    ActorHandle, ActorSpec, BY_ITSELF, BY_PROGRAM, CallOutcome, End, PendingReply, Settings, TO_RESTART,
};
use crate::core::task::{ActorTask, detach};
use crate::manifest::Manifest;
use crate::manifest::Under;
use crate::plugin::watchdog::Watchdog;
use crate::replay::{self, HandlerSlot, Parts, QueuedEvent, RecordedEvent, ResumePoint, is_for_good};
use crate::support::error::{ActorProblem, Error, HandlerProblem, chain_of};
use crate::support::executor;
use crate::wasm::linker::Attached;
use theater_chain::event::{Chain, EventRef, Id, NewEvent};
use theater_chain::interface_name::meets;
use theater_chain::journal::Sync;
use theater_chain::journal::lookup::StoredEvent;
use theater_chain::journal::segment::FramePosition;
use theater_chain::record::{Created, Failed, FunctionRecord, Kind, Outcome, Return, Snapshot, Stopped};
use theater_chain::verify;

/// What became of the actors of a program before.
#[derive(Default)]
pub struct Resumed {
    /// Top-level actors that go on.
    pub actors: Vec<Arc<ActorHandle>>,
    /// How many actors go on, children among them.
    pub count: usize,
    /// Why others do not; those below one of them are not named. Another program may resume them.
    pub refused: Vec<Error>,
    /// The names of those of them that are top-level actors.
    pub waiting: Vec<String>,
}

impl Resumed {
    fn stays(&mut self, actor: &ActorHandle, error: Error) {
        if actor.parent().is_none() {
            self.waiting.push(actor.name().to_owned());
        }
        self.refused.push(error);
    }

    fn goes_on(&mut self, actor: Arc<ActorHandle>) {
        self.count += 1;
        if actor.parent().is_none() {
            self.actors.push(actor);
        }
    }
}

/// What an actor's chain says of its end.
enum RecordedEnd {
    /// It goes on.
    Goes,
    /// It ended, and its parent has not said what becomes of it; whether the parent was told.
    Held { end: End, event: EventRef, is_told: bool },
    /// It ended.
    Over,
}

/// What the order of all events tells, and no chain alone.
#[derive(Default)]
struct Crossings {
    /// The end of each actor that has ended, whatever came to its mailbox since.
    deaths: HashMap<Id, Death>,
    /// Of each actor, the calls that its newest host call queued, if that has not ended.
    asked: HashMap<Id, Vec<CrossingCall>>,
    /// Whose they are, by the actor and the call.
    askers: HashMap<(Id, u64), Id>,
}

/// An actor's end.
struct Death {
    event: EventRef,
    kind: Kind,
    data: Vec<u8>,
    /// Its parent's chain tells of it.
    is_told: bool,
    /// Its parent has let it go.
    is_released: bool,
}

/// A call of an actor that another one's host call asked for.
struct CrossingCall {
    cause: EventRef,
    of: Id,
    sequence: u64,
    outcome: Option<Outcome>,
}

impl Crossings {
    fn see(&mut self, event: &verify::Event<'_>) {
        let header = &event.header;
        match Kind::from_number(header.kind) {
            Some(kind @ (Kind::Stopped | Kind::Failed)) => {
                let ended = EventRef { actor: header.actor, sequence: header.sequence, hash: event.hash };
                let data = event.data.unwrap_or_default().to_vec();
                let death = Death { event: ended, kind, data, is_told: false, is_released: false };
                self.deaths.insert(header.actor, death);
                self.settled(header.actor);
            }
            Some(Kind::Restarted | Kind::Swapped | Kind::Instance) => {
                self.deaths.remove(&header.actor);
            }
            Some(Kind::Released) => {
                if let Some(death) = self.deaths.get_mut(&header.actor) {
                    death.is_released = true;
                }
            }
            Some(Kind::Queued) => {
                let Some(cause) = header.cause else { return };
                if let Some(death) = self.deaths.get_mut(&cause.actor) {
                    death.is_told |= death.event.sequence == cause.sequence;
                }
                let asked = CrossingCall { cause, of: header.actor, sequence: header.sequence, outcome: None };
                self.askers.insert((asked.of, asked.sequence), cause.actor);
                self.asked.entry(cause.actor).or_default().push(asked);
            }
            Some(Kind::Host) => self.settled(header.actor),
            Some(Kind::Return) => {
                self.settled(header.actor);
                let key = (header.actor, header.call.unwrap_or_default());
                let asked = self.askers.get(&key).and_then(|asker| self.asked.get_mut(asker));
                let asked = asked.and_then(|all| all.iter_mut().find(|asked| (asked.of, asked.sequence) == key));
                let dropped = || Outcome::Interrupted("how it ended was dropped from the chain".to_owned());
                if let Some(asked) = asked {
                    let returned = event.data.map(|data| decode::<Return>(data).ok().map(|returned| returned.outcome));
                    asked.outcome = returned.unwrap_or_else(|| Some(dropped()));
                }
            }
            _ => {}
        }
    }

    /// A host call of the actor has ended, and with it what it asked for.
    fn settled(&mut self, actor: Id) {
        for asked in self.asked.remove(&actor).unwrap_or_default() {
            self.askers.remove(&(asked.of, asked.sequence));
        }
    }
}

/// An actor that goes on, before anybody is told.
struct ResumedActor {
    shared: Arc<ActorHandle>,
    role: ResumedRole,
    /// A child born behind this may be unknown to it.
    knows_until: Option<FramePosition>,
    /// Its calls that have not ended.
    unended: Vec<u64>,
}

/// What a revived actor does.
enum ResumedRole {
    /// It runs; when its `init` had not ended, with that call, or none where it had not come to it.
    Runs { actor: Box<ActorTask>, handlers: Arc<Vec<Attached>>, init: Option<Option<Box<UnfinishedCall>>> },
    /// It waits for what its parent says.
    Held { end: End, event: EventRef, is_told: bool },
}

/// A chain, read as far as an actor goes on from it.
struct ChainTail {
    setup: RecordedEvent,
    base: Option<Snapshot>,
    queued: Vec<QueuedEvent>,
    past: Vec<RecordedEvent>,
    last_host: FramePosition,
}

impl Core {
    /// Lets the actors of the programs before go on. Once the program is told to end, no further ones do.
    ///
    /// # Errors
    /// The journal cannot be read, or is damaged.
    pub async fn resume(self: &Arc<Self>) -> Result<Resumed, Error> {
        let (ends, between) = self.ends().await?;
        let parts = Arc::new(Parts::new(Arc::clone(&self.engines), self.data()));
        let mut resumed = Resumed::default();
        let mut chosen = Vec::new();
        let mut newest: HashMap<String, usize> = HashMap::new();
        for (id, end) in ends {
            let (created, fate) = match self.fate(id, &end, &between).await {
                Ok(known) => known,
                Err(error) => {
                    resumed.refused.push(error);
                    continue;
                }
            };
            if created.parent.is_none() {
                newest.insert(created.name.clone(), chosen.len());
            }
            chosen.push((id, end, created, fate));
        }
        let mut revived: Vec<ResumedActor> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (number, (id, end, created, fate)) in chosen.into_iter().enumerate() {
            if matches!(fate, RecordedEnd::Over) || self.services.stopped.is_set() {
                continue;
            }
            let parent = match &created.parent {
                None if newest.get(&created.name) != Some(&number) => continue,
                None => None,
                Some(parent) => match places.get(parent).and_then(|place| revived.get(*place)) {
                    Some(parent) if matches!(parent.role, ResumedRole::Runs { .. }) => Some(parent),
                    _ => continue,
                },
            };
            if parent.is_some_and(|parent| parent.knows_until.is_some_and(|until| end.first > until)) {
                self.end_start(end.chain, end.newest, "the program ended before its parent learned of it")?;
                continue;
            }
            let parent = parent.map(|parent| Arc::clone(&parent.shared));
            let (top, name) = (parent.is_none(), created.name.clone());
            match self.revive(&parts, parent.as_ref(), end, created, fate).await {
                Ok(actor) => {
                    places.insert(uuid_text(&id), revived.len());
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
        self.expect_repeats(&revived, between);
        self.tell_all(revived, &mut resumed).await;
        Ok(resumed)
    }

    /// The end of each chain in the order of their beginnings, and what the order of all events tells.
    async fn ends(&self) -> Result<(Vec<(Id, verify::ChainEnd)>, Crossings), Error> {
        let data = self.data().to_owned();
        let (contents, between) = executor::blocking(move || {
            let mut between = Crossings::default();
            verify::read(&data, |event| between.see(event)).map(|contents| (contents, between))
        })
        .await?;
        let mut ends: Vec<_> = contents.chains.into_iter().collect();
        ends.sort_by_key(|(_, end)| end.first);
        Ok((ends, between))
    }

    /// The top-level actor of that name that [`Core::resume`] would let go on, if it can.
    ///
    /// # Errors
    /// As [`Core::resume`].
    pub(super) async fn would_go_on(self: &Arc<Self>, name: &str) -> Result<Option<Id>, Error> {
        let (ends, between) = self.ends().await?;
        let mut newest = None;
        for (id, end) in ends {
            // A chain that tells nothing of its actor is not resumed.
            if let Ok((created, fate)) = self.fate(id, &end, &between).await
                && created.parent.is_none()
                && created.name == name
            {
                newest = matches!(fate, RecordedEnd::Goes).then_some(id);
            }
        }
        Ok(newest)
    }

    /// What the chain says of the actor, and what becomes of it.
    async fn fate(
        self: &Arc<Self>,
        id: Id,
        end: &verify::ChainEnd,
        between: &Crossings,
    ) -> Result<(Created, RecordedEnd), Error> {
        let setup = end.setups.last().copied();
        let folder = self.data().join("journal");
        let read = executor::blocking(move || {
            let setup: FramePosition = setup.ok_or_else(|| std::io::Error::other("it does not begin with a start"))?;
            past_at(&folder, id, setup)
        });
        let unreadable = |source| theater_chain::Error::Read { path: self.data().join("journal"), source };
        let setup = read.await.map_err(unreadable)?;
        let wrong = |what: String| Error::Actor { name: end.name.clone(), what: ActorProblem::NotResumed(what) };
        let undecodable = |error| wrong(format!("its chain ({}) does not decode: {error}", uuid_text(&id)));
        let created: Created = decode(&setup.data).map_err(undecodable)?;
        let Some(death) = between.deaths.get(&id) else { return Ok((created, RecordedEnd::Goes)) };
        let (event, is_told) = (death.event, death.is_told);
        let again = setup.header.kind == Kind::Restarted as u8;
        let fate = match death.kind {
            _ if death.is_released => RecordedEnd::Over,
            Kind::Stopped => {
                let Stopped { reason, data } = decode(&death.data).map_err(undecodable)?;
                match (reason.as_str(), &created.parent) {
                    (BY_PROGRAM, _) => RecordedEnd::Goes,
                    (BY_ITSELF | TO_RESTART, Some(_)) => {
                        let end = End::Stopped { reason, data: data.map(|data| data.to_vec()) };
                        RecordedEnd::Held { end, event, is_told }
                    }
                    _ => RecordedEnd::Over,
                }
            }
            _ => {
                let Failed { step, message } = decode(&death.data).map_err(undecodable)?;
                match &created.parent {
                    // A start that failed was told to whoever asked for it, and no actor was left.
                    _ if step == super::START && !again => RecordedEnd::Over,
                    None => RecordedEnd::Goes,
                    Some(_) => {
                        let end = End::Failed { function: step, kind: FailureKind::Internal, reason: message };
                        RecordedEnd::Held { end, event, is_told }
                    }
                }
            }
        };
        Ok((created, fate))
    }

    /// The start of an actor came to nothing: its chain says so.
    fn end_start(&self, mut chain: Chain, newest: FramePosition, why: &str) -> Result<(), Error> {
        self.services.journal.go_on(chain.actor(), newest);
        let failed = Failed { step: super::START.to_owned(), message: why.to_owned() };
        let data = encode(&failed).unwrap_or_default();
        self.services.journal.append(&mut chain, &NewEvent::plain(Kind::Failed, &data), Sync::Batch)?;
        Ok(())
    }

    /// Makes the actor again, with its handlers, as far as nobody outside sees anything of it.
    async fn revive(
        self: &Arc<Self>,
        parts: &Arc<Parts>,
        parent: Option<&Arc<ActorHandle>>,
        end: verify::ChainEnd,
        created: Created,
        fate: RecordedEnd,
    ) -> Result<ResumedActor, Error> {
        let origin = self.origin_again(parent, &created).await?;
        let (folder, data, parts) = (self.data().join("journal"), self.data().to_owned(), Arc::clone(parts));
        let (id, newest, setups) = (end.chain.actor(), end.newest, end.setups);
        let goes_on = matches!(fate, RecordedEnd::Goes);
        let replayed = executor::blocking(move || {
            let read = read_past((&folder, id), newest, &setups)
                .map_err(|source| theater_chain::Error::Read { path: folder.clone(), source })?;
            let ChainTail { setup, base, queued, past, .. } = &read;
            let left = replay::resume(&data, &parts, setup, base.as_ref(), queued, past, goes_on)?;
            Ok::<_, Error>((read, left))
        });
        let refused = |what: String| Error::Actor { name: created.name.clone(), what: ActorProblem::NotResumed(what) };
        let (read, left) = replayed.await?;
        let left = left.map_err(|difference| {
            let at = difference.sequence;
            refused(format!("its calls do not give again what they gave: event {at}, {}", difference.what))
        })?;
        let mut inits = left.calls.iter().filter(|call| call.is_init());
        if goes_on && inits.any(|init| init.result.as_ref() == replay::ENDED_OTHERWISE) {
            self.end_start(end.chain, end.newest, "its init had failed when the program ended")?;
            return Err(refused("its init had failed when the program ended".to_owned()));
        }
        let settings = Settings::new(end.chain.actor(), created.name.clone(), parent, &origin);
        if !self.names_of(parent).take_again(&created.name) {
            return Err(refused("another actor has its name".to_owned()));
        }
        self.services.journal.go_on(end.chain.actor(), end.newest);
        let beginning = StartMode::Resumed(end.chain, left.state.share());
        let shared = ActorHandle::new(self.as_seen(), settings, origin, beginning);
        let knows_until = (!left.waiting.is_empty()).then_some(read.last_host);
        let unended = left.waiting.iter().map(|call| call.queued.sequence).collect();
        let revived = match self.adopt(&shared) {
            Ok(()) => {
                self.services.registry.insert(&shared);
                self.revive_parts(&shared, &created, read, left, fate).await
            }
            Err(error) => Err(error),
        };
        match revived {
            Ok(role) => Ok(ResumedActor { shared, role, knows_until, unended }),
            Err(error) => {
                shared.give_up(chain_of(&error));
                Err(error)
            }
        }
    }

    /// What the actor was started from, with the component that it had.
    async fn origin_again(
        self: &Arc<Self>,
        parent: Option<&Arc<ActorHandle>>,
        created: &Created,
    ) -> Result<ActorSpec, Error> {
        let missing = |digest: &str, error: std::io::Error| {
            let what = format!("the object {digest}, which it was started from: {error}");
            Error::Actor { name: created.name.clone(), what: ActorProblem::NotResumed(what) }
        };
        let object = |digest: &str| self.objects.get(digest).map_err(|error| missing(digest, error));
        let text = object(&created.setup.manifest)?;
        let text = String::from_utf8_lossy(&text);
        let (path, folder) = (PathBuf::from(&created.setup.path), PathBuf::from(&created.setup.folder));
        let mut manifest = Manifest::substituted(&path, &folder, &text)?;
        manifest.kept = Some(created.setup.component.clone());
        let state = created.init_state.as_deref().map(object).transpose()?;
        let under = match parent {
            // Its component and its first state are those of its chain: no file is opened.
            Some(parent) => Under {
                parent: parent.id_text(),
                ceilings: &parent.origin().below,
                limits: parent.limits().for_children(),
                files: None,
            },
            None => self.top(),
        };
        let (manifest, prepared) = self.ready(&manifest, under).await?;
        Ok(prepared.origin(manifest, state.map(Arc::new)))
    }

    /// Handlers and calls of an actor that is known already; nothing runs yet.
    async fn revive_parts(
        self: &Arc<Self>,
        shared: &Arc<ActorHandle>,
        created: &Created,
        read: ChainTail,
        left: ResumePoint,
        fate: RecordedEnd,
    ) -> Result<ResumedRole, Error> {
        let refused =
            |what: String| Error::Actor { name: shared.name().to_owned(), what: ActorProblem::NotResumed(what) };
        let ResumePoint { waiting, calls, made, .. } = left;
        let (mut init, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(UnfinishedCall::is_init);
        let is_started =
            read.base.is_some() || calls.iter().any(|call| call.is_init() && call.result.starts_with(replay::ENDED_OK));
        // Before the handlers hear of anything: an end that was asked for comes behind the call that asked.
        shared.take_over(waiting).map_err(refused)?;
        if let RecordedEnd::Held { end, event, is_told } = fate {
            return Ok(ResumedRole::Held { end, event, is_told });
        }
        let undone = |failure: StartFailure| async move {
            let StartFailure { error, handlers, .. } = failure;
            detach(self, shared, handlers).await;
            error
        };
        let handlers = match self.attach_all(shared).await {
            Ok(handlers) => Arc::new(handlers),
            Err(failure) => return Err(undone(failure).await),
        };
        let recovered = recover(&self.watch, shared, &handlers, &read, &calls).and_then(|()| {
            self.record_changes(shared, created)?;
            let mut actor = ActorTask::new(Arc::clone(self), Arc::clone(shared), Arc::clone(&handlers));
            actor.announce()?;
            Ok(Box::new(actor))
        });
        let recovered = match recovered {
            Ok(mut actor) => actor.remember(made.state, made.calls).await.map(|()| actor).map_err(refused),
            Err(error) => Err(error),
        };
        match recovered {
            Ok(actor) => {
                Ok(ResumedRole::Runs { actor, handlers, init: (!is_started).then(|| init.pop().map(Box::new)) })
            }
            Err(error) => Err(undone(StartFailure::internal(error, handlers)).await),
        }
    }

    /// Another plugin, core or config than it had is an event.
    fn record_changes(&self, shared: &ActorHandle, before: &Created) -> Result<(), Error> {
        let data = self.created_data(shared)?;
        if encode(before).unwrap_or_default() != data {
            shared.record(&NewEvent::plain(Kind::Swapped, &data))?;
        }
        Ok(())
    }

    /// A host call that was cut off is made again; what it had asked another actor for by then is not.
    fn expect_repeats(&self, revived: &[ResumedActor], mut between: Crossings) {
        for actor in revived {
            for asked in between.asked.remove(&actor.shared.id()).unwrap_or_default() {
                let CrossingCall { cause, of, sequence, outcome } = asked;
                if let (true, Some(other)) = (actor.unended.contains(&cause.sequence), self.services.registry.get(of)) {
                    let outcome = outcome.map(CallOutcome::of);
                    other.expect(PendingReply { cause, sequence, outcome, reply: None });
                }
            }
        }
    }

    /// Tells the handlers of all actors that they are ready; then parents hear of the deaths that they had not dealt with, the
    /// actors run, and those whose `init` had not ended start.
    async fn tell_all(self: &Arc<Self>, revived: Vec<ResumedActor>, resumed: &mut Resumed) {
        let (mut running, mut starting, mut held) = (Vec::new(), Vec::new(), Vec::new());
        let mut given_up = HashSet::new();
        for ResumedActor { shared, role, .. } in revived {
            let (actor, handlers, init) = match role {
                ResumedRole::Held { end, event, is_told } => {
                    held.push((shared, end, event, is_told));
                    continue;
                }
                ResumedRole::Runs { actor, handlers, init } => (actor, handlers, init),
            };
            let not = |what: &str| {
                Err(Error::Actor { name: shared.name().to_owned(), what: ActorProblem::NotResumed(what.to_owned()) })
            };
            let told = if shared.parent().is_some_and(|parent| given_up.contains(&parent.id())) {
                not("its parent does not go on")
            } else if self.services.stopped.is_set() {
                not("the program was told to end")
            } else if init.is_some() {
                Ok(())
            } else {
                Self::tell_started(&shared, &actor, true).await
            };
            match (told, init) {
                (Ok(()), None) => running.push((shared, actor)),
                (Ok(()), Some(init)) => starting.push((shared, actor, handlers, init)),
                (Err(error), _) => {
                    drop(actor);
                    given_up.insert(shared.id());
                    detach(self, &shared, handlers).await;
                    shared.give_up(chain_of(&error));
                    resumed.stays(&shared, error);
                }
            }
        }
        for (shared, end, event, is_told) in held {
            shared.hold(end, event, is_told);
        }
        for (shared, actor) in running {
            resumed.goes_on(shared);
            drop(executor::spawn(actor.live()));
        }
        let starts = starting.into_iter().map(|(shared, actor, handlers, init)| {
            let (core, actor_of) = (Arc::clone(self), Arc::clone(&shared));
            let start = async move { core.start_again(&actor_of, *actor, handlers, init).await };
            (shared, executor::spawn(start))
        });
        // They may wait for each other.
        for (shared, start) in starts.collect::<Vec<_>>() {
            match start.await {
                Ok(()) => resumed.goes_on(shared),
                Err(error) => resumed.stays(&shared, error),
            }
        }
    }

    /// The start that had not ended, to its end.
    async fn start_again(
        self: &Arc<Self>,
        shared: &Arc<ActorHandle>,
        mut actor: ActorTask,
        handlers: Arc<Vec<Attached>>,
        init: Option<Box<UnfinishedCall>>,
    ) -> Result<(), Error> {
        let began = async {
            let failed = |what| Error::Actor { name: shared.name().to_owned(), what };
            let ran = match init {
                None => actor.init().await,
                Some(call) => {
                    let call = shared.left_call(*call).map_err(|what| failed(ActorProblem::NotResumed(what)))?;
                    actor.run_init(call).await
                }
            };
            ran.map_err(|(what, _)| failed(what))?;
            Self::tell_started(shared, &actor, true).await
        };
        if let Err(error) = began.await {
            drop(actor);
            self.undo(shared, StartFailure::internal(error, handlers), false).await
        } else {
            drop(handlers);
            drop(executor::spawn(actor.live()));
            Ok(())
        }
    }
}

/// The handlers as they were: what the snapshot kept of them, and each call behind it.
fn recover(
    watch: &Watchdog,
    shared: &ActorHandle,
    handlers: &[Attached],
    read: &ChainTail,
    calls: &[replay::RecordedCall],
) -> Result<(), Error> {
    let refused = |attached: &Attached, sentence: String| {
        let prepared = prepared_of(shared.origin());
        let known = prepared.handlers.iter().find(|known| known.handler_type == attached.handler_type);
        let place = known.and_then(|known| known.place.clone());
        handler_error(shared.name(), &attached.handler_type, place, HandlerProblem::NotResumed(sentence))
    };
    let ask = |attached: &Attached, ask: &dyn Fn() -> Answer| {
        let answer = {
            let _watched = watch.enter(shared.id(), &attached.plugin);
            ask()
        };
        if answer.status == OK { Ok(()) } else { Err(refused(attached, answer.sentence())) }
    };
    let undecodable = |error| Error::Actor {
        name: shared.name().to_owned(),
        what: ActorProblem::NotResumed(format!("its start does not decode: {error}")),
    };
    let created: Created = decode(&read.setup.data).map_err(undecodable)?;
    let exported = read.base.iter().flat_map(|base| &base.handlers);
    for (number, state) in exported.enumerate() {
        let slot = HandlerSlot::of(&created.setup.handlers, number);
        match slot.as_ref().and_then(|slot| nth(&slot.handler_type, slot.number, handlers)) {
            Some(attached) => ask(attached, &|| attached.handler.get().import_state(state))?,
            None if state.is_empty() => {}
            None => {
                let kept = created.setup.handlers.get(number).map_or("?", |handler| handler.handler_type.as_str());
                let what = format!("it has no handler {kept:?} any more, of which a state was kept");
                return Err(Error::Actor { name: shared.name().to_owned(), what: ActorProblem::NotResumed(what) });
            }
        }
    }
    for call in calls {
        match &call.handler {
            Some(slot) => {
                let Some(attached) = nth(&slot.handler_type, slot.number, handlers) else { continue };
                let functions = attached.plugin.functions.iter();
                let number = functions
                    .enumerate()
                    .find(|(_, known)| known.name == call.function && meets(&known.interface, &call.interface));
                if let Some((number, _)) = number {
                    ask(attached, &|| attached.handler.get().recover(number as u32, &call.arguments, &call.result))?;
                }
            }
            None => {
                for attached in handlers {
                    let exports = attached.plugin.exports.iter();
                    let number = exports
                        .enumerate()
                        .find(|(_, known)| known.name == call.function && meets(&known.interface, &call.interface));
                    if let Some((number, _)) = number {
                        let number = number as u32 | EXPORT;
                        ask(attached, &|| attached.handler.get().recover(number, &call.arguments, &call.result))?;
                    }
                }
            }
        }
    }
    Ok(())
}

/// The handler of that type and number among those of its type.
fn nth<'a>(handler_type: &str, number: usize, handlers: &'a [Attached]) -> Option<&'a Attached> {
    handlers.iter().filter(|attached| attached.handler_type == handler_type).nth(number)
}

/// The event of an actor at a place.
fn past_at(folder: &Path, actor: Id, place: FramePosition) -> std::io::Result<RecordedEvent> {
    past_of(theater_chain::journal::lookup::read_event(folder, actor, place, ..)?)
}

fn past_of(event: StoredEvent) -> std::io::Result<RecordedEvent> {
    let StoredEvent { header, hash, data, .. } = event;
    let dropped = || {
        let what = format!("the data of event {} was dropped", header.sequence);
        std::io::Error::new(std::io::ErrorKind::InvalidData, what)
    };
    Ok(RecordedEvent { data: data.ok_or_else(dropped)?, header, hash })
}

/// Reads a chain backwards as far as it takes to go on from: to the last snapshot, or start, and to the calls that waited
/// then.
fn read_past(
    (folder, actor): (&Path, Id),
    newest: FramePosition,
    setups: &[FramePosition],
) -> std::io::Result<ChainTail> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let none = || wrong("the chain does not begin with a start".to_owned());
    let snapshot = |event: &RecordedEvent| decode::<Snapshot>(&event.data).map_err(|error| wrong(error.to_string()));
    let (mut past, mut last_host, mut at) = (Vec::new(), None, Some(newest));
    let mut sequences = 0..=u64::MAX;
    let (place, base) = loop {
        let place = at.ok_or_else(none)?;
        let event = theater_chain::journal::lookup::read_event(folder, actor, place, sequences)?;
        (sequences, at) = (before_it(&event), event.before);
        let place = FramePosition { offset: event.offset, ..place };
        let event = past_of(event)?;
        match Kind::from_number(event.header.kind) {
            Some(Kind::Host) => last_host = last_host.or(Some(place)),
            Some(Kind::Snapshot) => break (place, Some(snapshot(&event)?)),
            Some(Kind::Created | Kind::Restarted) => break (place, None),
            _ => {}
        }
        past.push(event);
    };
    past.reverse();
    // What waited at the base comes before all that is behind it: of a snapshot what it names, of a restart what had not
    // begun in the lives before.
    let mut named: Option<BTreeSet<u64>> = base.as_ref().map(|base| base.waiting.iter().copied().collect());
    let (mut over, mut queued) = (HashSet::new(), Vec::new());
    while let Some(place) = at.filter(|_| named.as_ref().is_none_or(|named| !named.is_empty())) {
        let event = theater_chain::journal::lookup::read_event(folder, actor, place, sequences)?;
        (sequences, at) = (before_it(&event), event.before);
        let (sequence, call) = (event.header.sequence, event.header.call.unwrap_or(u64::MAX));
        match Kind::from_number(event.header.kind) {
            Some(Kind::Queued) => {
                let is_named = named.as_mut().is_none_or(|named| named.remove(&sequence));
                if is_named && !over.contains(&sequence) {
                    let function = function_at((folder, actor), setups, place, event.header.function)?;
                    if !function.is_init() {
                        queued.push(QueuedEvent { event: past_of(event)?, function });
                    }
                }
            }
            Some(Kind::Host | Kind::Intent | Kind::Return) if named.is_none() => {
                over.insert(call);
            }
            // What waited then was turned away for good.
            Some(Kind::Released | Kind::Stopped) if named.is_none() => {
                let end = past_of(event)?;
                if is_for_good(&end) {
                    break;
                }
            }
            Some(Kind::Snapshot) if named.is_none() => {
                let waiting = snapshot(&past_of(event)?)?.waiting;
                named = Some(waiting.into_iter().filter(|waiting| !over.contains(waiting)).collect());
            }
            _ => {}
        }
    }
    queued.reverse();
    let setup = setup_at((folder, actor), setups, place)?.ok_or_else(none)?;
    Ok(ChainTail { setup, base, queued, past, last_host: last_host.unwrap_or(place) })
}

/// The start, or change of parts, that counts at a place.
fn setup_at(
    (folder, actor): (&Path, Id),
    setups: &[FramePosition],
    place: FramePosition,
) -> std::io::Result<Option<RecordedEvent>> {
    let setup = setups.iter().rev().find(|setup| **setup <= place);
    setup.map(|setup| past_at(folder, actor, *setup)).transpose()
}

/// The sequence of the event before an event.
fn before_it(event: &StoredEvent) -> RangeInclusive<u64> {
    let sequence = event.header.sequence.saturating_sub(1);
    sequence..=sequence
}

/// The function that an event at a place names.
fn function_at(
    of: (&Path, Id),
    setups: &[FramePosition],
    place: FramePosition,
    function: Option<u32>,
) -> std::io::Result<FunctionRecord> {
    let wrong = |what: String| std::io::Error::new(std::io::ErrorKind::InvalidData, what);
    let setup = setup_at(of, setups, place)?.ok_or_else(|| wrong("it stands before the start".to_owned()))?;
    let created: Created = decode(&setup.data).map_err(|error| wrong(error.to_string()))?;
    let function = created.setup.functions.get(function.unwrap_or(u32::MAX) as usize).cloned();
    function.ok_or_else(|| wrong("it names a function that the chain does not list".to_owned()))
}
