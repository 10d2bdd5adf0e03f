//! Damaged journals: what `chain verify` reports, what a restart repairs, and what `chain export`, `rm` and `gc` leave.

use std::fs::OpenOptions;
use std::io::Write as _;
use std::net::SocketAddr;
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};
use std::process::Output;
use std::sync::OnceLock;

use serde_json::Value as Json;
use theater_chain::Error;
use theater_chain::event::{self, Header, Id, hex};
use theater_chain::finding::Finding;
use theater_chain::journal::segment::{self, COMMIT, FRAME, Frame, Frames, SEGMENT_HEADER};
use theater_chain::verify::{self, Contents};
use theater_tests::{HTTP, Running, Scratch, exchange, get, manifest, theater, wait_until};

/// Segment size of a recorded journal.
const SMALL: u64 = 14 * 1024;
/// The fewest events of a recorded journal.
const EVENTS: u64 = 50;

/// Copies a folder recursively.
pub fn copy(from: &Path, to: &Path) {
    std::fs::create_dir_all(to).unwrap();
    for entry in std::fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            std::fs::copy(entry.path(), target).unwrap();
        }
    }
}

/// The segments of a data folder.
pub fn segments(data: &Path) -> Vec<PathBuf> {
    segment::list(&data.join("journal")).unwrap().into_iter().map(|(_, path)| path).collect()
}

/// The number of events in a data folder that can be read so far, while a program may be writing to it.
fn events(data: &Path) -> u64 {
    verify::read(data, |_| {}).map_or(0, |contents| contents.chains.values().map(|end| end.chain.len()).sum())
}

fn start(data: &Path, segment_size: u64, manifests: &[PathBuf]) -> Running {
    let size = segment_size.to_string();
    let paths: Vec<_> = manifests.iter().map(|path| path.display().to_string()).collect();
    let mut arguments = vec!["--segment-size", &size];
    arguments.extend(paths.iter().map(String::as_str));
    Running::start(data, &arguments)
}

fn stop(mut running: Running) {
    let (status, _) = running.stop();
    assert!(status.success(), "{status}: {:?}", running.errors());
}

/// Returns a copy of a data folder with two actors that answered in turn: at least 50 events in two segments. It is
/// recorded once per process.
pub fn recorded() -> Scratch {
    static ORIGINAL: OnceLock<Scratch> = OnceLock::new();
    let original = ORIGINAL.get_or_init(|| {
        let scratch = Scratch::new();
        let data = scratch.path().join("data");
        let hello = scratch.write("hello.toml", manifest("hello-http", HTTP));
        let probe = scratch.write("probe.toml", manifest("runtime-probe", HTTP));
        let running = start(&data, SMALL, &[hello, probe]);
        let (hello, probe) = (running.address(0), running.address(1));
        while events(&data) < EVENTS || segments(&data).len() < 2 {
            let before = events(&data);
            assert_eq!(get(hello, "/").status, 200);
            assert_eq!(get(probe, "/log/some-text").status, 200);
            // Keeps groups small, so that the first segment hardly exceeds its size.
            wait_until("the calls' events on disk", || (events(&data) > before).then_some(()));
        }
        stop(running);
        scratch
    });
    let copied = Scratch::new();
    copy(&original.path().join("data"), &copied.path().join("data"));
    let data = copied.path().join("data");
    assert_eq!(segments(&data).len(), 2);
    assert!(events(&data) >= EVENTS);
    copied
}

/// A frame of a segment: its start, end and kind.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub start: usize,
    pub end: usize,
    pub kind: u8,
}

/// The frames of an intact segment, found by their lengths alone.
pub fn spans(bytes: &[u8]) -> Vec<Span> {
    let mut spans = Vec::new();
    let mut at = SEGMENT_HEADER;
    while at < bytes.len() {
        let length = u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize;
        spans.push(Span { start: at, end: at + FRAME + length, kind: bytes[at + 4] });
        at += FRAME + length;
    }
    assert_eq!(at, bytes.len(), "a whole segment");
    spans
}

/// Runs `theater chain verify` on a data folder or file.
pub fn chain_verify(path: &Path, more: &[&str]) -> Output {
    let path = path.display().to_string();
    let mut arguments = vec!["chain", "verify", &path];
    arguments.extend(more);
    theater(&arguments)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn succeeds(arguments: &[&str]) -> String {
    let output = theater(arguments);
    assert_eq!(output.status.code(), Some(0), "{arguments:?}: {}", text(&output.stderr));
    text(&output.stdout)
}

/// The first violation that verification finds.
fn finding(data: &Path) -> Finding {
    match verify::read(data, |_| {}) {
        Err(Error::Invalid(finding)) => *finding,
        Err(other) => panic!("not a finding: {other}"),
        Ok(_) => panic!("nothing was found"),
    }
}

fn sound(data: &Path) -> Contents {
    verify::read(data, |_| {}).unwrap_or_else(|error| panic!("{error}"))
}

/// Id, length and head of the chain of the actor with this name.
fn chain_of(contents: &Contents, name: &str) -> (Id, u64, String) {
    let (id, end) = contents.find(name).unwrap_or_else(|| panic!("a chain of {name}"));
    (id, end.chain.len(), hex(&end.chain.head()))
}

/// Flips bits of one byte in a file.
fn flip(path: &Path, offset: usize, mask: u8) {
    let file = OpenOptions::new().read(true).write(true).open(path).unwrap();
    let mut byte = [0];
    file.read_exact_at(&mut byte, offset as u64).unwrap();
    file.write_all_at(&[byte[0] ^ mask], offset as u64).unwrap();
}

fn append(path: &Path, bytes: &[u8]) {
    OpenOptions::new().append(true).open(path).unwrap().write_all(bytes).unwrap();
}

/// Flips one bit in each byte whose offset is `part` modulo `parts`, and checks that verification finds it. The bit
/// varies with the offset: a checksum that misses a single-bit change misses it in any place.
fn flip_each(part: usize, parts: usize) {
    let scratch = recorded();
    let data = scratch.path().join("data");
    for path in segments(&data) {
        let bytes = std::fs::read(&path).unwrap();
        let spans = spans(&bytes);
        for offset in (part..bytes.len()).step_by(parts) {
            let mask = 1 << (offset / parts % 8);
            flip(&path, offset, mask);
            let found = finding(&data);
            let frame = spans.iter().find(|span| (span.start..span.end).contains(&offset));
            assert_eq!(found.path, path, "byte {offset}: {found}");
            assert_eq!(found.offset, frame.map(|frame| frame.start as u64), "byte {offset}: {found}");
            assert!(frame.is_some() || found.what.contains("header"), "byte {offset}: {found}");
            flip(&path, offset, mask);
        }
        assert_eq!(std::fs::read(&path).unwrap(), bytes);
    }
    sound(&data);
}

#[test]
fn every_flipped_byte_is_found_in_its_own_frame() {
    let parts = std::thread::available_parallelism().map_or(2, usize::from);
    std::thread::scope(|scope| {
        for part in 0..parts {
            scope.spawn(move || flip_each(part, parts));
        }
    });
}

/// The name of each kind of field and the offset of one of its bytes in the segment.
pub fn fields(bytes: &[u8]) -> Vec<(&'static str, usize)> {
    let spans = spans(bytes);
    let long = |span: &&Span| {
        let (header, length) = Header::parse(&bytes[span.start + FRAME..]).unwrap();
        header.length > event::INLINE as u64 && span.end > span.start + FRAME + length
    };
    let events: Vec<_> = spans.iter().filter(|span| span.kind != COMMIT).collect();
    let inner = events[events.len() / 2].start;
    let large = events.iter().copied().find(long).expect("an event with data after its header");
    let commit = spans.iter().find(|span| span.kind == COMMIT).expect("a commit").start;
    let mut fields = vec![
        ("magic", 3),
        ("format", 8),
        ("number", 12),
        ("created", 16),
        ("first group", 24),
        ("zeros of the segment", 33),
        ("checksum of the segment's header", 36),
        ("digest of data", large.start + FRAME + event::HEADER),
        ("data", large.end - 1),
        ("commit: length", commit),
        ("commit: kind", commit + 4),
        ("commit: place", commit + 8),
        ("commit: group", commit + FRAME),
        ("commit: events", commit + FRAME + 8),
        ("commit: checksum", commit + FRAME + 12),
    ];
    let frame = [
        ("length", 0),
        ("length, high", 3),
        ("kind", 4),
        ("zeros", 6),
        ("place", 9),
        ("sum of payload", 16),
        ("sum of head", 20),
    ];
    fields.extend(frame.map(|(name, at)| (name, inner + at)));
    fields.extend(HEADER_FIELDS.map(|(name, at)| (name, inner + FRAME + at)));
    fields
}

/// The fields of an event header and their offsets.
const HEADER_FIELDS: [(&str, usize); 12] = [
    ("actor", 0),
    ("sequence", 16),
    ("parent", 24),
    ("skip", 56),
    ("type", 88),
    ("function", 89),
    ("timestamp", 93),
    ("cause: actor", 101),
    ("cause: sequence", 117),
    ("cause: hash", 125),
    ("call", 157),
    ("length of the data", 165),
];

#[test]
fn the_program_finds_a_flipped_byte_of_each_field_and_names_the_frame() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    for path in segments(&data) {
        let bytes = std::fs::read(&path).unwrap();
        for (field, offset) in fields(&bytes) {
            flip(&path, offset, 0x10);
            let output = chain_verify(&data, &[]);
            let said = text(&output.stderr);
            assert_eq!(output.status.code(), Some(1), "{field}: {said}{}", text(&output.stdout));
            let frame = spans(&bytes).into_iter().find(|span| (span.start..span.end).contains(&offset));
            let place = frame.map_or("header".to_owned(), |frame| format!("frame at offset {}", frame.start));
            assert!(said.contains(&place), "{field}: {said}");
            assert!(said.contains(&path.file_name().unwrap().display().to_string()), "{field}: {said}");
            assert!(!said.contains("torn") && !said.contains("were being written"), "{field}: {said}");
            flip(&path, offset, 0x10);
        }
    }
    sound(&data);
}

/// A segment with one event changed and every checksum corrected, as by an attacker who knows the format.
fn forged(bytes: &[u8], event: usize, change: impl Fn(&mut Vec<u8>)) -> Vec<u8> {
    let mut out = bytes[..SEGMENT_HEADER].to_vec();
    let (mut group_start, mut count) = (out.len(), 0);
    for (number, span) in spans(bytes).into_iter().enumerate() {
        let payload = &bytes[span.start + FRAME..span.end];
        if span.kind == COMMIT {
            let group = u64::from_le_bytes(payload[..8].try_into().unwrap());
            let commit = segment::commit_frame(group, count, &out[group_start..]);
            out.extend(commit);
            (group_start, count) = (out.len(), 0);
            continue;
        }
        let before = u64::from_le_bytes(bytes[span.start + 8..span.start + 16].try_into().unwrap());
        let mut payload = payload.to_vec();
        if number == event {
            change(&mut payload);
        }
        let mut frame = vec![0; FRAME];
        frame.extend(payload);
        segment::finish_frame(&mut frame, span.kind, before);
        out.extend(frame);
        count += 1;
    }
    out
}

#[test]
fn a_change_behind_new_checksums_is_found_by_the_hashes_and_names_the_event() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let path = segments(&data).remove(0);
    let bytes = std::fs::read(&path).unwrap();
    let spans = spans(&bytes);
    let chosen = spans.iter().enumerate().filter(|(_, span)| span.kind != COMMIT).nth(20).expect("event 20");
    let (header, length) = Header::parse(&bytes[chosen.1.start + FRAME..]).unwrap();
    assert_eq!(forged(&bytes, chosen.0, |_| ()), bytes, "nothing changed, nothing differs");
    for (field, at) in HEADER_FIELDS {
        std::fs::write(&path, forged(&bytes, chosen.0, |payload| payload[at] ^= 1)).unwrap();
        let found = finding(&data);
        match field {
            // The data then has another length than its header says, and the frame does not parse.
            "length of the data" => assert_eq!(found.offset, Some(chosen.1.start as u64), "{found}"),
            _ => {
                let (actor, sequence) = found.event.unwrap_or_else(|| panic!("{field}: {found}"));
                // Either the event itself is reported, or one that links to it.
                assert!(field == "actor" || actor == header.actor, "{field}: {found}");
                let near = [header.sequence ^ 1, header.sequence, header.sequence + 1];
                assert!(near.contains(&sequence), "{field}: {found}");
            }
        }
    }
    let large = spans.iter().position(|span| span.kind != COMMIT && span.end - span.start > FRAME + length + 300);
    std::fs::write(&path, forged(&bytes, large.unwrap(), |payload| *payload.last_mut().unwrap() ^= 1)).unwrap();
    assert!(finding(&data).what.contains("digest"), "{}", finding(&data));
}

/// The offsets at which a segment can be truncated: after a group, between the frames of a group, and inside a frame.
fn cuts(bytes: &[u8]) -> [Vec<usize>; 3] {
    let spans = spans(bytes);
    let (mut groups, mut frames, mut inside) = (vec![SEGMENT_HEADER], Vec::new(), Vec::new());
    for span in &spans {
        let border = if span.kind == COMMIT { &mut groups } else { &mut frames };
        border.push(span.end);
        inside.extend([span.start + 1, span.start + FRAME, span.end - 1]);
    }
    // The end of the segment is not a truncation.
    assert_eq!(groups.pop(), Some(bytes.len()));
    [groups, frames, inside]
}

#[test]
fn every_cut_is_found_with_the_head_and_told_as_torn_without_where_it_is_inside_a_group() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let whole = sound(&data);
    let path = segments(&data).remove(1);
    let bytes = std::fs::read(&path).unwrap();
    let [groups, frames, inside] = cuts(&bytes);
    let at_border = |cut: usize| groups.contains(&cut);
    for cut in groups.iter().chain(&frames).chain(&inside).copied() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let contents = sound(&data);
        let group = groups.iter().rev().find(|border| **border <= cut).copied().unwrap();
        let torn = (!at_border(cut)).then(|| (path.clone(), group as u64));
        assert_eq!(contents.torn, torn, "cut at {cut}");
        let shorter = |(id, end): (&Id, &verify::ChainEnd)| {
            contents.chains.get(id).is_none_or(|cut| cut.chain.head() != end.chain.head())
        };
        assert!(whole.chains.iter().any(shorter), "cut at {cut}: no chain is shorter");
    }
    // A truncation at a group boundary leaves no trace in the file, so that only the head reveals it.
    let (_, last) = whole.chains.iter().max_by_key(|(_, end)| end.last_ms).unwrap();
    let heads: Vec<_> = whole.chains.values().map(|end| hex(&end.chain.head())).collect();
    let samples =
        [&groups[0], groups.last().unwrap(), &frames[frames.len() / 2], frames.last().unwrap(), inside.last().unwrap()];
    for cut in samples.into_iter().copied() {
        std::fs::write(&path, &bytes[..cut]).unwrap();
        let without = chain_verify(&data, &[]);
        assert_eq!(without.status.code(), Some(0), "cut at {cut}: {}", text(&without.stderr));
        assert_eq!(text(&without.stdout).contains("were being written"), !at_border(cut), "{}", text(&without.stdout));
        let codes: Vec<_> = heads.iter().map(|head| chain_verify(&data, &["--head", head]).status.code()).collect();
        assert!(codes.contains(&Some(1)), "cut at {cut}: {codes:?}");
    }
    std::fs::remove_file(&path).unwrap();
    let output = chain_verify(&data, &["--head", &hex(&last.chain.head())]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("events were cut off"), "{}", text(&output.stderr));
    std::fs::write(&path, &bytes).unwrap();
    for head in heads {
        assert_eq!(chain_verify(&data, &["--head", &head]).status.code(), Some(0));
    }
}

#[test]
fn a_missing_segment_and_a_cut_before_another_segment_are_damage() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let first = segments(&data).remove(0);
    let bytes = std::fs::read(&first).unwrap();
    std::fs::remove_file(&first).unwrap();
    let output = chain_verify(&data, &[]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output.stderr).contains("segment 1 is missing"), "{}", text(&output.stderr));
    let [groups, frames, inside] = cuts(&bytes);
    for cut in [groups.last(), frames.last(), inside.last()] {
        std::fs::write(&first, &bytes[..*cut.unwrap()]).unwrap();
        assert_eq!(chain_verify(&data, &[]).status.code(), Some(1), "cut at {cut:?}");
    }
    std::fs::write(&first, &bytes).unwrap();
    sound(&data);
}

#[test]
fn an_event_larger_than_a_segment_is_written_and_read() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let hello = scratch.write("hello.toml", manifest("hello-http", HTTP));
    let big = scratch.write("big.toml", manifest("big-state", HTTP));
    let running = start(&data, 4096, &[hello, big]);
    let (hello, big) = (running.address(0), running.address(1));
    for length in [3_000, 5_000, 300_000, 10] {
        let before = events(&data);
        let head = format!("POST / HTTP/1.1\r\nHost: {hello}\r\nContent-Length: {length}\r\nConnection: close\r\n\r\n");
        let request = [head.into_bytes(), vec![b'x'; length]].concat();
        assert_eq!(exchange(hello, &request).unwrap().status, 200);
        assert_eq!(get(big, &format!("/set/{}", length * 2)).text().trim(), (length * 2).to_string());
        wait_until("the calls' events on disk", || (events(&data) > before).then_some(()));
    }
    stop(running);
    let mut largest = 0;
    let contents = verify::read(&data, |event| largest = largest.max(event.header.length)).unwrap();
    assert!(largest > 300_000, "{largest}");
    assert!(segments(&data).len() >= 3, "{:?}", segments(&data));
    assert!(segments(&data).iter().any(|path| path.metadata().unwrap().len() > 300_000));
    assert_eq!(contents.chains.len(), 2);
    assert_eq!(chain_verify(&data, &[]).status.code(), Some(0));
}

/// Starts `hello-http` on an existing data folder, visits it once, and stops it.
fn one_more_visit(scratch: &Scratch, data: &Path) {
    let path = scratch.write("again.toml", manifest("hello-http", HTTP));
    let running = start(data, SMALL, &[path]);
    assert_eq!(get(running.address(0), "/").status, 200);
    stop(running);
}

#[test]
fn what_stands_behind_the_last_commit_is_moved_aside_at_the_next_start() {
    for harm in ["half a frame", "a frame without its commit", "zeros", "noise"] {
        let scratch = recorded();
        let data = scratch.path().join("data");
        let before = sound(&data);
        let path = segments(&data).remove(1);
        let bytes = std::fs::read(&path).unwrap();
        let frame = spans(&bytes).into_iter().find(|span| span.kind != COMMIT).unwrap();
        let tail = match harm {
            "half a frame" => bytes[frame.start..frame.end - 9].to_vec(),
            "a frame without its commit" => bytes[frame.start..frame.end].to_vec(),
            "zeros" => vec![0; 4096],
            _ => (0..1000u32).map(|number| (number.wrapping_mul(2_654_435_761) >> 13) as u8).collect(),
        };
        append(&path, &tail);
        one_more_visit(&scratch, &data);
        assert_eq!(std::fs::read(path.with_extension("torn")).unwrap(), tail, "{harm}");
        assert!(std::fs::read(&path).unwrap().starts_with(&bytes), "{harm}: what was committed stays");
        let after = sound(&data);
        assert_eq!(after.torn, None, "{harm}");
        assert_eq!(after.chains.len(), before.chains.len() + 1, "{harm}");
        for (id, end) in &before.chains {
            assert_eq!(after.chains[id].chain.head(), end.chain.head(), "{harm}");
        }
        assert_eq!(chain_verify(&data, &[]).status.code(), Some(0), "{harm}");
    }
}

#[test]
fn a_segment_that_was_being_made_when_the_program_ended_is_made_again() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let draft = data.join("journal/00000003.draft");
    std::fs::write(&draft, "THTR").unwrap();
    sound(&data);
    let hello = scratch.write("hello.toml", manifest("hello-http", HTTP));
    let running = start(&data, 1024, &[hello]);
    while segments(&data).len() < 3 {
        assert_eq!(get(running.address(0), "/").status, 200);
    }
    stop(running);
    assert!(!draft.exists());
    sound(&data);
}

#[test]
fn a_journal_that_is_damaged_before_its_last_commit_is_not_written_on() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let path = segments(&data).remove(1);
    let bytes = std::fs::read(&path).unwrap();
    let event = spans(&bytes).into_iter().find(|span| span.kind != COMMIT).unwrap();
    let hello = scratch.write("hello.toml", manifest("hello-http", HTTP)).display().to_string();
    for offset in [event.start, event.start + FRAME + 20, 16] {
        flip(&path, offset, 4);
        let damaged = std::fs::read(&path).unwrap();
        let output = theater(&["run", "--data", &data.display().to_string(), &hello]);
        let said = text(&output.stderr);
        assert_eq!(output.status.code(), Some(1), "{said}");
        assert!(said.contains("00000002.log") && said.contains("theater chain verify"), "{said}");
        let place =
            if offset < SEGMENT_HEADER { "header is damaged".to_owned() } else { format!("offset {}", event.start) };
        assert!(said.contains(&place), "{said}");
        assert_eq!(std::fs::read(&path).unwrap(), damaged, "nothing is written");
        assert!(!path.with_extension("torn").exists());
        flip(&path, offset, 4);
    }
    one_more_visit(&scratch, &data);
}

#[test]
fn an_exported_chain_is_verified_on_its_own_and_every_flipped_byte_of_it_is_found() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let (_, events, head) = chain_of(&sound(&data), "hello-http");
    let file = scratch.path().join("hello.chain");
    let (from, to) = (data.display().to_string(), file.display().to_string());
    succeeds(&["chain", "--data", &from, "export", "hello-http", "--to", &to]);
    let contents = sound(&file);
    assert_eq!(contents.chains.len(), 1);
    let (_, exported, exported_head) = chain_of(&contents, "hello-http");
    assert_eq!((exported, &exported_head), (events, &head));
    assert_eq!(chain_verify(&file, &["--head", &head]).status.code(), Some(0));
    assert!(succeeds(&["chain", "show", &to]).contains("created"));
    let bytes = std::fs::read(&file).unwrap();
    for offset in (0..bytes.len()).step_by(7) {
        flip(&file, offset, 1 << (offset % 8));
        assert!(verify::read(&file, |_| {}).is_err(), "byte {offset}");
        flip(&file, offset, 1 << (offset % 8));
    }
    // An export is a single group, so that any truncation invalidates all of it.
    for length in [100, bytes.len() / 2, bytes.len() - 1] {
        std::fs::write(&file, &bytes[..length]).unwrap();
        let verified = chain_verify(&file, &[]);
        let said = String::from_utf8_lossy(&verified.stderr).into_owned();
        assert_eq!(verified.status.code(), Some(1), "{length}: {said}");
        assert!(said.contains("export the chain again"), "{said}");
    }
}

/// Walks each chain backwards from its last frame along the offsets of the previous frames. Returns the number of
/// events per actor.
fn walked(data: &Path) -> Vec<(Id, u64, String)> {
    let folder = data.join("journal");
    let mut newest = std::collections::BTreeMap::new();
    for (number, path) in segment::list(&folder).unwrap() {
        let bytes = segment::read_all(&path).unwrap();
        let mut frames = Frames::new(&bytes).unwrap();
        while let Some(frame) = frames.next_frame().unwrap() {
            if let Frame::Event { offset, header, event, .. } = frame {
                let place = segment::FramePosition { segment: number, offset: u32::try_from(offset).unwrap() };
                newest.insert(header.actor, (place, header.sequence, event::event_hash(event)));
            }
        }
    }
    let walk = |(actor, (place, sequence, head)): (Id, (segment::FramePosition, u64, event::Hash))| {
        let (mut at, mut expected, mut count) = (Some(place), head, 0);
        while let Some(place) = at {
            let wanted = sequence - count;
            let event = theater_chain::journal::lookup::read_event(&folder, actor, place, wanted..=wanted).unwrap();
            assert_eq!(event.hash, expected);
            (at, expected, count) = (event.previous, event.header.parent, count + 1);
        }
        assert_eq!(expected, [0; 32], "the walk ends at the first event");
        (actor, count, hex(&head))
    };
    newest.into_iter().map(walk).collect()
}

#[test]
fn a_removed_chain_is_gone_and_the_others_stay_whole() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let folder = data.display().to_string();
    let before = sound(&data);
    let (id, events, head) = chain_of(&before, "hello-http");
    let (gone, _, _) = chain_of(&before, "runtime-probe");
    assert_eq!(walked(&data).len(), 2);
    let said = succeeds(&["-o", "json", "chain", "--data", &folder, "rm", "runtime-probe"]);
    let said: Json = serde_json::from_str(&said).unwrap();
    assert_eq!(said["removed"], before.chains[&gone].chain.len());
    let after = sound(&data);
    assert!(!after.chains.contains_key(&gone));
    assert_eq!(walked(&data), [(id, events, head.clone())]);
    assert_eq!(chain_verify(&data, &["--head", &head]).status.code(), Some(0));
    for path in segments(&data) {
        let mode = std::os::unix::fs::MetadataExt::mode(&path.metadata().unwrap());
        assert_eq!(mode & 0o777, 0o600, "{} is for its owner only", path.display());
        let bytes = std::fs::read(&path).unwrap();
        assert!(!bytes.windows(16).any(|window| window == gone), "nothing of the chain is left");
    }
    one_more_visit(&scratch, &data);
    assert_eq!(sound(&data).chains.len(), 2);
}

#[test]
fn gc_drops_what_no_chain_names_and_nothing_else() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let folder = data.display().to_string();
    let count = |folder: &str| std::fs::read_dir(data.join(folder)).unwrap().count();
    let said: Json = serde_json::from_str(&succeeds(&["-o", "json", "chain", "--data", &folder, "gc"])).unwrap();
    assert_eq!(said["files"], 0, "everything is named");
    let objects = count("objects");
    std::fs::write(segments(&data)[1].with_extension("torn"), "cut off").unwrap();
    std::fs::write(data.join("objects").join("0".repeat(64)), "nobody's").unwrap();
    let said: Json = serde_json::from_str(&succeeds(&["-o", "json", "chain", "--data", &folder, "gc"])).unwrap();
    assert_eq!(said["files"], 2);
    assert_eq!(count("objects"), objects);
    succeeds(&["chain", "--data", &folder, "rm", "runtime-probe"]);
    succeeds(&["chain", "--data", &folder, "gc"]);
    // Both actors share the objects of plugins and interfaces; only manifest and component belonged to the probe.
    assert_eq!(count("objects"), objects - 2);
    assert!(succeeds(&["chain", "--data", &folder, "show", "hello-http"]).contains("handle-request"));
    sound(&data);
}

#[test]
fn two_actors_chains_stand_interleaved_and_each_verifies() {
    let scratch = recorded();
    let data = scratch.path().join("data");
    let mut actors = Vec::new();
    let contents = verify::read(&data, |event| actors.push(event.header.actor)).unwrap();
    let turns = actors.windows(2).filter(|pair| pair[0] != pair[1]).count();
    assert!(turns > 10, "{turns}");
    assert_eq!(walked(&data).len(), 2);
    for (id, end) in &contents.chains {
        assert_eq!(actors.iter().filter(|actor| *actor == id).count() as u64, end.chain.len());
        let output = chain_verify(&data, &["--head", &hex(&end.chain.head())]);
        assert_eq!(text(&output.stdout).lines().count(), 2, "{}", text(&output.stdout));
    }
}

/// The events of a chain as `chain show -o json` prints them.
fn shown(data: &Path, chain: &str) -> Vec<Json> {
    let lines = succeeds(&["-o", "json", "chain", "--data", &data.display().to_string(), "show", chain]);
    lines.lines().map(|line| serde_json::from_str(line).unwrap()).collect()
}

#[test]
fn a_living_actor_reads_its_own_chain_through_more_than_one_segment() {
    let scratch = Scratch::new();
    let data = scratch.path().join("data");
    let probe = scratch.write("probe.toml", manifest("runtime-probe", HTTP));
    let hello = scratch.write("hello.toml", manifest("hello-http", HTTP));
    let running = start(&data, 4096, &[probe, hello]);
    let (probe, hello): (SocketAddr, SocketAddr) = (running.address(0), running.address(1));
    while segments(&data).len() < 4 {
        assert_eq!(get(hello, "/").status, 200);
        assert_eq!(get(probe, "/log/x").status, 200);
    }
    let seen = get(probe, "/chain").text();
    stop(running);
    let seen: Vec<_> = seen.lines().map(|line| line.split(' ').take(2).collect::<Vec<_>>()).collect();
    let all = shown(&data, "runtime-probe");
    let label = |event: &Json, key: &str| match event[key].as_str().unwrap().get(..16).unwrap() {
        "0000000000000000" => "-".to_owned(),
        label => label.to_owned(),
    };
    assert!(seen.len() > 20 && seen.len() < all.len(), "{} of {}", seen.len(), all.len());
    for (seen, event) in seen.iter().zip(&all) {
        assert_eq!(*seen, [label(event, "hash"), label(event, "parent")]);
    }
}
