#!/usr/bin/env python3
"""Verifies chains of actors without any code of Theater's, as `runtime/src/chain.rs` documents the format.

    verify_chain.py PATH [--head HEX]

PATH is a data folder, its folder `journal`, one segment, or a chain that `theater chain export` wrote. Prints a line for
each actor, sorted by id:

    <uuid>: <n> events, complete up to <hash of the newest event>

A segment that is not its journal's first may begin inside a chain; then the line is

    <uuid>: <n> events from sequence <k>, linked up to <hash of the newest event>

--head HEX proves that some chain's newest event has that hash. Nothing but that shows that a chain was cut off.

Exit status: 0 all fits; 1 something does not, and the first thing that does not is named on stderr, a frame by segment
and offset or an event by actor and sequence; 2 the command line is wrong or PATH cannot be read. A group that the end of
the last segment cuts off is an unfinished write: it is ignored and mentioned on stderr.
"""

import hashlib
import pathlib
import struct
import sys
import uuid
import zlib

FORMAT = 1
MAGIC = b"THTRJRN1"
SEGMENT = struct.Struct("<8sIIQQII")  # magic, format, number, created, first group, zero, CRC-32
FRAME = struct.Struct("<IB3sQII")  # length, kind, zero, place before, CRC-32 of the payload, CRC-32 of these
COMMIT_PAYLOAD = struct.Struct("<QII")  # number of the group, events in it, CRC-32 over its frames
# actor, sequence, parent, skip, type, function, timestamp, cause (actor, sequence, hash), call, length of the data
HEADER = struct.Struct("<16sQ32s32sBIQ16sQ32sQQ")
EVENT, EVENT_WITHOUT_DATA, COMMIT = 1, 2, 3
CREATED, QUEUED, LAST_TYPE = 1, 3, 15
NONE = 2**64 - 1  # no place, no call
INLINE, DIGEST = 64, 32
ZERO = bytes(32)


class Bad(Exception):
    """The first thing that does not fit."""


class BadFrame(Bad):
    """In a frame, or in a segment's header."""


class CutOff(BadFrame):
    """A frame or group that the file's end cuts off: an unfinished write, where nothing follows."""


def sha3(label, data):
    return hashlib.sha3_256(label + data).digest()


def skips_to(sequence):
    """The event whose hash event `sequence` has beside its parent's: `sequence` less its smallest part 2^k - 1."""
    rest, part = sequence, (1 << sequence.bit_length()) - 1
    while rest:
        while rest < part:
            part >>= 1
        rest -= part
    return sequence - part if sequence else 0


class Event:
    """An event as a frame has it."""

    def __init__(self, payload, kind, place, before):
        if len(payload) < HEADER.size:
            raise BadFrame("the event is cut off")
        (self.actor, self.sequence, self.parent, self.skip, self.type, _, _, cause_actor, cause_sequence, cause_hash,
         self.call, self.length) = HEADER.unpack_from(payload)
        end = HEADER.size + (self.length if self.length <= INLINE else DIGEST)
        if len(payload) < end:
            raise BadFrame("the event is cut off")
        self.cause = (cause_actor, cause_sequence, cause_hash)
        self.digest = payload[HEADER.size : end]
        self.hash = sha3(b"theater/event/1", payload[:end])
        self.data = payload[end:]
        self.kind, self.place, self.before = kind, place, before

    def bad(self, what):
        return Bad(f"bad event: actor {uuid.UUID(bytes=self.actor)}, sequence {self.sequence}: {what}")

    def check_data(self):
        if self.length <= INLINE:
            if self.data or self.kind == EVENT_WITHOUT_DATA:
                raise self.bad(f"its {self.length} bytes of data stand in its header, yet its frame says otherwise")
        elif self.kind == EVENT_WITHOUT_DATA:
            if self.data:
                raise self.bad("its frame says that its data was dropped, and has data")
        elif len(self.data) != self.length:
            raise self.bad(f"its data has {len(self.data)} bytes, its header says {self.length}")
        elif sha3(b"theater/data/1", self.data) != self.digest:
            raise self.bad("its data does not have the digest in its header")


class Chain:
    """What is known of one actor's chain so far."""

    def __init__(self, first):
        self.first = first  # the sequence of the first event seen
        self.hashes = []  # of the events from `first` on
        self.queued = set()
        self.place = None

    def next(self):
        return self.first + len(self.hashes)

    def hash_of(self, sequence):
        """The hash of an event; none where the chain is not seen that far back."""
        return None if sequence < self.first else self.hashes[sequence - self.first]

    def push(self, event):
        self.check_link(event)
        event.check_data()
        self.check_words(event)
        self.check_place(event)
        if event.type == QUEUED:
            self.queued.add(event.sequence)
        self.hashes.append(event.hash)
        self.place = event.place

    def check_link(self, event):
        sequence = event.sequence
        if sequence != self.next():
            raise event.bad(f"sequence {self.next()} should come here")
        parent, skip = ZERO, ZERO
        if sequence > 0:
            parent, skip = self.hash_of(sequence - 1), self.hash_of(skips_to(sequence))
        if parent is not None and event.parent != parent:
            raise event.bad("its parent hash is not that of the event before")
        if skip is not None and event.skip != skip:
            raise event.bad(f"its skip hash is not that of event {skips_to(sequence)}")

    def check_words(self, event):
        if not 1 <= event.type <= LAST_TYPE:
            raise event.bad(f"there is no event type {event.type}")
        if (event.type == CREATED) != (event.sequence == 0):
            raise event.bad("`created` is the first event, and no other")
        if event.cause[0] == bytes(16) and event.cause != (bytes(16), 0, ZERO):
            raise event.bad("it has half a cause")
        if event.call == NONE or event.call < self.first:
            return
        if event.call not in self.queued and not (event.call == event.sequence and event.type == QUEUED):
            raise event.bad(f"it belongs to a call, and event {event.call} is no `queued`")

    def check_place(self, event):
        if event.before == NONE:
            return
        if self.place is None and (self.first == 0 or event.before >= event.place):
            raise event.bad("its frame names a place before, and none is there")
        # Where data was dropped from the segment of the predecessor since, its place there is another one.
        kept = slice(None) if self.place is not None and self.place >> 32 == event.place >> 32 else slice(1)
        if self.place is not None and divmod(event.before, 1 << 32)[kept] != divmod(self.place, 1 << 32)[kept]:
            raise event.bad("its frame names another place before than the one its predecessor has")


class Journal:
    """All that was read so far."""

    def __init__(self, must_begin):
        self.must_begin = must_begin  # every chain has to begin with its first event
        self.chains = {}
        self.causes = []
        self.group = None

    def push(self, event):
        chain = self.chains.get(event.actor)
        if chain is None:
            chain = self.chains[event.actor] = Chain(0 if self.must_begin else event.sequence)
        chain.push(event)
        if event.cause[0] in self.chains:
            self.check_cause(event)
        elif event.cause[0] != bytes(16):
            self.causes.append(event)

    def check_cause(self, event):
        actor, sequence, wanted = event.cause
        chain = self.chains.get(actor)
        if chain is None or sequence < chain.first:
            return
        if sequence >= chain.next():
            raise event.bad(f"its cause, event {sequence} of {uuid.UUID(bytes=actor)}, comes after it or not at all")
        if chain.hash_of(sequence) != wanted:
            raise event.bad(f"its cause, event {sequence} of {uuid.UUID(bytes=actor)}, has another hash")

    def finish(self):
        """A cause whose actor appeared only later is no cause."""
        for event in self.causes:
            if event.cause[0] in self.chains and event.cause[1] >= self.chains[event.cause[0]].first:
                raise event.bad("its cause comes after it")


class Segment:
    """One segment in memory."""

    def __init__(self, path):
        self.path = path
        self.bytes = path.read_bytes()
        self.at = SEGMENT.size

    def bad(self, what, offset):
        return BadFrame(f"bad frame: segment {self.path.name}, offset {offset}: {what}")

    def open(self):
        """Checks the segment's header."""
        if len(self.bytes) < SEGMENT.size:
            raise self.bad("the segment's header of 40 bytes is cut off", 0)
        magic, form, self.number, _, self.first_group, zero, crc = SEGMENT.unpack_from(self.bytes)
        if magic != MAGIC:
            raise self.bad("a segment begins with THTRJRN1", 0)
        if zlib.crc32(self.bytes[: SEGMENT.size - 4]) != crc:
            raise self.bad("the checksum of the segment's header does not fit", 0)
        if form != FORMAT:
            raise self.bad(f"the segment has format {form}, this program reads {FORMAT}", 0)
        if zero != 0 or self.number == 0:
            raise self.bad("a field of the segment's header has a value that it cannot have", 0)

    def frame(self):
        """The frame at `at`: kind, place before, payload."""
        head = self.bytes[self.at : self.at + FRAME.size]
        if len(head) < FRAME.size:
            raise CutOff(str(self.bad("the frame's head is cut off", self.at)))
        length, kind, zero, before, payload_crc, head_crc = FRAME.unpack(head)
        if zlib.crc32(head[:20]) != head_crc:
            raise self.bad("the checksum of its head does not fit", self.at)
        payload = self.bytes[self.at + FRAME.size : self.at + FRAME.size + length]
        if len(payload) < length:
            raise CutOff(str(self.bad("its payload is cut off", self.at)))
        if zlib.crc32(payload) != payload_crc:
            raise self.bad("the checksum of its payload does not fit", self.at)
        if zero != bytes(3) or kind not in (EVENT, EVENT_WITHOUT_DATA, COMMIT):
            raise self.bad(f"there is no frame of kind {kind}, or its zeros are none", self.at)
        return kind, before, payload

    def group(self, journal):
        """Reads one group and its commit; its events count only then."""
        start, events = self.at, []
        try:
            while True:
                offset = self.at
                kind, before, payload = self.frame()
                self.at += FRAME.size + len(payload)
                if kind == COMMIT:
                    self.check_commit(offset, before, payload, start, len(events), journal.group)
                    break
                events.append(self.event(offset, kind, before, payload))
        except BadFrame:
            self.at = start
            if self.commit_behind(start):
                for event in events:  # one of them may be the first that is bad
                    journal.push(event)
            raise
        for event in events:
            journal.push(event)
        journal.group += 1

    def event(self, offset, kind, before, payload):
        try:
            return Event(payload, kind, self.number << 32 | offset, before)
        except BadFrame as error:
            raise self.bad(error, offset) from None

    def check_commit(self, offset, before, payload, start, events, number):
        if len(payload) != COMMIT_PAYLOAD.size or before != 0:
            raise self.bad("a commit has 16 bytes and no place before", offset)
        group, count, crc = COMMIT_PAYLOAD.unpack(payload)
        if group != number:
            raise self.bad(f"it ends group {group} where group {number} should end", offset)
        if count != events:
            raise self.bad(f"its group has {events} events, it says {count}", offset)
        if zlib.crc32(self.bytes[start:offset]) != crc:
            raise self.bad("the checksum of its group does not fit", offset)

    def commit_behind(self, start):
        """Whether a whole commit stands anywhere behind: then what is bad was not just cut off."""
        head = struct.pack("<IB3sQ", COMMIT_PAYLOAD.size, COMMIT, bytes(3), 0)
        at = self.bytes.find(head, start)
        while at >= 0:
            frame = self.bytes[at : at + FRAME.size + COMMIT_PAYLOAD.size]
            if len(frame) == FRAME.size + COMMIT_PAYLOAD.size:
                payload_crc, head_crc = struct.unpack_from("<II", frame, 16)
                if zlib.crc32(frame[:20]) == head_crc and zlib.crc32(frame[FRAME.size :]) == payload_crc:
                    return True
            at = self.bytes.find(head, at + 1)
        return False

    def read(self, journal, is_last):
        while self.at < len(self.bytes):
            start = self.at
            try:
                self.group(journal)
            except CutOff:
                if not is_last:
                    raise
                unfinished = len(self.bytes) - start
                print(f"{self.path.name}: {unfinished} bytes behind the last commit are ignored", file=sys.stderr)
                return


def segments(path):
    """The segments to read, and whether they are a whole journal."""
    if path.is_file():
        return [Segment(path)], False
    if (path / "journal").is_dir():
        path = path / "journal"
    return [Segment(file) for file in sorted(path.glob("[0-9]" * 8 + ".log"))], True


def verify(path):
    """Reads everything: the chains by actor. Raises `Bad`."""
    found, whole = segments(path)
    if not found:
        raise FileNotFoundError(f"{path}: there is no segment NNNNNNNN.log")
    journal = None
    for index, segment in enumerate(found, 1):
        segment.open()
        if whole and (segment.number != index or segment.path.stem != f"{index:08}"):
            raise segment.bad(f"segment {index} should come here, its header says {segment.number}", 0)
        if journal is None:
            journal = Journal(must_begin=segment.number == 1)
            journal.group = segment.first_group
        if segment.first_group != journal.group:
            raise segment.bad(f"it begins with group {segment.first_group} where group {journal.group} should begin", 0)
        segment.read(journal, is_last=index == len(found))
        segment.bytes = b""
    journal.finish()
    return journal.chains


def line(actor, chain):
    head = chain.hashes[-1].hex()
    if chain.first == 0:
        return f"{actor}: {len(chain.hashes)} events, complete up to {head}"
    return f"{actor}: {len(chain.hashes)} events from sequence {chain.first}, linked up to {head}"


def arguments(words):
    """The path and the head that is asked for; none when the command line is wrong."""
    words, head = list(words), None
    if "--head" in words:
        at = words.index("--head")
        head = "".join(words[at + 1 : at + 2]).lower()
        del words[at : at + 2]
        if len(head) != 64 or not set(head) <= set("0123456789abcdef"):
            return None
    if len(words) != 1 or words[0].startswith("-"):
        return None
    return pathlib.Path(words[0]), head


def main(words):
    asked = arguments(words)
    if asked is None:
        print("usage: verify_chain.py PATH [--head HEX]  (HEX: 64 hex digits)", file=sys.stderr)
        return 2
    path, head = asked
    try:
        chains = verify(path)
    except OSError as error:
        print(error, file=sys.stderr)
        return 2
    except Bad as error:
        print(error, file=sys.stderr)
        return 1
    for actor, chain in sorted((str(uuid.UUID(bytes=actor)), chain) for actor, chain in chains.items()):
        print(line(actor, chain))
    if head is not None and head not in (chain.hashes[-1].hex() for chain in chains.values()):
        print(f"bad head: no chain's newest event has the hash {head}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
