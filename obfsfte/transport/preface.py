"""What is said on a new connection before it belongs to the protocol that asked for it.

```
  endpoint      preface, a state machine           factory's protocol
  connects -->  bytes <-> bytes, until done  -->   makeConnection, leftover bytes, events
```
Proxies and tor's ExtORPort both want to be talked to first. A preface is sans-I/O;
`connect_with_preface` does the talking, for any endpoint and any protocol.
"""

from __future__ import annotations

from typing import Any, NoReturn, Protocol

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
from twisted.internet.protocol import Factory
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.transport.side import abort_transport


class Preface(Protocol):
    """The client's end of a short exchange. Bytes may be split in any way."""

    #: True once the exchange has succeeded.
    done: bool

    def receive(self, data: bytes) -> None:
        """Take bytes; b"" says that the peer hung up. Raises when it cannot succeed."""

    def data_to_send(self) -> bytes:
        """Bytes to write now: at the start, and after every `receive`."""

    def leftover(self) -> bytes:
        """Once done, the bytes that came after the exchange."""


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
class _PrefaceProtocol(TwistedProtocol):
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
