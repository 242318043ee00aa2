"""A channel that is a session in a cover: handshake, then records, as cover messages.

```
 application bytes -> records (session) -> cover messages (cover) -> wire bytes
```

The client's hello is the cover's opening message. The server's is the first message of
the answer; until it has come the client may not send, and after it both ends may.
"""

from __future__ import annotations

import hmac
from collections.abc import Callable, Iterable, Mapping, Sequence
from random import Random
from typing import cast

import attrs
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from obfsfte.alarm import Alarm
from obfsfte.channel import Channel
from obfsfte.covers.cover import AnyCover, Cover, Definition, Hello, Look
from obfsfte.errors import NotOurs, Truncated
from obfsfte.session.handshake import (
    MIN_HELLO,
    NONCE_SIZE,
    AcceptedHello,
    ClientHandshake,
    ServerHandshake,
    Session,
    session_prologue,
)
from obfsfte.session.keys import BridgeKeys, Cert, NewKey, new_key
from obfsfte.session.records import OVERHEAD, Opener, RecordType, Sealer
from obfsfte.session.replay import ReplayCheck

_SEED = "seed"


@attrs.frozen
class CoverChoice:
    """A cover's definition, and the bridge line's parameters for it."""

    definition: Definition
    parameters: Mapping[str, str] = attrs.field(factory=dict)

    def at(self, cert: Cert) -> BridgeCover:
        """The cover as one bridge has it. Raises ConfigError for parameters it cannot use."""
        fingerprint = self.definition.fingerprint(self.parameters)
        prologue = session_prologue(self.definition.name, fingerprint)
        return BridgeCover(cert, prologue, self.definition.look(self._parameters_at(cert)))

    def _parameters_at(self, cert: Cert) -> Mapping[str, str]:
        """A cover that knows a seed gets one in any case."""
        if _SEED not in self.definition.parameters or _SEED in self.parameters:
            return self.parameters
        seed = hmac.digest(cert.secret, b"obfsfte 1 cover seed", "sha256")
        return {**self.parameters, _SEED: seed.hex()}


@attrs.frozen
class BridgeCover:
    """One bridge's cover: what all of its connections have in common, made ready for them."""

    cert: Cert
    #: What both ends must agree on.
    prologue: bytes
    look: Look


@attrs.frozen
class Greeted:
    """A client that has said its hello, and what it needs for the bridge's."""

    _handshake: ClientHandshake
    _made_at: int

    def welcomed(self, hello: bytes | memoryview) -> tuple[Session, int]:
        """The session, and by how many seconds the bridge's clock is ahead. Raises WireError."""
        session = self._handshake.receive(bytes(hello))
        return session, session.peer_time - self._made_at


def greet(
    bridge: BridgeCover, now: int, random: Random, make_key: NewKey
) -> tuple[Greeted, AnyCover]:
    """A client's hello, and its cover, which has it to send."""
    greeting = bridge.look.greeting(random)
    nonce = random.randbytes(NONCE_SIZE)
    handshake = ClientHandshake(bridge.cert, bridge.prologue, now, nonce, make_key())
    hello = handshake.hello(greeting.record_size(MIN_HELLO))
    keys = handshake.cover_keys
    cover = greeting.begin(hello, keys.upstream, keys.downstream)
    return Greeted(handshake, now), cover


class SessionEnd:
    """What the ends of a session have in common, whether its cover takes turns or not.

    `greeted`: at a client, which has said its hello.
    """

    __slots__ = ("_greeted", "_opener", "_sealer", "clock_difference", "peer_closed", "ready")

    ends_with_fin = False
    forwarded_for: Sequence[bytes] = ()

    _sealer: Sealer
    _opener: Opener

    def __init__(self, greeted: Greeted | None = None) -> None:
        self.ready = False
        self.peer_closed = False
        self.clock_difference: int | None = None
        self._greeted = greeted

    def _establish(self, session: Session) -> None:
        self._sealer = session.sealer
        self._opener = session.opener
        self.ready = True

    def _after_hello(self, records: Sequence[bytes | memoryview]) -> Sequence[bytes | memoryview]:
        """The session's own records: the first that a client gets is the bridge's hello."""
        if self._greeted is None or not records:
            return records
        session, self.clock_difference = self._greeted.welcomed(records[0])
        self._greeted = None  # and so the key that it was made with
        self._establish(session)
        return records[1:]


class SessionChannel(SessionEnd):
    """An established session in its cover; an `obfsfte.channel.Channel`."""

    __slots__ = ("_closed", "_cover", "_outgoing")

    takes_turns = False

    def __init__(self, cover: Cover, greeted: Greeted | None = None) -> None:
        super().__init__(greeted)
        self._closed = False
        self._cover = cover
        self._outgoing: list[bytes] = []

    @property
    def alarm(self) -> Alarm | None:
        """The cover's."""
        return self._cover.alarm

    def wake(self) -> None:
        """The cover's alarm has rung."""
        self._cover.wake()

    def send(self, data: bytes) -> None:
        """Carry application bytes, in records of the sizes that the cover likes best."""
        rest: bytes | memoryview = data
        while rest:
            size = self._cover.record_size(len(rest) + OVERHEAD)
            room = size - OVERHEAD
            if room >= len(rest):
                self._seal(RecordType.DATA, rest, size)
                break
            view = memoryview(rest)
            self._seal(RecordType.DATA, view[:room], size)
            rest = view[room:]

    def receive(self, data: bytes) -> list[memoryview]:
        """Application bytes of the records that `data` completes.

        Raises a WireError (Truncated, AuthenticationFailed, ...); then nothing of this call
        counts.
        """
        return self._open(self._cover.unwrap(data))

    def receive_eof(self) -> None:
        """The wire ended. Raises Truncated unless the end of the peer's stream has come."""
        if not self.peer_closed or not self._cover.at_boundary:
            raise Truncated("the wire ended before the stream did")

    def data_to_send(self) -> list[bytes]:
        """Wire bytes to write now."""
        if self._outgoing:
            outgoing, self._outgoing = self._outgoing, []
            return self._cover.data_to_send() + outgoing
        return self._cover.data_to_send()

    def close(self) -> None:
        """End our stream, with a record that says so."""
        self._seal(RecordType.END, b"", self._cover.record_size(OVERHEAD))
        self._closed = True
        if self.peer_closed:
            self._outgoing += self._cover.finish()

    def _seal(self, kind: RecordType, payload: bytes | memoryview, size: int) -> None:
        self._outgoing += self._cover.wrap(self._sealer.seal(kind, payload, size))

    def _open(self, records: Sequence[bytes | memoryview]) -> list[memoryview]:
        plain = []
        for record in self._after_hello(records):
            kind, payload = self._opener.open(record)
            if kind is RecordType.END:
                self.peer_closed = True
            elif payload:
                plain.append(payload)
        if self._cover.finished and not (self.peer_closed and self._closed):
            raise Truncated("the cover's conversation ended before the streams did")
        return plain


class SessionClient(SessionChannel):
    """The client's end. Its hello is in `data_to_send` from the beginning."""

    __slots__ = ()

    def __init__(
        self, bridge: BridgeCover, now: int, random: Random, make_key: NewKey = new_key
    ) -> None:
        greeted, cover = greet(bridge, now, random, make_key)
        super().__init__(cast(Cover, cover), greeted)


@attrs.frozen
class Accepted:
    """A hello that verified, in its cover, and a key for the answer."""

    hello: AcceptedHello
    cover: AnyCover
    forwarded_for: Sequence[bytes]
    _ephemeral: X25519PrivateKey

    def answer(self) -> tuple[bytes, Session]:
        """The bridge's hello, of the size that the cover likes, and what follows it; once."""
        return self.hello.answer(self.cover.record_size(MIN_HELLO), self._ephemeral)


class SessionServer(SessionChannel):
    """The server's end. Its hello is in `data_to_send` from the beginning."""

    __slots__ = ("forwarded_for",)

    def __init__(self, accepted: Accepted) -> None:
        super().__init__(cast(Cover, accepted.cover))
        self.forwarded_for = accepted.forwarded_for
        hello, session = accepted.answer()
        self._outgoing += self._cover.wrap(hello)
        self._establish(session)


class SessionOpening:
    """What a session's client says first, at the server; an `obfsfte.channel.Opening`.

    `now` gives unix time; it is asked once, when a hello is complete.
    """

    def __init__(
        self,
        bridge: BridgeCover,
        keys: BridgeKeys,
        seen: ReplayCheck,
        now: Callable[[], int],
        random: Random,
        make_key: NewKey = new_key,
    ) -> None:
        self._opening = bridge.look.opening(random)
        self._handshake = ServerHandshake(keys, bridge.prologue, seen)
        self._make_key = make_key
        self._now = now

    def feed(self, data: bytes) -> Channel | None:
        """The channel once a hello verifies; its own hello is then in `data_to_send`."""
        accepted = self._verify(self._opening.feed(data))
        if accepted is None:
            return None
        return SessionServer(accepted)

    def _verify(self, hellos: Iterable[Hello]) -> Accepted | None:
        """The first of the hellos that verifies, and its cover.

        Raises NotOurs when there is none, and there can be none any more.
        """
        for hello in hellos:
            now = self._now()
            try:
                accepted = self._handshake.receive(hello.record, now)
            except NotOurs:
                continue
            keys = accepted.cover_keys
            cover = hello.accept(keys.upstream, keys.downstream, now)
            return Accepted(accepted, cover, hello.forwarded_for, self._make_key())
        if not self._opening.possible:
            raise NotOurs("no hello of this bridge in this cover")
        return None
