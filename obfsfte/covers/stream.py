"""The `stream` cover: back-to-back strings of one pattern per direction, and nothing else.

```
 client -> server   | hello  | record | record | ...   each message one string of the
 server -> client   | answer | record | record | ...   direction's language, in full
```

There is no length field and no delimiter: every byte on the wire, from the first one on, is
the language's. A direction has one length or several; with several, the client
picks its hello's length at random and the server tries each, and from then on the schedule
gives every message's length (`schedule`) to both ends. A message carries one record, of the
size that its length can hold (`embedding`).

A server finds the hello's length by following each of the lengths byte by byte until it
is impossible or complete: one pass for each.

A definition:

    kind = "stream"
    description = "..."
    [upstream]                     # client to server
    pattern = '...'                # a regular expression, matched against whole messages
    lengths = [300, 400]           # of messages, in bytes
    [downstream]                   # the same for server to client; as upstream if left out
    ...
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Iterator, Mapping
from random import Random
from typing import ClassVar

import attrs

from obfsfte.covers.embedding import Embedding, size_for
from obfsfte.covers.exemption import exemption
from obfsfte.covers.schedule import schedule
from obfsfte.covers.table import Table
from obfsfte.errors import ConfigError, NotOurs, WireError
from obfsfte.regular import EmptyLanguage, Language, Pattern, PatternError, Prefix
from obfsfte.session.handshake import MIN_HELLO

#: More lengths cost memory and the server's time for each stranger.
MAX_LENGTHS = 16
#: Ranking takes time that grows with the square of the length.
MAX_LENGTH = 8192
#: Steps to take, at most, in search of a length that would do.
_MAX_SEARCH = 3_000_000

Schedule = Iterator[tuple[Embedding, int]]


@attrs.frozen
class Direction:
    """What one direction speaks."""

    pattern: str
    embeddings: tuple[Embedding, ...]  # one per length, shortest first

    @property
    def lengths(self) -> list[int]:
        return [embedding.language.length for embedding in self.embeddings]


class StreamCover:
    """One side of one connection (a `Cover`)."""

    def __init__(self, sending: Schedule, receiving: Receiver, unsent: list[bytes]) -> None:
        self._sending = sending
        self._next = next(sending)
        self._receiving = receiving
        self._unsent = unsent

    @property
    def at_boundary(self) -> bool:
        return self._receiving.at_boundary

    def record_size(self, wanted: int) -> int:
        return self._next[0].size

    def wrap(self, record: bytes) -> list[bytes]:
        embedding, draw = self._next
        string = embedding.embed(record, draw)
        self._next = next(self._sending)
        return [string]

    def unwrap(self, data: bytes) -> list[bytes]:
        return self._receiving.feed(data)

    def data_to_send(self) -> list[bytes]:
        unsent, self._unsent = self._unsent, []
        return unsent


class Receiver:
    """One direction's strings -> its records. Buffers less than one string."""

    def __init__(self, receiving: Schedule, early: bytes = b"") -> None:
        self._receiving = receiving
        self._buffer = bytearray(early)
        self._expect()

    def _expect(self) -> None:
        self._embedding, self._draw = next(self._receiving)
        self._matcher = self._embedding.language.matcher()
        self._matched = 0  # bytes of the buffer that the matcher has seen

    @property
    def at_boundary(self) -> bool:
        return not self._buffer

    def feed(self, data: bytes) -> list[bytes]:
        """As `Cover.unwrap`.

        A string that is complete is ranked, which checks it as well; only what is left
        over goes to the matcher, each byte once.
        """
        self._buffer += data
        records = []
        start = 0
        while len(self._buffer) - start >= (length := self._embedding.language.length):
            string = bytes(self._buffer[start : start + length])
            record, place = self._embedding.extract(string)
            if place != self._embedding.place(record, self._draw):
                raise WireError("a message was altered within the cover's language")
            records.append(record)
            start += length
            self._expect()
        del self._buffer[:start]
        if self._matched < len(self._buffer):
            if self._matcher.feed(bytes(self._buffer[self._matched :])) is Prefix.IMPOSSIBLE:
                raise WireError("the bytes are not in the cover's language")
            self._matched = len(self._buffer)
        return records


class StreamGreeting:
    """A client before its hello (a `Greeting`)."""

    def __init__(self, definition: StreamDefinition, random: Random) -> None:
        self._definition = definition
        self._embedding = random.choice(definition.upstream.embeddings)

    def record_size(self, wanted: int) -> int:
        return self._embedding.size

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> StreamCover:
        sending = schedule(self._definition.upstream.embeddings, upstream)
        _, draw = next(sending)
        receiving = schedule(self._definition.downstream.embeddings, downstream)
        return StreamCover(sending, Receiver(receiving), [self._embedding.embed(hello, draw)])


@attrs.frozen
class StreamHello:
    """A string that may be a client's hello (a `Hello`)."""

    record: bytes
    _place: int
    _embedding: Embedding
    _rest: bytes  # what followed the string
    _definition: StreamDefinition

    def accept(self, upstream: bytes, downstream: bytes) -> StreamCover:
        receiving = schedule(self._definition.upstream.embeddings, upstream)
        _, draw = next(receiving)
        if self._place != self._embedding.place(self.record, draw):
            raise NotOurs("a hello was altered within the cover's language")
        sending = schedule(self._definition.downstream.embeddings, downstream)
        return StreamCover(sending, Receiver(receiving, self._rest), [])


class StreamOpening:
    """A server before a hello has verified (an `Opening`)."""

    def __init__(self, definition: StreamDefinition) -> None:
        self._definition = definition
        self._buffer = bytearray()
        self._trials = [
            (embedding, embedding.language.matcher())
            for embedding in definition.upstream.embeddings
        ]

    @property
    def possible(self) -> bool:
        return bool(self._trials)

    def feed(self, data: bytes) -> list[StreamHello]:
        seen = len(self._buffer)
        self._buffer += data
        hellos = []
        trials = []
        for embedding, matcher in self._trials:
            length = embedding.language.length
            match matcher.feed(bytes(self._buffer[seen:length])):
                case Prefix.IN:
                    string, rest = bytes(self._buffer[:length]), bytes(self._buffer[length:])
                    record, place = embedding.extract(string)
                    hellos.append(StreamHello(record, place, embedding, rest, self._definition))
                case Prefix.POSSIBLE:
                    trials.append((embedding, matcher))
        self._trials = trials
        if not hellos and not trials:
            raise NotOurs("the first bytes are not in the cover's language")
        return hellos


@attrs.frozen
class StreamDefinition:
    """A `Definition` of kind `stream`."""

    name: str
    description: str
    upstream: Direction
    downstream: Direction
    kind: ClassVar[str] = "stream"

    @classmethod
    def load(cls, table: Table, name: str, description: str) -> StreamDefinition:
        """From the rest of a definition's table. Raises ConfigError."""
        upstream = _load_direction(table.table("upstream"))
        for embedding in upstream.embeddings:
            if exemption(embedding.language) is None:
                raise table.fault(
                    "upstream.pattern",
                    f"a first message of {embedding.language.length} bytes is not sure to pass a "
                    "firewall that blocks fully encrypted traffic; simplest remedy: let its first "
                    "six bytes be printable ASCII",
                )
        downstream = upstream
        if table.has("downstream"):
            downstream = _load_direction(table.table("downstream"))
        return cls(name, description, upstream, downstream)

    def facts(self) -> list[str]:
        lines = []
        for name, direction in (("upstream", self.upstream), ("downstream", self.downstream)):
            lines.append(f"{name} pattern: {' '.join(direction.pattern.split())}")
            for embedding in direction.embeddings:
                language = embedding.language
                lines.append(
                    f"  length {language.length:>5}: capacity {language.capacity} bits, "
                    f"{math.log2(language.size) / language.length:.2f} per byte; "
                    f"records of {embedding.size} bytes; "
                    f"{language.length / embedding.size:.2f} bytes on the wire per record byte"
                )
        reasons = {exemption(embedding.language) for embedding in self.upstream.embeddings}
        for reason in sorted(filter(None, reasons)):
            lines.append(f"first message exempt from blocking as fully encrypted: {reason}")
        return lines

    def fingerprint(self, parameters: Mapping[str, str]) -> bytes:
        self._refuse(parameters)
        # docs/covers.md shows this form.
        canonical = json.dumps(
            {
                "kind": self.kind,
                "upstream": [self.upstream.pattern, self.upstream.lengths],
                "downstream": [self.downstream.pattern, self.downstream.lengths],
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode("ascii")).digest()

    def client(self, parameters: Mapping[str, str], random: Random) -> StreamGreeting:
        self._refuse(parameters)
        return StreamGreeting(self, random)

    def opening(self, parameters: Mapping[str, str], random: Random) -> StreamOpening:
        self._refuse(parameters)
        return StreamOpening(self)

    def _refuse(self, parameters: Mapping[str, str]) -> None:
        for key in parameters:
            raise ConfigError(f"{key}=: the cover {self.name} takes no parameters; remove it")


def _load_direction(table: Table) -> Direction:
    text = table.text("pattern")
    lengths = table.whole_numbers("lengths")
    table.finish()
    if not 1 <= len(lengths) <= MAX_LENGTHS:
        raise table.fault("lengths", f"needs 1 to {MAX_LENGTHS} lengths, not {len(lengths)}")
    for length in lengths:
        if not 1 <= length <= MAX_LENGTH:
            raise table.fault("lengths", f"{length} is not from 1 to {MAX_LENGTH}")
        if lengths.count(length) > 1:
            raise table.fault("lengths", f"{length} is there twice")
    try:
        pattern = Pattern(text)
    except PatternError as error:
        raise table.fault("pattern", str(error)) from None
    embeddings = []
    for length in sorted(lengths):
        try:
            embedding = Embedding(Language(pattern, length))
        except (EmptyLanguage, PatternError) as error:
            raise table.fault("lengths", f"{length}: {error}") from None
        if embedding.size < MIN_HELLO:
            raise table.fault(
                "lengths",
                f"{length} is too short: a message must carry {MIN_HELLO} bytes, "
                f"and of this length it carries {embedding.size}; {_remedy(pattern)}",
            )
        embeddings.append(embedding)
    return Direction(text, tuple(embeddings))


def _remedy(pattern: Pattern) -> str:
    """What to do about a length that is too short."""
    moves, finals = pattern.automaton.moves, pattern.automaton.finals
    limit = min(MAX_LENGTH, _MAX_SEARCH // sum(map(len, moves)))
    counts = {0: 1}  # state -> strings that lead there
    for length in range(1, limit + 1):
        following: defaultdict[int, int] = defaultdict(int)
        for state, count in counts.items():
            for byte_set, target in moves[state]:
                following[target] += count * byte_set.bit_count()
        counts = following
        if size_for(sum(counts[state] for state in finals & counts.keys())) >= MIN_HELLO:
            return f"the shortest length that would do is {length}"
    return f"no length up to {limit} would do, so choose another pattern"
