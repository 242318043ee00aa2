"""Talking before the application does: whose the connection is, and when."""
# ruff: noqa: N802 (Twisted's names)

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, succeed
from twisted.internet.error import (
    ConnectionDone,
    ConnectionRefusedError,
    NoProtocol,
    TimeoutError,
)
from twisted.internet.interfaces import IHalfCloseableProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.transport.preface import Preface, connect_with_preface

from .fakes import FakeEndpoint, FakeTransport, lose


class Knock(Preface):
    """Says `knock`, and is let in with a line that is not empty."""

    def __init__(self) -> None:
        super().__init__(self._read_line)
        self._to_send += b"knock"

    def _read_line(self) -> bool:
        end = self._received.find(b"\n")
        line = self._take(end + 1) if end >= 0 else None
        if line is None:
            return False
        if line == b"\n":
            raise ValueError("not let in")
        self._to_send += b"thanks"
        self.done = True
        return True

    def hung_up(self) -> Exception:
        return ValueError("nobody there")


class Application(Protocol):
    """Records its events; may not know of half-closed connections."""

    def __init__(self) -> None:
        self.events: list[object] = []

    def factory(self) -> Factory:
        """Builds nothing but this one."""
        factory = Factory()
        factory.noisy = False
        factory.buildProtocol = lambda addr: self  # type: ignore[method-assign]
        return factory

    def connectionMade(self) -> None:
        self.events.append("connected")

    def dataReceived(self, data: bytes) -> None:
        self.events.append(data)

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.events.append("lost")


@implementer(IHalfCloseableProtocol)
class HalfCloseable(Application):
    def readConnectionLost(self) -> None:
        self.events.append("read lost")

    def writeConnectionLost(self) -> None:
        self.events.append("write lost")


class OpenEndpoint:
    """Connects at once, each time to a new transport."""

    def connect(self, factory: Factory) -> Deferred[Protocol]:
        self.transport = FakeTransport()
        self.protocol = factory.buildProtocol(self.transport.getPeer())
        assert self.protocol is not None
        self.protocol.makeConnection(self.transport)
        return succeed(self.protocol)

    def receive(self, data: bytes) -> None:
        self.protocol.dataReceived(data)

    def lose(self) -> None:
        lose(self.protocol)


class Connection:
    def __init__(self, application: Application | None = None) -> None:
        self.clock = Clock()
        self.endpoint = OpenEndpoint()
        self.application = application or Application()
        self.results: list[object] = []
        self.connecting = connect_with_preface(
            self.endpoint, Knock(), self.application.factory(), self.clock, 30
        )
        self.connecting.addBoth(self.results.append)

    @property
    def error(self) -> BaseException:
        [failure] = self.results
        assert isinstance(failure, Failure)
        return failure.value


def test_the_application_begins_when_the_preface_is_done() -> None:
    connection = Connection()
    transport = connection.endpoint.transport
    assert transport.value() == b"knock"
    connection.endpoint.receive(b"come")
    assert connection.application.events == []
    connection.endpoint.receive(b" in\n")
    assert transport.value() == b"knockthanks"
    assert connection.results == [connection.application]
    assert connection.application.transport is transport
    assert connection.application.events == ["connected"]
    connection.endpoint.receive(b"hello")
    lose(connection.endpoint.protocol)
    assert connection.application.events == ["connected", b"hello", "lost"]
    assert connection.clock.getDelayedCalls() == []


def test_bytes_after_the_preface_come_when_the_connection_is_the_callers() -> None:
    connection = Connection()
    seen: list[list[object]] = []
    connection.connecting.addCallback(lambda _: seen.append(list(connection.application.events)))
    connection.endpoint.receive(b"come in\nhello")
    assert connection.application.events == ["connected", b"hello"]
    connection = Connection()
    connection.connecting.addCallback(lambda _: connection.application.events.append("fired"))
    connection.endpoint.receive(b"come in\nhello")
    assert connection.application.events == ["connected", "fired", b"hello"]


def test_half_closing_reaches_who_knows_of_it() -> None:
    connection = Connection(HalfCloseable())
    connection.endpoint.receive(b"come in\n")
    connection.endpoint.protocol.readConnectionLost()
    connection.endpoint.protocol.writeConnectionLost()
    assert connection.application.events == ["connected", "read lost", "write lost"]
    assert not connection.endpoint.transport.disconnecting


def test_half_closing_closes_for_who_does_not() -> None:
    connection = Connection()
    connection.endpoint.receive(b"come in\n")
    connection.endpoint.protocol.writeConnectionLost()
    assert not connection.endpoint.transport.disconnecting
    connection.endpoint.protocol.readConnectionLost()
    assert connection.endpoint.transport.disconnecting


@pytest.mark.parametrize("half", [True, False])
def test_hanging_up_during_the_preface_fails_it(half: bool) -> None:
    connection = Connection(HalfCloseable())
    if half:
        connection.endpoint.protocol.readConnectionLost()
        assert connection.endpoint.transport.disconnecting
    connection.endpoint.protocol.connectionLost(Failure(ConnectionDone()))
    assert str(connection.error) == "nobody there"
    assert connection.application.events == []


def test_a_failed_preface_gives_up_the_connection() -> None:
    connection = Connection()
    connection.endpoint.receive(b"\n")
    assert str(connection.error) == "not let in"
    assert connection.endpoint.transport.aborted
    connection.endpoint.receive(b"come in\n")
    lose(connection.endpoint.protocol)
    assert connection.application.events == []
    assert connection.clock.getDelayedCalls() == []


def test_the_preface_has_a_limit() -> None:
    connection = Connection()
    connection.clock.advance(29)
    connection.endpoint.receive(b"come")
    connection.clock.advance(2)
    assert isinstance(connection.error, TimeoutError)
    assert connection.endpoint.transport.aborted
    lose(connection.endpoint.protocol)
    assert connection.application.events == []


def test_connecting_has_the_same_limit() -> None:
    clock, endpoint = Clock(), FakeEndpoint()
    connecting = connect_with_preface(endpoint, Knock(), Application().factory(), clock, 30)
    clock.advance(31)
    assert endpoint.cancelled == 1
    assert isinstance(connecting.result, Failure)
    connecting.addErrback(lambda failure: failure.trap(TimeoutError))


def test_cancelling_gives_up_the_connection() -> None:
    connection = Connection()
    connection.connecting.cancel()
    assert isinstance(connection.error, CancelledError)
    assert connection.endpoint.transport.aborted


def test_failing_to_connect_is_passed_on() -> None:
    endpoint = FakeEndpoint()
    results: list[Failure] = []
    connecting = connect_with_preface(endpoint, Knock(), Application().factory(), Clock(), 30)
    connecting.addErrback(results.append)
    endpoint.refuse(ConnectionRefusedError())
    assert results[0].check(ConnectionRefusedError)


def test_a_factory_may_change_its_mind() -> None:
    connection = Connection()
    factory = Factory()
    factory.buildProtocol = lambda addr: None  # type: ignore[method-assign]
    connecting = connect_with_preface(connection.endpoint, Knock(), factory, Clock(), 30)
    connection.endpoint.receive(b"come in\n")
    assert connection.endpoint.transport.aborted
    assert isinstance(connecting.result, Failure)
    connecting.addErrback(lambda failure: failure.trap(NoProtocol))
    connection.connecting.cancel()


def test_the_factory_is_started_and_stopped_by_its_connection() -> None:
    calls: list[str] = []

    class Counting(Factory):
        noisy = False

        def startFactory(self) -> None:
            calls.append("start")

        def stopFactory(self) -> None:
            calls.append("stop")

    endpoint = FakeEndpoint()
    connect_with_preface(endpoint, Knock(), Counting(), Clock(), 30)
    [(_, factory)] = endpoint.attempts
    factory.doStart()
    factory.doStop()
    assert calls == ["start", "stop"]
