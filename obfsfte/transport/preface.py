"""What is said on a new connection before it belongs to the protocol that asked for it.

```
  endpoint      preface, a state machine           factory's protocol
  connects -->  bytes <-> bytes, until done  -->   makeConnection, leftover bytes, events
```
Proxies and tor's ExtORPort both want to be talked to first. A preface is sans-I/O;
`connect_with_preface` does the talking, for any endpoint and any protocol.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, NoReturn

from twisted.internet.defer import Deferred
from twisted.internet.error import NoProtocol, TimeoutError
from twisted.internet.interfaces import (
    IAddress,
    IHalfCloseableProtocol,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.transport.side import abort_transport


class Preface:
    """The client's end of a short exchange, sans-I/O. Bytes may be split in any way.

    A subclass begins with the `step` that it was made with. A step looks at the bytes
    received, takes a whole message and queues the answer, or leaves them and returns
    False until there are more. It raises what `connect` shall fail with.
    """

    def __init__(self, step: Callable[[], bool]) -> None:
        self.done = False
        self._step = step
        self._received = bytearray()
        self._to_send = bytearray()

    def receive(self, data: bytes) -> None:
        """Take bytes; b"" says that the peer hung up. Raises when it cannot succeed."""
        if not data:
            raise self.hung_up()
        self._received += data
        while not self.done and self._step():
            pass

    def hung_up(self) -> Exception:
        """What has failed when the peer hangs up before it is done."""
        raise NotImplementedError

    def data_to_send(self) -> bytes:
        """Bytes to write now: at the start, and after every `receive`."""
        data = bytes(self._to_send)
        self._to_send.clear()
        return data

    def leftover(self) -> bytes:
        """Once done, the bytes that came after the exchange."""
        return bytes(self._received)

    def _take(self, count: int) -> bytes | None:
        """The next `count` bytes, None while there are fewer."""
        if len(self._received) < count:
            return None
        taken = bytes(self._received[:count])
        del self._received[:count]
        return taken


def connect_with_preface(
    endpoint: IStreamClientEndpoint,
    preface: Preface,
    factory: IProtocolFactory,
    clock: IReactorTime,
    timeout: float,
) -> Deferred[IProtocol]:
    """As `endpoint.connect(factory)`, after `preface` has succeeded.

    Fails with what the endpoint or the preface raised, or TimeoutError after `timeout`
    seconds for both together.
    """
    connecting = endpoint.connect(_PrefaceFactory(preface, factory))
    connecting.addCallback(_finished)
    return connecting.addTimeout(timeout, clock, _timed_out)


def _finished(protocol: Any) -> Deferred[IProtocol]:
    return protocol.finished


def _timed_out(result: object, timeout: float) -> NoReturn:
    raise TimeoutError(string=f"no connection after {timeout:g} seconds")


class _PrefaceFactory(Factory):
    noisy = False

    def __init__(self, preface: Preface, factory: IProtocolFactory) -> None:
        self._preface = preface
        self._factory = factory

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def buildProtocol(self, addr: IAddress | None) -> _PrefaceProtocol:
        return _PrefaceProtocol(self._preface, self._factory, addr)


@implementer(IHalfCloseableProtocol)
class _PrefaceProtocol(Protocol):
    """Speaks the preface, then passes every event on to the protocol that it made way for.

    Passing on rather than `transport.protocol = ...`, which only plain TCP heeds.
    """

    transport: Any

    def __init__(self, preface: Preface, factory: IProtocolFactory, addr: Any) -> None:
        self.finished: Deferred[IProtocol] = Deferred(lambda _: abort_transport(self.transport))
        self._preface = preface
        self._factory = factory
        self._addr = addr
        self._successor: Any = None

    def connectionMade(self) -> None:
        self._flush()

    def dataReceived(self, data: bytes) -> None:
        if self._successor is not None:
            self._successor.dataReceived(data)
        elif not self.finished.called:
            self._receive(data)

    def _receive(self, data: bytes) -> None:
        try:
            self._preface.receive(data)
        except Exception:
            self._fail(Failure())
            return
        self._flush()
        if self._preface.done:
            self._make_way()

    def _flush(self) -> None:
        data = self._preface.data_to_send()
        if data:
            self.transport.write(data)

    def _make_way(self) -> None:
        try:
            successor = self._factory.buildProtocol(self._addr)
            if successor is None:
                raise NoProtocol
        except Exception:
            self._fail(Failure())
            return
        self._successor = successor
        successor.makeConnection(self.transport)
        self.finished.callback(successor)
        leftover = self._preface.leftover()
        if leftover:
            successor.dataReceived(leftover)

    def _fail(self, failure: Failure) -> None:
        abort_transport(self.transport)
        self.finished.errback(failure)

    def readConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._successor):
            self._successor.readConnectionLost()
        else:
            self.transport.loseConnection()

    def writeConnectionLost(self) -> None:
        if IHalfCloseableProtocol.providedBy(self._successor):
            self._successor.writeConnectionLost()

    def connectionLost(self, reason: Failure | None = None) -> None:
        if self._successor is not None:
            self._successor.connectionLost(reason)
        elif not self.finished.called:
            self._receive(b"")
