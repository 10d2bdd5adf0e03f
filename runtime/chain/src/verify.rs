//! Reads and verifies journals and exported chains.
//!
//! [`read`] checks, in this order: frames and groups by their checksums, the numbers of segments and groups, each header's
//! sequence, parent and skip hash, data by the header's digest, and signatures. Events are hashed on all cores in batches, then
//! linked one by one. Only the files are needed, and nothing is written. Truncation at a commit is not visible in the files:
//! [`require_head`] and [`require_key`] detect it.

use std::collections::{BTreeMap, HashMap, VecDeque};
use std::path::{Path, PathBuf};

use rayon::iter::{ParallelDrainRange, ParallelIterator};
use theater_encoding::decode;
use theater_encoding::uuid_text;

use crate::error::Error;
use crate::event::{Chain, Hash, Header, INLINE, Id, data_digest, event_hash, hex};
use crate::finding::Finding;
use crate::journal::segment::{self, Damage, Frame, FramePosition, Frames};
use crate::record::{Created, Kind, Sealed};
use crate::signature;

/// An event that was read.
pub struct Event<'a> {
    /// Its header.
    pub header: Header,
    /// Its hash.
    pub hash: Hash,
    /// Its data; none if it was deleted.
    pub data: Option<&'a [u8]>,
}

/// The content of a journal or file.
#[derive(Debug, Default)]
pub struct Contents {
    /// The end of each chain.
    pub chains: BTreeMap<Id, ChainEnd>,
    /// The file and offset of an unfinished group, if the last segment ends in one.
    pub torn: Option<(PathBuf, u64)>,
}

/// The end of a chain.
#[derive(Debug, Clone)]
pub struct ChainEnd {
    /// The actor's name.
    pub name: String,
    /// The number of events, and what the next one links to.
    pub chain: Chain,
    /// Type of the last event, ignoring seals.
    pub last: u8,
    /// The newest seal: the sequence of its event, and the public key.
    pub sealed: Option<(u64, Vec<u8>)>,
    /// Position of the first event.
    pub first: FramePosition,
    /// Position of the last event.
    pub newest: FramePosition,
    /// Positions of the `created`, `restarted` and `swapped` events, oldest first.
    pub setups: Vec<FramePosition>,
    /// Time of the first event, ms since the epoch.
    pub first_ms: u64,
    /// Time of the last event.
    pub last_ms: u64,
}

/// The segments of a path: a data folder, a journal folder, or a single file.
///
/// # Errors
/// `J0002`.
pub fn segments(path: &Path) -> Result<Vec<PathBuf>, Error> {
    let unreadable = |source| Error::Read { path: path.to_owned(), source };
    if path.is_file() {
        return Ok(vec![path.to_owned()]);
    }
    let journal = path.join("journal");
    let folder = if journal.is_dir() { journal } else { path.to_owned() };
    let list = segment::list(&folder).map_err(unreadable)?;
    if list.is_empty() {
        return Err(unreadable(std::io::Error::new(std::io::ErrorKind::NotFound, "there is no journal here")));
    }
    Ok(list.into_iter().map(|(_, path)| path).collect())
}

/// Reads and verifies every event in order.
///
/// # Errors
/// `J0002`, and `J0004` with the first [`Finding`].
pub fn read(path: &Path, mut each: impl FnMut(&Event<'_>)) -> Result<Contents, Error> {
    // A folder's first segment is number 1 and begins with group 1; a file may be any segment.
    let mut reading = Verification { previous: path.is_dir().then_some((0, 1)), ..Verification::default() };
    let segments = segments(path)?;
    let last = segments.len();
    for (number, segment) in segments.iter().enumerate() {
        let bytes = segment::read_all(segment).map_err(|source| Error::Read { path: segment.clone(), source })?;
        reading
            .segment(segment, &bytes, number + 1 == last, &mut each)
            .map_err(|finding| Error::Invalid(Box::new(finding)))?;
    }
    Ok(reading.contents)
}

/// Number of events that are hashed at once.
const BATCH: usize = 16 * 1024;
/// Fewer events are hashed on the calling thread: the others would cost more than they save.
const FEW: usize = 256;

/// An event before it is hashed.
struct Unhashed<'a> {
    offset: u32,
    header: Box<Header>,
    event: &'a [u8],
    data: Option<&'a [u8]>,
}

impl<'a> Unhashed<'a> {
    /// Hashes the event, and checks its data against the header's digest.
    fn hash(self) -> (u32, Event<'a>, bool) {
        let Self { offset, header, event, data } = self;
        let outside = data.filter(|_| header.length > INLINE as u64);
        let is_data_whole = outside.is_none_or(|data| data_digest(data)[..] == header.tail[..]);
        (offset, Event { header: *header, hash: event_hash(event), data }, is_data_whole)
    }
}

#[derive(Default)]
struct Verification {
    contents: Contents,
    // Number and next group of the previous segment.
    previous: Option<(u32, u64)>,
}

impl Verification {
    fn segment(
        &mut self,
        path: &Path,
        bytes: &[u8],
        is_last: bool,
        each: &mut impl FnMut(&Event<'_>),
    ) -> Result<(), Finding> {
        let at = |offset: Option<u64>, what: String| Finding { offset, ..Finding::file(path, what) };
        let damaged = |damage: Damage| Finding::damage(path, &damage);
        let mut frames = Frames::new(bytes).map_err(damaged)?;
        if let Some((number, group)) = self.previous {
            if Some(frames.number()) != number.checked_add(1) {
                return Err(at(
                    None,
                    format!("it is segment {}, segment {} is missing", frames.number(), number.saturating_add(1)),
                ));
            }
            if frames.next_group() != group {
                return Err(at(None, "groups are missing between the previous segment and this one".to_owned()));
            }
        }
        // Events count once their group is committed.
        let (mut group, mut whole) = (Vec::new(), Vec::new());
        let ended = loop {
            match frames.next_frame().map_err(damaged) {
                Ok(Some(Frame::Event { offset, header, event, data, .. })) => {
                    group.push(Unhashed { offset: offset as u32, header, event, data });
                }
                Ok(Some(Frame::Commit { .. })) => {
                    whole.append(&mut group);
                    if whole.len() >= BATCH {
                        self.events(path, frames.number(), &mut whole, each)?;
                    }
                }
                // An export has no unfinished group, and a journal is read by its folder.
                Ok(Some(Frame::Torn { offset })) if self.previous.is_none() => {
                    let what = "it is cut off here: export the chain again, or name the data folder of the journal";
                    break Err(at(Some(offset), what.to_owned()));
                }
                Ok(Some(Frame::Torn { offset })) if is_last => self.contents.torn = Some((path.to_owned(), offset)),
                Ok(Some(Frame::Torn { offset })) => {
                    break Err(at(Some(offset), "its group is unfinished, but another segment follows".to_owned()));
                }
                Ok(None) => break Ok(()),
                Err(finding) => break Err(finding),
            }
        };
        // Report an earlier finding first.
        self.events(path, frames.number(), &mut whole, each)?;
        ended?;
        self.previous = Some((frames.number(), frames.next_group()));
        Ok(())
    }

    /// Verifies events of a segment: hashes them on all cores, then links them in order.
    fn events(
        &mut self,
        path: &Path,
        segment: u32,
        events: &mut Vec<Unhashed<'_>>,
        each: &mut impl FnMut(&Event<'_>),
    ) -> Result<(), Finding> {
        let hashed: Vec<_> = match events.len() {
            0..FEW => events.drain(..).map(Unhashed::hash).collect(),
            _ => events.par_drain(..).map(Unhashed::hash).collect(),
        };
        for (offset, event, is_data_whole) in hashed {
            self.event(path, FramePosition { segment, offset }, &event, is_data_whole)?;
            each(&event);
        }
        Ok(())
    }

    fn event(
        &mut self,
        path: &Path,
        position: FramePosition,
        event: &Event<'_>,
        is_data_whole: bool,
    ) -> Result<(), Finding> {
        let header = &event.header;
        let wrong = |what: &str| Finding {
            path: path.to_owned(),
            offset: Some(position.offset.into()),
            event: Some((header.actor, header.sequence)),
            what: what.to_owned(),
        };
        let end = self.contents.chains.entry(header.actor).or_insert_with(|| ChainEnd {
            name: created(event).map(|created| created.name).unwrap_or_default(),
            chain: Chain::new(header.actor),
            last: header.kind,
            sealed: None,
            first: position,
            newest: position,
            setups: Vec::new(),
            first_ms: header.timestamp,
            last_ms: header.timestamp,
        });
        end.chain.check(header).map_err(wrong)?;
        if !is_data_whole {
            return Err(wrong("its data does not match the header's digest"));
        }
        let kind = Kind::from_number(header.kind).ok_or_else(|| wrong("its type is unknown"))?;
        if matches!(kind, Kind::Created | Kind::Restarted | Kind::Swapped) {
            end.setups.push(position);
        }
        if kind == Kind::Sealed {
            let sealed = event.data.and_then(|data| decode::<Sealed>(data).ok());
            let sealed = sealed.filter(|sealed| signature::is_valid(header, sealed));
            let key = sealed.ok_or_else(|| wrong("its signature does not match the previous event"))?.key;
            end.sealed = Some((header.sequence, key.into_vec()));
        } else {
            end.last = header.kind;
        }
        end.chain.advance(event.hash);
        (end.newest, end.last_ms) = (position, header.timestamp);
        Ok(())
    }
}

/// Actor and sequence of an event.
type Key = (Id, u64);

/// How many of the newest hashes are kept in memory while causes are checked: most events follow their cause closely.
const NEWEST_HASHES: usize = 100_000;

/// Like [`read`], and checks that each event's cause exists and has the recorded hash, if its chain is in the same journal.
/// Also returns the number of causes that were checked.
///
/// # Errors
/// Those of [`read`].
pub fn read_with_causes(path: &Path) -> Result<(Contents, u64), Error> {
    let mut newest: HashMap<Key, Hash> = HashMap::with_capacity(NEWEST_HASHES);
    let mut order: VecDeque<Key> = VecDeque::with_capacity(NEWEST_HASHES);
    // Causes that are further away, with the events that name them: a second pass checks them.
    let mut far: HashMap<Key, Vec<(Hash, Key)>> = HashMap::new();
    let (mut wrong, mut checked) = (None, 0);
    let contents = read(path, |event| {
        let key = (event.header.actor, event.header.sequence);
        if let Some(cause) = event.header.cause {
            match newest.get(&(cause.actor, cause.sequence)) {
                Some(hash) if *hash == cause.hash => checked += 1,
                Some(_) => wrong = wrong.or(Some(key)),
                None => far.entry((cause.actor, cause.sequence)).or_default().push((cause.hash, key)),
            }
        }
        if order.len() == NEWEST_HASHES
            && let Some(oldest) = order.pop_front()
        {
            newest.remove(&oldest);
        }
        order.push_back(key);
        newest.insert(key, event.hash);
    })?;
    if !far.is_empty() && wrong.is_none() {
        read(path, |event| {
            for (hash, key) in far.remove(&(event.header.actor, event.header.sequence)).unwrap_or_default() {
                if hash == event.hash {
                    checked += 1;
                } else {
                    wrong = wrong.or(Some(key));
                }
            }
        })?;
    }
    // The rest are causes in other journals, or events that do not exist.
    let missing = far.iter().find(|((actor, _), _)| contents.chains.contains_key(actor));
    let wrong = wrong.or(missing.and_then(|(_, by)| by.first()).map(|(_, key)| *key));
    match wrong {
        None => Ok((contents, checked)),
        Some(event) => {
            let what = "the event that it names as its cause does not exist or has another hash".to_owned();
            Err(Error::Invalid(Box::new(Finding { event: Some(event), ..Finding::file(path, what) })))
        }
    }
}

/// The data of a `created`, `restarted` or `swapped` event.
#[must_use]
pub fn created(event: &Event<'_>) -> Option<Created> {
    match Kind::from_number(event.header.kind)? {
        Kind::Created | Kind::Restarted | Kind::Swapped => decode(event.data?).ok(),
        _ => None,
    }
}

impl Contents {
    /// Finds a chain by id, name (the newest of several), or unique prefix of an id.
    #[must_use]
    pub fn find(&self, wanted: &str) -> Option<(Id, &ChainEnd)> {
        select_chain(&self.chains, wanted, |end| (&end.name, end.first_ms))
    }
}

/// Finds a chain by id, name (the newest of several) or unique prefix of an id. `of` returns a chain's name and the time of
/// its first event.
pub(crate) fn select_chain<'a, E>(
    chains: &'a BTreeMap<Id, E>,
    wanted: &str,
    of: impl Fn(&'a E) -> (&'a str, u64),
) -> Option<(Id, &'a E)> {
    let all = || chains.iter().map(|(id, entry)| (*id, entry));
    let named = || all().filter(|(_, entry)| of(entry).0 == wanted).max_by_key(|(_, entry)| of(entry).1);
    let started = || {
        let mut found = all().filter(|(id, _)| wanted.len() >= 4 && uuid_text(id).starts_with(wanted));
        found.next().filter(|_| found.next().is_none())
    };
    all().find(|(id, _)| uuid_text(id) == wanted).or_else(named).or_else(started)
}

/// A verified chain as a line of text.
#[must_use]
pub fn sentence(id: &Id, end: &ChainEnd) -> String {
    let mut text = format!(
        "{} {}: {} events, complete up to {}",
        uuid_text(id),
        end.name,
        end.chain.len(),
        hex(&end.chain.head())
    );
    if let Some((sequence, key)) = &end.sealed {
        text.push_str(&format!(", sealed up to event {sequence} by ed25519:{}", hex(key)));
    }
    text
}

/// Requires that one of the chains ends in the hash `head`, given as at least its first 16 hex digits. This detects
/// truncation, which a hash chain alone does not.
///
/// # Errors
/// `J0004`.
pub fn require_head(path: &Path, chains: &[(Id, &ChainEnd)], head: &str) -> Result<(), Error> {
    let fits = |end: &ChainEnd| head.len() >= 16 && hex(&end.chain.head()).starts_with(&head.to_ascii_lowercase());
    if chains.iter().any(|(_, end)| fits(end)) {
        return Ok(());
    }
    let what = if head.len() < 16 {
        "--head takes at least 16 hex digits of a hash".to_owned()
    } else {
        let ends: Vec<_> = chains.iter().map(|(id, end)| sentence(id, end)).collect();
        format!(
            "no chain ends in {head}: events were cut off, or this is the head of another chain; found: {}",
            ends.join("; ")
        )
    };
    Err(invalid(path, what))
}

/// Requires that the newest signature of every chain is by this public key (64 hex digits, optionally after `ed25519:`).
///
/// # Errors
/// `J0004`.
pub fn require_key(path: &Path, chains: &[(Id, &ChainEnd)], key: &str) -> Result<(), Error> {
    let key = key.strip_prefix("ed25519:").unwrap_or(key).to_ascii_lowercase();
    let by = |end: &ChainEnd| end.sealed.as_ref().is_some_and(|(_, by)| hex(by) == key);
    let what = match chains.iter().find(|(_, end)| !by(end)) {
        _ if key.len() != 64 => {
            "--key takes the 64 hex digits of a public key, as `theater chain key` prints them".to_owned()
        }
        None if chains.is_empty() => "there is no chain, so none is sealed".to_owned(),
        None => return Ok(()),
        Some((id, end)) => format!(
            "a chain is not sealed by {key}: it was rewritten, truncated before its first seal, recorded without `--seal`, or \
             has no snapshot and no end yet; found: {}",
            sentence(id, end)
        ),
    };
    Err(invalid(path, what))
}

fn invalid(path: &Path, what: String) -> Error {
    Error::Invalid(Box::new(Finding::file(path, what)))
}
