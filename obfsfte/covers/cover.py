"""The interface of a cover, as the session's channel sees it.

A cover turns records (sealed bytes of the session, uniform to anyone without the keys)
into covertext and back. It is sans-I/O, one object per connection and side, and its shape
follows the handshake's order. What all connections of one bridge have in common, its *look*, is
made once, before them:

```
 client                                        server
 definition.look(parameters) -> Look           definition.look(parameters) -> Look
 look.greeting()  -> Greeting                  look.opening()        -> Opening
   record_size()                                 feed(bytes)         -> [Hello]
   ... make a hello of that size ...             ... verify hello.record ...
   begin(hello, keys) -> Cover                   hello.accept(keys, now) -> Cover
```

There are two sorts of covers. In a `Cover` both ends speak when they like, and each message
carries one record. In a `TurnCover` they take turns, and a message carries what records there are.

So whoever holds one is past the opening, and knows the two keys that the session
derives for it from the bridge's secret and the hello's nonce. A cover draws from them what
both ends must know and a censor must not predict: where the next message ends, above all.

Keys are 32 uniform bytes, one per direction: *upstream* is client to server, *downstream* is
server to client, at both ends. `random` is `random.SystemRandom()` in service; a test
passes a seeded `random.Random`.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random
from typing import Protocol, runtime_checkable

from obfsfte.alarm import Alarm

KEY_SIZE = 32  # bytes of each direction's key


class Cover(Protocol):
    """One side of one connection, once the opening is over. Buffers are bounded."""

    @property
    def at_boundary(self) -> bool:
        """Whether the wire, as received so far, may end here: between two messages."""

    @property
    def finished(self) -> bool:
        """Whether the peer said, in the cover's own terms, that no more records come or go."""

    @property
    def alarm(self) -> Alarm | None:
        """When to `wake` it; None: not at all."""

    def wake(self) -> None:
        """The alarm has rung; there may be `data_to_send`.

        Raises WireError when the peer has been silent for too long.
        """

    def record_size(self, wanted: int) -> int:
        """Size in bytes of the record to `wrap` next, when `wanted` bytes would suit best.

        The answer may be smaller or larger than `wanted`; it stays the same until `wrap`,
        unless `wanted` changes.
        """

    def wrap(self, record: bytes) -> list[bytes]:
        """The cover message that carries one record: buffers to write, in order.

        Raises ValueError when the record's size is not one that `record_size` gave.
        """

    def unwrap(self, data: bytes) -> Sequence[bytes | memoryview]:
        """Take wire bytes; return the records that they complete, in order.

        A record that can be read where it is need not be copied to be returned.

        Linear in the bytes received, however they are split. Raises WireError as soon as
        the bytes cannot be the cover's; then it must not be called again.
        """

    def data_to_send(self) -> list[bytes]:
        """What the cover itself has to write now (the client's hello; a pong); may be empty.

        It goes on the wire before what `wrap` returns next.
        """

    def finish(self) -> list[bytes]:
        """What the cover says when both streams have ended: buffers to write, in order.

        The last call of all.
        """


@runtime_checkable
class TurnCover(Protocol):
    """One side of one conversation in turns, once the opening is over. Buffers are bounded.

    The conversation need not stay on one connection of the network: between an answer and the
    next question its bytes may move to another.
    """

    @property
    def my_turn(self) -> bool:
        """Whether the next message is ours: the peer's is complete, and not answered."""

    @property
    def is_idle(self) -> bool:
        """Whether no question is on its way, and none waits for its answer."""

    @property
    def closes_connection(self) -> bool:
        """Whether the connection ends after the last answer."""

    def record_size(self, wanted: int) -> int:
        """Size in bytes of the message's last record, when `wanted` bytes would suit best."""

    def say(self, records: Sequence[bytes], now: int) -> list[bytes]:
        """Our message, which carries these records: buffers to write, in order.

        `now` is unix time. Raises ValueError when it is not our turn, or for records that it
        cannot carry.
        """

    @property
    def needs_record(self) -> bool:
        """Whether our message must have a record."""

    def unwrap(self, data: bytes) -> list[bytes]:
        """As `Cover.unwrap`; `my_turn` may have changed, and records may have come in part."""

    def data_to_send(self) -> list[bytes]:
        """What the cover itself has to write now (the client's hello); may be empty."""


class TurnOpening(Protocol):
    """What an opening (`Opening`) of a cover whose ends take turns has, too."""

    def tickets(self) -> Sequence[bytes]:
        """The strings in the request, once it has been read, that may be a session's ticket."""


class ServerCover(TurnCover, Protocol):
    """A server's side: it knows its session's next question when it sees it."""

    def next_tickets(self) -> Sequence[bytes]:
        """The strings of which the next question will have one. They do not repeat."""

    def resume(self, opening: TurnOpening) -> None:
        """The next question is the one that this opening has read so far."""


AnyCover = Cover | TurnCover


class Greeting(Protocol):
    """A client's side before its hello exists."""

    def record_size(self, wanted: int) -> int:
        """Size in bytes of the record that must hold the hello; as `Cover.record_size`."""

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> AnyCover:
        """Wrap the hello, which is then in the cover's `data_to_send`.

        Raises ValueError when the hello's size is not the one that `record_size` gave.
        """


class Hello(Protocol):
    """What may be a client's hello: bytes that unwrap, not yet verified by the session."""

    @property
    def record(self) -> bytes:
        """The record to verify."""

    @property
    def forwarded_for(self) -> Sequence[bytes]:
        """What servers between said of the client's address: as `Channel.forwarded_for`."""

    def accept(self, upstream: bytes, downstream: bytes, now: int) -> AnyCover:
        """The server's side, once the session has verified the record.

        `now`: unix time, for covers that say when they answered. The cover has taken all bytes
        fed to the opening: call `unwrap(b"")` for records that came along with it. Raises
        NotOurs when the message is not exactly the one that these keys make of the record:
        somebody altered it on the way.
        """


class Opening(Protocol):
    """A server's side before it knows who is there."""

    @property
    def possible(self) -> bool:
        """Whether further bytes may still complete a hello.

        When it is False and none of the hellos returned so far verified, the connection is
        a stranger's.
        """

    def feed(self, data: bytes) -> Sequence[Hello]:
        """Take the connection's next bytes; return the hellos that they complete.

        There can be more than one: a cover whose first message has several lengths tries
        each of them. Raises NotOurs as soon as no hello can begin with the bytes so far,
        and then, as after `possible` turned False, must not be fed again.
        """


class Look(Protocol):
    """What one bridge's connections look like: immutable, and nothing of any of them in it."""

    def greeting(self, random: Random) -> Greeting:
        """A client's side of one new connection."""

    def opening(self, random: Random) -> Opening:
        """A server's side of one new connection."""


class Definition(Protocol):
    """What a definition file describes: immutable, shared by all bridges.

    `parameters` are the bridge line's arguments for this cover. Every method that takes
    them raises ConfigError, naming the parameter, when the kind of cover does not know it
    or cannot use its value.
    """

    @property
    def name(self) -> str:
        """The name in `cover=`: the definition file's name without its suffix."""

    @property
    def kind(self) -> str:
        """The kind of cover: `stream`, `websocket`, `http`."""

    @property
    def takes_turns(self) -> bool:
        """Whether its covers are `TurnCover`s."""

    @property
    def speaks_http(self) -> bool:
        """Whether its openings are requests of HTTP, which may follow others on a connection."""

    @property
    def description(self) -> str:
        """One line for the operator who chooses."""

    @property
    def parameters(self) -> frozenset[str]:
        """Names of the parameters that this kind of cover knows.

        One that knows `seed` is always given it: text that differs between bridges, for
        what should look different there. It need not be equal at both ends.
        """

    def fingerprint(self, parameters: Mapping[str, str]) -> bytes:
        """32 bytes that are equal at both ends if and only if their covers understand each other.

        SHA-256 of a canonical form of what both ends must know beforehand; name,
        description, and what is only shown are not in it. The handshake authenticates it.
        """

    def look(self, parameters: Mapping[str, str]) -> Look:
        """What the bridge that has these parameters looks like."""

    def facts(self) -> list[str]:
        """Lines that tell an operator what this kind of cover can carry, and at what price."""
