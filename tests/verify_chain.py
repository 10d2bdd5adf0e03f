#!/usr/bin/env python3
"""Verifies chains of actors without any code from Theater. `runtime/chain/src/event.rs` documents the format.

    verify_chain.py PATH [--head HEX]

PATH is a data folder, its folder `journal`, a single segment, or a file from `theater chain export`. Prints a line per
actor, sorted by id:

    <uuid>: <n> events, complete up to <hash of the newest event>

A segment other than the first one of a journal may begin inside a chain. Then the line is

    <uuid>: <n> events from sequence <k>, linked up to <hash of the newest event>

--head HEX checks that the newest event of some chain has this hash. Only this check can detect a truncated chain.

Exit status: 0 if everything verifies; 1 if not, with the first violation on stderr, as a frame with segment and offset
or an event with actor and sequence; 2 if the command line is wrong or PATH cannot be read. An incomplete group at the
end of the last segment is an unfinished write: it is ignored and reported on stderr.
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
FRAME = struct.Struct("<IB3sQII")  # length, kind, zero, position of the previous frame, CRC-32 of payload, of these
COMMIT_PAYLOAD = struct.Struct("<QII")  # number of the group, number of its events, CRC-32 over its frames
# actor, sequence, parent, skip, type, function, timestamp, cause (actor, sequence, hash), call, length of the data
HEADER = struct.Struct("<16sQ32s32sBIQ16sQ32sQQ")
EVENT, EVENT_WITHOUT_DATA, COMMIT = 1, 2, 3
CREATED, QUEUED, LAST_TYPE = 1, 3, 15
NONE = 2**64 - 1  # no position, no call
INLINE, DIGEST = 64, 32
ZERO = bytes(32)


class Bad(Exception):
    """The first violation."""


class BadFrame(Bad):
    """A violation in a frame or in a segment header."""


class CutOff(BadFrame):
    """A frame or group that the end of the file truncates: an unfinished write, if nothing follows."""


def sha3(label, data):
    return hashlib.sha3_256(label + data).digest()


def skips_to(sequence):
    """The event whose hash is the skip hash of event `sequence`: `sequence` minus the smallest part of its greedy sum
    of numbers 2^k - 1."""
    rest, part = sequence, (1 << sequence.bit_length()) - 1
    while rest:
        while rest < part:
            part >>= 1
        rest -= part
    return sequence - part if sequence else 0


class Event:
    """An event, parsed from the payload of a frame."""

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
                raise self.bad(f"its {self.length} bytes of data are in its header, but its frame says otherwise")
        elif self.kind == EVENT_WITHOUT_DATA:
            if self.data:
                raise self.bad("its frame says that its data was dropped, but has data")
        elif len(self.data) != self.length:
            raise self.bad(f"its data has {len(self.data)} bytes, its header says {self.length}")
        elif sha3(b"theater/data/1", self.data) != self.digest:
            raise self.bad("its data does not have the digest in its header")


class Chain:
    """The part of one actor's chain that was read so far."""

    def __init__(self, first):
        self.first = first  # the sequence of the first event seen
        self.hashes = []  # of the events from `first` on
        self.queued = set()
        self.place = None

    def next(self):
        return self.first + len(self.hashes)

    def hash_of(self, sequence):
        """The hash of an event, or None if the event is before the first one that was read."""
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
            raise event.bad(f"expected sequence {self.next()}")
        parent, skip = ZERO, ZERO
        if sequence > 0:
            parent, skip = self.hash_of(sequence - 1), self.hash_of(skips_to(sequence))
        if parent is not None and event.parent != parent:
            raise event.bad("its parent hash is not that of the previous event")
        if skip is not None and event.skip != skip:
            raise event.bad(f"its skip hash is not that of event {skips_to(sequence)}")

    def check_words(self, event):
        if not 1 <= event.type <= LAST_TYPE:
            raise event.bad(f"there is no event type {event.type}")
        if (event.type == CREATED) != (event.sequence == 0):
            raise event.bad("the first event, and only the first, has to be `created`")
        if event.cause[0] == bytes(16) and event.cause != (bytes(16), 0, ZERO):
            raise event.bad("its cause has no actor, but other fields")
        if event.call == NONE or event.call < self.first:
            return
        if event.call not in self.queued and not (event.call == event.sequence and event.type == QUEUED):
            raise event.bad(f"it belongs to call {event.call}, but that event is not `queued`")

    def check_place(self, event):
        if event.before == NONE:
            return
        if self.place is None and (self.first == 0 or event.before >= event.place):
            raise event.bad("its frame has the position of a previous frame, but there is none")
        # In another segment, data may have been dropped since, which changes offsets: then compare the segments only.
        kept = slice(None) if self.place is not None and self.place >> 32 == event.place >> 32 else slice(1)
        if self.place is not None and divmod(event.before, 1 << 32)[kept] != divmod(self.place, 1 << 32)[kept]:
            raise event.bad("its frame has another position of the previous frame than the actual one")


class Journal:
    """Everything that was read so far."""

    def __init__(self, must_begin):
        self.must_begin = must_begin  # whether every chain has to begin with its first event
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
        """Checks causes whose actor had not appeared yet: an event cannot be caused by a later one."""
        for event in self.causes:
            if event.cause[0] in self.chains and event.cause[1] >= self.chains[event.cause[0]].first:
                raise event.bad("its cause comes after it")


class Segment:
    """A segment, read into memory."""

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
            raise self.bad("a segment has to begin with THTRJRN1", 0)
        if zlib.crc32(self.bytes[: SEGMENT.size - 4]) != crc:
            raise self.bad("the checksum of the segment's header does not match", 0)
        if form != FORMAT:
            raise self.bad(f"the segment has format {form}, this program reads {FORMAT}", 0)
        if zero != 0 or self.number == 0:
            raise self.bad("a field of the segment's header has an invalid value", 0)

    def frame(self):
        """Reads the frame at `at`: kind, position of the previous frame, payload."""
        head = self.bytes[self.at : self.at + FRAME.size]
        if len(head) < FRAME.size:
            raise CutOff(str(self.bad("the frame's head is cut off", self.at)))
        length, kind, zero, before, payload_crc, head_crc = FRAME.unpack(head)
        if zlib.crc32(head[:20]) != head_crc:
            raise self.bad("the checksum of its head does not match", self.at)
        payload = self.bytes[self.at + FRAME.size : self.at + FRAME.size + length]
        if len(payload) < length:
            raise CutOff(str(self.bad("its payload is cut off", self.at)))
        if zlib.crc32(payload) != payload_crc:
            raise self.bad("the checksum of its payload does not match", self.at)
        if zero != bytes(3) or kind not in (EVENT, EVENT_WITHOUT_DATA, COMMIT):
            raise self.bad(f"there is no frame of kind {kind}, or its reserved bytes are not zero", self.at)
        return kind, before, payload

    def group(self, journal):
        """Reads one group and its commit. Its events count only after a valid commit."""
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
                for event in events:  # one of them may be the first violation
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
            raise self.bad("a commit has 16 bytes and no previous frame", offset)
        group, count, crc = COMMIT_PAYLOAD.unpack(payload)
        if group != number:
            raise self.bad(f"it ends group {group}, expected group {number}", offset)
        if count != events:
            raise self.bad(f"its group has {events} events, it says {count}", offset)
        if zlib.crc32(self.bytes[start:offset]) != crc:
            raise self.bad("the checksum of its group does not match", offset)

    def commit_behind(self, start):
        """Whether a whole commit follows anywhere after `start`. Then the damage is not just an unfinished write."""
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
                print(f"{self.path.name}: {unfinished} bytes after the last commit are ignored", file=sys.stderr)
                return


def segments(path):
    """The segments to read, and whether they have to be a whole journal."""
    if path.is_file():
        return [Segment(path)], False
    if (path / "journal").is_dir():
        path = path / "journal"
    return [Segment(file) for file in sorted(path.glob("[0-9]" * 8 + ".log"))], True


def verify(path):
    """Reads everything and returns the chains by actor. Raises `Bad` for a violation."""
    found, whole = segments(path)
    if not found:
        raise FileNotFoundError(f"{path}: there is no segment NNNNNNNN.log")
    journal = None
    for index, segment in enumerate(found, 1):
        segment.open()
        if whole and (segment.number != index or segment.path.stem != f"{index:08}"):
            raise segment.bad(f"expected segment {index}, its header says {segment.number}", 0)
        if journal is None:
            journal = Journal(must_begin=segment.number == 1)
            journal.group = segment.first_group
        if segment.first_group != journal.group:
            raise segment.bad(f"it begins with group {segment.first_group}, expected group {journal.group}", 0)
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
    """The path and the requested head. None if the command line is wrong."""
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
