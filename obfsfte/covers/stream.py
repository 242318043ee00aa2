"""The `stream` cover: back-to-back strings of one pattern per direction, and nothing else.

```
 client -> server   | hello  | record | record | ...   each message one string of the
 server -> client   | answer | record | record | ...   direction's language, in full
```

There is no length field and no delimiter: every byte on the wire, from the first one on, is
the language's. A direction has one length or several. The client picks its hello's length
at random, of those that fit into the smallest segment if some do, and the server tries
each: it follows all of them, byte by byte, until they are impossible or complete. From then
on both ends know every length in advance (`schedule`). A message carries one record, of the
size that its length can hold (`embedding`).
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from random import Random
from typing import ClassVar

import attrs

from obfsfte.alarm import Alarm
from obfsfte.covers.embedding import Embedding
from obfsfte.covers.exemption import FIRST_SEGMENT
from obfsfte.covers.schedule import schedule
from obfsfte.errors import NotOurs, WireError
from obfsfte.regular import Prefix

Schedule = Iterator[tuple[Embedding, int]]


@attrs.frozen
class StreamLook:
    """What the two directions speak (a `Look`): one embedding per length, shortest first."""

    upstream: Sequence[Embedding]
    downstream: Sequence[Embedding]
    #: For a hello: the lengths that no link needs to cut in two, if there are any.
    greetings: Sequence[Embedding] = attrs.field(init=False)

    @greetings.default
    def _find_greetings(self) -> Sequence[Embedding]:
        whole = [each for each in self.upstream if each.language.length <= FIRST_SEGMENT]
        return whole or self.upstream

    def greeting(self, random: Random) -> StreamGreeting:
        return StreamGreeting(self, random)

    def opening(self, random: Random) -> StreamOpening:
        return StreamOpening(self)


class StreamCover:
    """One side of one connection (a `Cover`)."""

    finished = False  # only the records say where this wire ends
    alarm: Alarm | None = None

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

    def wake(self) -> None:
        """Never: it has no alarm."""

    def data_to_send(self) -> list[bytes]:
        unsent, self._unsent = self._unsent, []
        return unsent

    def finish(self) -> list[bytes]:
        return []


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

    def __init__(self, look: StreamLook, random: Random) -> None:
        self._look = look
        self._embedding = random.choice(look.greetings)

    def record_size(self, wanted: int) -> int:
        return self._embedding.size

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> StreamCover:
        sending = schedule(self._look.upstream, upstream)
        _, draw = next(sending)
        receiving = schedule(self._look.downstream, downstream)
        return StreamCover(sending, Receiver(receiving), [self._embedding.embed(hello, draw)])


@attrs.frozen
class StreamHello:
    """A string that may be a client's hello (a `Hello`)."""

    record: bytes
    forwarded_for: ClassVar[Sequence[bytes]] = ()
    _place: int
    _embedding: Embedding
    _rest: bytes  # what followed the string
    _look: StreamLook

    def accept(self, upstream: bytes, downstream: bytes, now: int) -> StreamCover:
        receiving = schedule(self._look.upstream, upstream)
        _, draw = next(receiving)
        if self._place != self._embedding.place(self.record, draw):
            raise NotOurs("a hello was altered within the cover's language")
        sending = schedule(self._look.downstream, downstream)
        return StreamCover(sending, Receiver(receiving, self._rest), [])


class StreamOpening:
    """A server before a hello has verified (an `Opening`)."""

    def __init__(self, look: StreamLook) -> None:
        self._look = look
        self._buffer = bytearray()
        self._trials = [(embedding, embedding.language.matcher()) for embedding in look.greetings]

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
                    hellos.append(StreamHello(record, place, embedding, rest, self._look))
                case Prefix.POSSIBLE:
                    trials.append((embedding, matcher))
        self._trials = trials
        if not hellos and not trials:
            raise NotOurs("the first bytes are not in the cover's language")
        return hellos
