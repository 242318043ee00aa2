"""The way to an IP address: what `connect` promises, and that nothing stays in between."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError
from twisted.internet.error import ConnectionRefusedError, NoProtocol
from twisted.internet.interfaces import IProtocol
from twisted.internet.protocol import Factory, Protocol
from twisted.python.failure import Failure

from obfsfte.transport.address_endpoint import AddressEndpoint

from .fakes import FakeReactor, FakeTransport


class Talker(Protocol):
    """Speaks first."""

    def connectionMade(self) -> None:  # noqa: N802
        assert self.transport is not None
        self.transport.write(b"hello")


class Attempt:
    """A connection to an address that is under way."""

    def __init__(self, factory: Factory, host: str = "192.0.2.1") -> None:
        self.reactor = FakeReactor()
        self.results: list[IProtocol] = []
        self.failures: list[Failure] = []
        self.connecting = AddressEndpoint(self.reactor, host, 80).connect(factory)
        self.connecting.addCallbacks(self.results.append, self.failures.append)
        self.place = self.reactor.tcpClients[0][:2]
        self.client_factory = self.reactor.tcpClients[0][2]


@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1"])
def test_the_protocol_is_connected_by_then_and_alone_with_its_transport(host: str) -> None:
    attempt = Attempt(Factory.forProtocol(Talker), host)
    assert attempt.place == (host, 80)
    transport = FakeTransport()
    transport.protocol = attempt.client_factory.buildProtocol(None)
    assert attempt.results == []
    attempt.connecting.addCallback(lambda _: transport.write(b" there"))
    transport.protocol.makeConnection(transport)
    assert attempt.results == [transport.protocol]
    assert isinstance(transport.protocol, Talker)
    assert transport.value() == b"hello there"


def test_a_refusal_is_told() -> None:
    attempt = Attempt(Factory.forProtocol(Talker))
    attempt.client_factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert [failure.type for failure in attempt.failures] == [ConnectionRefusedError]


def test_a_cancelled_attempt_is_stopped() -> None:
    attempt = Attempt(Factory.forProtocol(Talker))
    attempt.connecting.cancel()
    assert [failure.type for failure in attempt.failures] == [CancelledError]
    assert attempt.reactor.connectors[0].stoppedConnecting
    attempt.client_factory.clientConnectionFailed(None, Failure(ConnectionRefusedError()))
    assert len(attempt.failures) == 1


def test_a_factory_may_want_no_protocol() -> None:
    class Unwilling(Factory):
        def buildProtocol(self, addr: object) -> None:  # noqa: N802
            return None

    attempt = Attempt(Unwilling())
    assert attempt.client_factory.buildProtocol(None) is None
    assert [failure.type for failure in attempt.failures] == [NoProtocol]


def test_an_address_that_cannot_be_connected_from_here_is_a_failure() -> None:
    class NoScopes(FakeReactor):
        def connectTCP(self, *_arguments: object) -> None:  # noqa: N802
            raise OSError("no such scope")

    failures: list[Failure] = []
    connecting = AddressEndpoint(NoScopes(), "fe80::1%nothing", 80).connect(Factory())
    connecting.addErrback(failures.append)
    assert [failure.type for failure in failures] == [OSError]


def test_the_factory_is_started_and_stopped() -> None:
    events = []

    class Counted(Factory):
        def startFactory(self) -> None:  # noqa: N802
            events.append("started")

        def stopFactory(self) -> None:  # noqa: N802
            events.append("stopped")

    attempt = Attempt(Counted())
    attempt.client_factory.doStart()
    attempt.client_factory.doStop()
    assert events == ["started", "stopped"]
