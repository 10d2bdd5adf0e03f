//! Resume: the actors of a program before go on in this one.
//!
//! An actor goes on when its chain does not end with `stopped`, or ends so because the program did; of several top-level
//! actors of one name, the newest. It has the state after its last call that ended, found by replaying what is behind its
//! last snapshot; its handlers are made again by `import_state` and `recover`, and then told that it is ready. A call that
//! had begun goes on first: what its host calls gave before comes from the chain. Then calls that wait go on in their order.
//! A child whose birth the chain of its parent does not tell ends: the parent's call makes another one.

use std::collections::{HashMap, HashSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use theater_plugin_api::abi::{Answer, EXPORT, OK};
use theater_plugin_api::encoding::{decode, encode};
use theater_plugin_api::{FailureKind, uuid_text};

use super::{Beginning, Core, StartFailure, Under, handler_error};
use crate::actor::{
    Actor, BY_ITSELF, BY_PROGRAM, CallOutcome, End, Origin, Repeat, Settings, Shared, TO_RESTART, detach,
};
use crate::chain::{EventRef, Id, NewEvent};
use crate::error::{ActorProblem, Error, HandlerProblem, chain_of};
use crate::executor;
use crate::linker::Attached;
use crate::manifest::{ACTOR, INIT, Manifest};
use crate::plugins::meets;
use crate::record::{Created, Failed, Kind, Outcome, Return, Snapshot, Stopped};
use crate::replay::{self, Left, Parts, Past, Slot};
use crate::segment::{self, Place};
use crate::verify;

/// What became of the actors of a program before.
#[derive(Default)]
pub struct Resumed {
    /// Top-level actors that go on.
    pub actors: Vec<Arc<Shared>>,
    /// How many actors go on, children among them.
    pub count: usize,
    /// Why others do not. Their chains are as they were.
    pub refused: Vec<Error>,
}

/// What an actor's chain says of its end.
enum Fate {
    /// It goes on.
    Goes,
    /// It ended, and its parent has not said what becomes of it; whether the parent was told.
    Held { end: End, event: EventRef, is_told: bool },
    /// It ended.
    Over,
}

/// What the order of all events tells, and no chain alone.
#[derive(Default)]
struct Between {
    /// The last end of each actor, by sequence, and whether its parent's chain tells of it.
    deaths: HashMap<Id, (u64, bool)>,
    /// Of each actor, the calls that its newest host call queued, if that has not ended.
    asked: HashMap<Id, Vec<Asked>>,
    /// Whose they are, by the actor and the call.
    askers: HashMap<(Id, u64), Id>,
}

/// A call of an actor that another one's host call asked for.
struct Asked {
    cause: EventRef,
    of: Id,
    sequence: u64,
    outcome: Option<Outcome>,
}

impl Between {
    fn see(&mut self, event: &verify::Event<'_>) {
        let header = &event.header;
        match Kind::from_number(header.kind) {
            Some(Kind::Stopped | Kind::Failed) => {
                self.deaths.insert(header.actor, (header.sequence, false));
                self.settled(header.actor);
            }
            Some(Kind::Queued) => {
                let Some(cause) = header.cause else { return };
                if let Some((sequence, is_told)) = self.deaths.get_mut(&cause.actor) {
                    *is_told |= *sequence == cause.sequence;
                }
                let asked = Asked { cause, of: header.actor, sequence: header.sequence, outcome: None };
                self.askers.insert((asked.of, asked.sequence), cause.actor);
                self.asked.entry(cause.actor).or_default().push(asked);
            }
            Some(Kind::Host) => self.settled(header.actor),
            Some(Kind::Return) => {
                self.settled(header.actor);
                let key = (header.actor, header.call.unwrap_or_default());
                let asked = self.askers.get(&key).and_then(|asker| self.asked.get_mut(asker));
                let asked = asked.and_then(|all| all.iter_mut().find(|asked| (asked.of, asked.sequence) == key));
                if let (Some(asked), Some(data)) = (asked, event.data) {
                    asked.outcome = decode::<Return>(data).ok().map(|returned| returned.outcome);
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
struct Revived {
    shared: Arc<Shared>,
    /// None: it is held.
    running: Option<(Actor, Arc<Vec<Attached>>)>,
    /// A child born behind this may be unknown to it.
    knows_until: Option<Place>,
    /// Its calls that have not ended.
    unended: Vec<u64>,
}

/// A chain, read as far as an actor goes on from it.
struct Read {
    setup: Past,
    base: Option<Snapshot>,
    past: Vec<Past>,
    last_host: Place,
}

impl Core {
    /// Lets the actors of the programs before go on.
    ///
    /// # Errors
    /// The journal cannot be read, or is damaged.
    pub async fn resume(self: &Arc<Self>) -> Result<Resumed, Error> {
        let data = self.data().to_owned();
        let (contents, between) = executor::blocking(move || {
            let mut between = Between::default();
            verify::read(&data, |event| between.see(event)).map(|contents| (contents, between))
        })
        .await?;
        let mut ends: Vec<_> = contents.chains.into_iter().collect();
        ends.sort_by_key(|(_, end)| end.first);
        let parts = Arc::new(Parts::new(Arc::clone(&self.engines), self.data()));
        let mut resumed = Resumed::default();
        let mut chosen = Vec::new();
        let mut newest: HashMap<String, usize> = HashMap::new();
        for (id, end) in ends {
            let (created, fate) = match self.fate(id, &end, &between).await {
                Ok((_, Fate::Over)) => continue,
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
        let mut revived: Vec<Revived> = Vec::new();
        let mut places: HashMap<String, usize> = HashMap::new();
        for (number, (id, end, created, fate)) in chosen.into_iter().enumerate() {
            let parent = match &created.parent {
                None if newest.get(&created.name) != Some(&number) => continue,
                None => None,
                Some(parent) => match places.get(parent).and_then(|place| revived.get(*place)) {
                    Some(parent) if parent.running.is_some() => Some(parent),
                    _ => continue,
                },
            };
            if parent.is_some_and(|parent| parent.knows_until.is_some_and(|until| end.first > until)) {
                self.end_unknown(end)?;
                continue;
            }
            let parent = parent.map(|parent| Arc::clone(&parent.shared));
            match self.revive(&parts, parent.as_ref(), end, created, fate).await {
                Ok(actor) => {
                    places.insert(uuid_text(&id), revived.len());
                    revived.push(actor);
                }
                Err(error) => resumed.refused.push(error),
            }
        }
        self.expect_repeats(&revived, between);
        self.tell_all(revived, &mut resumed).await;
        Ok(resumed)
    }

    /// What the chain says of the actor, and what becomes of it.
    async fn fate(self: &Arc<Self>, id: Id, end: &verify::End, between: &Between) -> Result<(Created, Fate), Error> {
        let setup = end.setups.last().copied();
        let (folder, newest) = (self.data().join("journal"), end.newest);
        let read = executor::blocking(move || {
            let setup = setup.ok_or_else(|| std::io::Error::other("it does not begin with a start"))?;
            Ok::<_, std::io::Error>((past_at(&folder, setup)?.0, past_at(&folder, newest)?.0))
        });
        let unreadable = |source| Error::ChainRead { path: self.data().join("journal"), source };
        let (setup, last) = read.await.map_err(unreadable)?;
        let wrong = |what: String| Error::Actor { name: end.name.clone(), what: ActorProblem::NotResumed(what) };
        let undecodable = |error| wrong(format!("its chain ({}) does not decode: {error}", uuid_text(&id)));
        let created: Created = decode(&setup.data).map_err(undecodable)?;
        let event = EventRef { actor: id, sequence: last.header.sequence, hash: last.hash };
        let is_told = between.deaths.get(&id).is_some_and(|(_, is_told)| *is_told);
        let again = setup.header.kind == Kind::Restarted as u8;
        let fate = match Kind::from_number(last.header.kind) {
            Some(Kind::Released) => Fate::Over,
            Some(Kind::Stopped) => {
                let Stopped { reason, data } = decode(&last.data).map_err(undecodable)?;
                match (reason.as_str(), &created.parent) {
                    (BY_PROGRAM, _) => Fate::Goes,
                    (BY_ITSELF | TO_RESTART, Some(_)) => {
                        let end = End::Stopped { reason, data: data.map(|data| data.to_vec()) };
                        Fate::Held { end, event, is_told }
                    }
                    _ => Fate::Over,
                }
            }
            Some(Kind::Failed) => {
                let Failed { step, message } = decode(&last.data).map_err(undecodable)?;
                match &created.parent {
                    // A start that failed was told to whoever asked for it, and no actor was left.
                    _ if step == super::START && !again => Fate::Over,
                    None => Fate::Goes,
                    Some(_) => {
                        let end = End::Failed { function: step, kind: FailureKind::Internal, reason: message };
                        Fate::Held { end, event, is_told }
                    }
                }
            }
            _ => Fate::Goes,
        };
        Ok((created, fate))
    }

    /// A child that its parent never heard of.
    fn end_unknown(&self, end: verify::End) -> Result<(), Error> {
        let verify::End { mut chain, newest, .. } = end;
        self.journal.go_on(chain.actor(), newest);
        let message = "the program ended before its parent learned of it".to_owned();
        let data = encode(&Failed { step: super::START.to_owned(), message }).unwrap_or_default();
        self.journal.append(&mut chain, &NewEvent::plain(Kind::Failed, &data), crate::journal::Sync::Batch)?;
        Ok(())
    }

    /// Makes the actor again, with its handlers, as far as nobody outside sees anything of it.
    async fn revive(
        self: &Arc<Self>,
        parts: &Arc<Parts>,
        parent: Option<&Arc<Shared>>,
        end: verify::End,
        created: Created,
        fate: Fate,
    ) -> Result<Revived, Error> {
        let origin = self.origin_again(parent, &created).await?;
        let (folder, data, parts) = (self.data().join("journal"), self.data().to_owned(), Arc::clone(parts));
        let (newest, setups) = (end.newest, end.setups);
        let replayed = executor::blocking(move || {
            let read = read_past(&folder, newest, &setups)
                .map_err(|source| Error::ChainRead { path: folder.clone(), source })?;
            let left = replay::resume(&data, &parts, &read.setup, read.base.as_ref(), &read.past)?;
            Ok::<_, Error>((read, left))
        });
        let refused = |what: String| Error::Actor { name: created.name.clone(), what: ActorProblem::NotResumed(what) };
        let (read, left) = replayed.await?;
        let left = left.map_err(|difference| {
            let at = difference.sequence;
            refused(format!("its calls do not give again what they gave: event {at}, {}", difference.what))
        })?;
        let settings = Settings::new(end.chain.actor(), created.name.clone(), parent, &origin);
        if !self.names_of(parent).take_again(&created.name) {
            return Err(refused("another actor has its name".to_owned()));
        }
        self.journal.go_on(end.chain.actor(), end.newest);
        let beginning = Beginning::Resumed(end.chain, left.state.share());
        let shared = Shared::new(Arc::clone(self), settings, origin, beginning);
        let knows_until = (!left.waiting.is_empty()).then_some(read.last_host);
        let unended = left.waiting.iter().map(|call| call.queued.sequence).collect();
        let revived = match self.adopt(&shared) {
            Ok(()) => {
                self.registry.insert(&shared);
                self.revive_parts(&shared, &created, read, left, fate).await
            }
            Err(error) => Err(error),
        };
        match revived {
            Ok(running) => Ok(Revived { shared, running, knows_until, unended }),
            Err(error) => {
                shared.give_up(chain_of(&error));
                Err(error)
            }
        }
    }

    /// What the actor was started from, with the component that it had.
    async fn origin_again(self: &Arc<Self>, parent: Option<&Arc<Shared>>, created: &Created) -> Result<Origin, Error> {
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
            Some(parent) => Under { parent: parent.id_text(), ceilings: &parent.origin().prepared.below },
            None => self.top(),
        };
        let (manifest, prepared) = self.ready(&manifest, under).await?;
        Ok(Origin { manifest, prepared, state: state.map(Arc::new) })
    }

    /// Handlers and calls of an actor that is known already; nothing runs yet but an `init` that had not ended.
    async fn revive_parts(
        self: &Arc<Self>,
        shared: &Arc<Shared>,
        created: &Created,
        read: Read,
        left: Left,
        fate: Fate,
    ) -> Result<Option<(Actor, Arc<Vec<Attached>>)>, Error> {
        let refused =
            |what: String| Error::Actor { name: shared.name().to_owned(), what: ActorProblem::NotResumed(what) };
        let Left { waiting, calls, .. } = left;
        let is_init = |call: &replay::LeftCall| call.function == INIT && meets(&call.interface, ACTOR);
        let (mut init, waiting): (Vec<_>, Vec<_>) = waiting.into_iter().partition(is_init);
        let has_begun =
            init.is_empty() && calls.iter().any(|call| call.function == INIT && meets(&call.interface, ACTOR));
        let is_started = read.base.is_some() || has_begun;
        if let Fate::Held { end, event, is_told } = fate {
            shared.take_over(waiting).map_err(refused)?;
            shared.hold(end, event, is_told);
            return Ok(None);
        }
        let undone = |failure: StartFailure| async move {
            let StartFailure { error, handlers, .. } = failure;
            detach(shared, handlers).await;
            error
        };
        let handlers = match Self::attach_all(shared).await {
            Ok(handlers) => Arc::new(handlers),
            Err(failure) => return Err(undone(failure).await),
        };
        if let Err(error) = recover(shared, &handlers, &read, &calls) {
            return Err(undone(StartFailure::internal(error, handlers)).await);
        }
        let begun = async {
            let mut actor = Actor::new(Arc::clone(shared), Arc::clone(&handlers));
            self.record_changes(shared, created)?;
            actor.announce()?;
            if !is_started {
                let ran = match init.pop() {
                    None => actor.init().await,
                    Some(call) => actor.run_init(shared.left_call(call).map_err(refused)?).await,
                };
                ran.map_err(|(what, _)| Error::Actor { name: shared.name().to_owned(), what })?;
            }
            shared.take_over(waiting).map_err(refused)?;
            Ok::<_, Error>(actor)
        };
        match begun.await {
            Ok(actor) => Ok(Some((actor, handlers))),
            Err(error) => Err(undone(StartFailure::internal(error, handlers)).await),
        }
    }

    /// Another plugin, core or config than it had is an event.
    fn record_changes(&self, shared: &Shared, before: &Created) -> Result<(), Error> {
        let data = self.created_data(shared)?;
        if encode(before).unwrap_or_default() != data {
            shared.record(&NewEvent::plain(Kind::Swapped, &data))?;
        }
        Ok(())
    }

    /// A host call that was cut off is made again; what it had asked another actor for by then is not.
    fn expect_repeats(&self, revived: &[Revived], mut between: Between) {
        for actor in revived {
            for asked in between.asked.remove(&actor.shared.id()).unwrap_or_default() {
                let Asked { cause, of, sequence, outcome } = asked;
                if let (true, Some(other)) = (actor.unended.contains(&cause.sequence), self.registry.get(of)) {
                    let outcome = outcome.map(CallOutcome::of);
                    other.expect(Repeat { cause, sequence, outcome, reply: None });
                }
            }
        }
    }

    /// Tells the handlers of all actors that they are ready; then the actors run.
    async fn tell_all(self: &Arc<Self>, revived: Vec<Revived>, resumed: &mut Resumed) {
        let mut running = Vec::new();
        let mut given_up = HashSet::new();
        for Revived { shared, running: parts, .. } in revived {
            let Some((actor, handlers)) = parts else { continue };
            let orphaned = shared.parent().is_some_and(|parent| given_up.contains(&parent.id()));
            let told = match orphaned {
                true => Err(Error::Actor {
                    name: shared.name().to_owned(),
                    what: ActorProblem::NotResumed("its parent does not go on".to_owned()),
                }),
                false => Self::tell_started(&shared, &actor, true).await,
            };
            match told {
                Ok(()) => running.push((shared, actor)),
                Err(error) => {
                    drop(actor);
                    given_up.insert(shared.id());
                    detach(&shared, handlers).await;
                    shared.give_up(chain_of(&error));
                    resumed.refused.push(error);
                }
            }
        }
        resumed.count = running.len();
        for (shared, actor) in running {
            if shared.parent().is_none() {
                resumed.actors.push(shared);
            }
            drop(executor::spawn(actor.live()));
        }
    }
}

/// The handlers as they were: what the snapshot kept of them, and each call behind it.
fn recover(shared: &Shared, handlers: &[Attached], read: &Read, calls: &[replay::PastCall]) -> Result<(), Error> {
    let refused = |attached: &Attached, sentence: String| {
        let known = shared.origin().prepared.handlers.iter().find(|known| known.handler_type == attached.handler_type);
        let place = known.and_then(|known| known.place.clone());
        handler_error(shared.name(), &attached.handler_type, place, HandlerProblem::NotResumed(sentence))
    };
    let ask = |attached: &Attached, ask: &dyn Fn() -> Answer| {
        let answer = {
            let _watched = shared.core().watch.enter(shared.id(), &attached.plugin);
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
        let slot = Slot::of(&created.setup.handlers, number);
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

/// The event at a place, and where the actor's event before it is.
fn past_at(folder: &Path, place: Place) -> std::io::Result<(Past, Option<Place>)> {
    let (header, hash, data, before) = segment::read_frame(folder, place)?;
    if header.length != data.len() as u64 {
        let what = format!("the data of event {} was dropped", header.sequence);
        return Err(std::io::Error::new(std::io::ErrorKind::InvalidData, what));
    }
    Ok((Past { header, hash, data }, before))
}

/// Reads a chain backwards as far as it takes to go on from: to the last snapshot and to the calls that waited then, or to
/// the last start.
fn read_past(folder: &Path, newest: Place, setups: &[Place]) -> std::io::Result<Read> {
    let mut past = Vec::new();
    let mut last_host = None;
    let mut at = Some(newest);
    let mut base = None;
    while let Some(place) = at {
        let (event, before) = past_at(folder, place)?;
        at = before;
        match Kind::from_number(event.header.kind) {
            Some(Kind::Host) => last_host = last_host.or(Some(place)),
            Some(Kind::Snapshot) => {
                let snapshot: Snapshot = decode(&event.data)
                    .map_err(|error| std::io::Error::new(std::io::ErrorKind::InvalidData, error.to_string()))?;
                base = Some((place, Some(snapshot)));
                break;
            }
            Some(Kind::Created | Kind::Restarted) => {
                base = Some((place, None));
                break;
            }
            _ => {}
        }
        past.push(event);
    }
    let none = || std::io::Error::new(std::io::ErrorKind::InvalidData, "the chain does not begin with a start");
    let (place, base) = base.ok_or_else(none)?;
    // What waited at the snapshot comes before all that is behind it.
    let first = base.iter().flat_map(|base| &base.waiting).min().copied();
    while let (Some(before), Some(first)) = (at, first) {
        let (event, further) = past_at(folder, before)?;
        let sequence = event.header.sequence;
        at = further.filter(|_| sequence > first);
        if base.iter().any(|base| base.waiting.contains(&sequence)) {
            past.push(event);
        }
    }
    past.reverse();
    let setup = setups.iter().rev().find(|setup| **setup <= place).copied().ok_or_else(none)?;
    Ok(Read { setup: past_at(folder, setup)?.0, base, past, last_host: last_host.unwrap_or(place) })
}
