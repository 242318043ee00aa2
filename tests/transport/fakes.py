"""Transports and channels for tests of the Twisted layer, without sockets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import (
    IHostnameResolver,
    IHostResolution,
    IReactorPluggableNameResolver,
    IResolutionReceiver,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import MemoryReactorClock, StringTransport
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.alarm import Alarm
from obfsfte.errors import AuthenticationFailed, Truncated
from obfsfte.transport.deadlines import SWEEP_SECONDS
from obfsfte.transport.side import Side


@implementer(IHostnameResolver)
class _Resolver:
    """Says of every name that it is an address of IPv4."""

    def resolveHostName(  # noqa: N802
        self, receiver: IResolutionReceiver, name: str, port: int = 0, *_: object, **__: object
    ) -> IResolutionReceiver:
        receiver.resolutionBegan(Resolution(name))
        receiver.addressResolved(IPv4Address("TCP", name, port))
        receiver.resolutionComplete()
        return receiver


@implementer(IHostResolution)
class Resolution:
    """A look-up that is over at once."""

    def __init__(self, name: str) -> None:
        self.name = name

    def cancel(self) -> None:
        pass


@implementer(IReactorPluggableNameResolver)
class FakeReactor(MemoryReactorClock):
    """Twisted's, which resolves names only since 22.10."""

    nameResolver = _Resolver()  # noqa: N815

    def installNameResolver(self, resolver: IHostnameResolver) -> IHostnameResolver:  # noqa: N802
        raise AssertionError("nobody changes how names are resolved")


class FakeTransport(StringTransport):
    """A transport whose events a test triggers, with a write buffer limit like TCP's."""

    bufferSize = 2**16  # noqa: N815

    def __init__(self) -> None:
        super().__init__()
        self.half_closed = False
        self.aborted = False
        self.stalled = False  # the peer reads nothing: what is written stays buffered

    def write(self, data: bytes) -> None:
        if self.disconnecting or self.disconnected:
            return
        super().write(data)
        if self.stalled and len(self.value()) > self.bufferSize and self.producer is not None:
            self.producer.pauseProducing()

    def writeSequence(self, data: Iterable[bytes]) -> None:  # noqa: N802
        data = list(data)
        assert all(isinstance(each, bytes) for each in data)  # or Twisted's raises TypeError
        self.write(b"".join(data))

    def drain(self) -> bytes:
        """The peer reads all there is."""
        data = self.value()
        self.clear()
        self.stalled = False
        if self.producer is not None:
            self.producer.resumeProducing()
        return data

    def unregisterProducer(self) -> None:  # noqa: N802
        """As TCP's: harmless when there is none."""
        self.producer = None

    def loseWriteConnection(self) -> None:  # noqa: N802
        self.half_closed = True

    def abortConnection(self) -> None:  # noqa: N802
        self.aborted = True
        super().abortConnection()
        self.disconnecting = True


def connected(side: Side, transport: FakeTransport | None = None) -> FakeTransport:
    """Give a side its transport."""
    transport = transport or FakeTransport()
    transport.protocol = side
    side.makeConnection(transport)
    return transport


def lose(protocol: Protocol, *, clean: bool = False) -> None:
    """The transport is gone."""
    protocol.connectionLost(Failure(ConnectionDone() if clean else ConnectionLost()))


def is_at_rest(clock: Clock) -> bool:
    """Whether nothing waits for time to pass; that the last sweep ends by itself is no waiting."""
    clock.advance(SWEEP_SECONDS)
    return not clock.getDelayedCalls()


class FakeEndpoint:
    """An endpoint whose connections a test completes or refuses."""

    def __init__(self) -> None:
        self.attempts: list[tuple[Deferred[Protocol], Factory]] = []
        self.cancelled = 0

    def connect(self, factory: Factory) -> Deferred[Protocol]:
        deferred: Deferred[Protocol] = Deferred(self._cancel)
        self.attempts.append((deferred, factory))
        return deferred

    def _cancel(self, _deferred: object) -> None:
        self.cancelled += 1

    def accept(self) -> tuple[Side, FakeTransport]:
        """Complete the oldest attempt."""
        deferred, factory = self.attempts.pop(0)
        side = factory.buildProtocol(None)
        assert isinstance(side, Side)
        transport = connected(side)
        deferred.callback(side)
        return side, transport

    def refuse(self, error: Exception) -> None:
        self.attempts.pop(0)[0].errback(Failure(error))


class LineChannel:
    """A channel whose wire is lines: `+text` carries text, `.` ends the stream.

    A test sets its `alarm`; when woken it says so, and fails if the test made it `impatient`.
    """

    ends_with_fin = False
    takes_turns = False
    clock_difference: int | None = None
    forwarded_for: Sequence[bytes] = ()

    def __init__(self, ready: bool = True) -> None:
        self.ready = ready
        self.alarm: Alarm | None = None
        self.impatient = False
        self.peer_closed = False
        self._incoming = b""
        self._outgoing: list[bytes] = [] if ready else [b"hello\n"]
        self._closed = False

    def wake(self) -> None:
        if self.impatient:
            raise Truncated("nothing has come")
        self._outgoing.append(b"!\n")

    def send(self, data: bytes) -> None:
        assert self.ready
        assert not self._closed
        self._outgoing.append(b"+" + data + b"\n")

    def receive(self, data: bytes) -> list[bytes]:
        self._incoming += data
        *lines, self._incoming = self._incoming.split(b"\n")
        plain = []
        for line in lines:
            if line == b"welcome" and not self.ready:
                self.ready = True
            elif line == b".":
                self.peer_closed = True
            elif line.startswith(b"+"):
                plain.append(line[1:])
            else:
                raise AuthenticationFailed("no such line")
        return plain

    def receive_eof(self) -> None:
        if not self.peer_closed:
            raise Truncated("no end of stream")

    def data_to_send(self) -> list[bytes]:
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def close(self) -> None:
        self._closed = True
        self._outgoing.append(b".\n")
