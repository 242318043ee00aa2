"""Services: put together from options, listening, and stopping with patience."""

from __future__ import annotations

import pytest
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.defer import Deferred, fail, succeed
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import IListeningPort
from zope.interface import implementer

from obfsfte import service
from obfsfte.channel import PassThrough
from obfsfte.classic import DEFAULT_KEY
from obfsfte.errors import ConfigError
from obfsfte.wires import ClassicWire, served_releases
from tests.transport.fakes import FakeReactor

from .transport.fakes import FakeEndpoint, connected, is_at_rest, lose

LISTEN = "tcp:8079:interface=127.0.0.1"


def new_client(reactor: FakeReactor, connect: FakeEndpoint) -> service.TunnelService:
    return service.client_service(
        reactor, listen=LISTEN, connect=connect, open_channel=PassThrough, drain_seconds=5.0
    )


def test_listens_where_it_was_told() -> None:
    reactor = FakeReactor()
    new_client(reactor, FakeEndpoint()).startService()
    ((port, _factory, _backlog, interface),) = reactor.tcpServers
    assert (port, interface) == (8079, "127.0.0.1")


class Occupied(FakeReactor):
    def listenTCP(self, *args: object, **kwargs: object) -> None:  # noqa: N802
        raise CannotListenError("127.0.0.1", 8079, OSError(98, "Address already in use"))


def test_an_address_in_use_is_one_line() -> None:
    tunnel = new_client(Occupied(), FakeEndpoint())
    failures: list[BaseException] = []
    listening = Deferred.fromCoroutine(tunnel.listen())
    listening.addErrback(lambda failure: failures.append(failure.value))
    assert isinstance(failures[0], service.ListenError)
    assert "\n" not in str(failures[0])
    assert LISTEN in str(failures[0])
    assert "Address already in use" in str(failures[0])


def fault_of_listening(endpoint: object) -> str:
    reactor = FakeReactor()
    context = service.make_context(reactor)
    tunnel = service.TunnelService("half", endpoint, LISTEN, _factory(), context)
    failures: list[BaseException] = []
    listening = Deferred.fromCoroutine(tunnel.listen())
    listening.addErrback(lambda failure: failures.append(failure.value))
    assert [type(failure) for failure in failures] == [service.ListenError]
    assert str(failures[0]).startswith(f"cannot listen on {LISTEN}: ")
    return str(failures[0])


class OddEndpoint:
    """What endpoints may do beyond their interface."""

    def __init__(self, result: object) -> None:
        self._result = result

    def listen(self, factory: object) -> Deferred[object]:
        return fail(self._result) if isinstance(self._result, Exception) else succeed(self._result)


def test_a_port_that_cannot_be_one_is_one_line() -> None:
    error = OverflowError("bind(): port must be 0-65535.")
    assert fault_of_listening(OddEndpoint(error)).endswith(str(error))


def test_an_endpoint_that_is_one_connection_is_one_line() -> None:
    assert "one connection" in fault_of_listening(OddEndpoint(object()))


@implementer(IListeningPort)
class Listening:
    """A port that says where it is."""

    def __init__(self, host: object) -> None:
        self._host = host
        self.stopped = 0

    def getHost(self) -> object:  # noqa: N802
        return self._host

    def stopListening(self) -> None:  # noqa: N802
        self.stopped += 1


def listen_at(host: object, fallback: str) -> tuple[Listening, list[BaseException]]:
    port = Listening(host)
    context = service.make_context(FakeReactor())
    tunnel = service.TunnelService(
        "half", OddEndpoint(port), LISTEN, _factory(), context, fallback=fallback
    )
    failures: list[BaseException] = []
    listening = Deferred.fromCoroutine(tunnel.listen())
    listening.addErrback(lambda failure: failures.append(failure.value))
    return port, failures


EVERYWHERE = IPv4Address("TCP", "0.0.0.0", 8080)
LOOPBACK = IPv4Address("TCP", "127.0.0.1", 8080)
EVERYWHERE_6 = IPv6Address("TCP", "::", 8080)


@pytest.mark.parametrize("host", [EVERYWHERE, LOOPBACK, EVERYWHERE_6])
@pytest.mark.parametrize(
    "fallback",
    ["tcp:127.0.0.1:8080", "tcp:localhost:8080:timeout=3", "tcp:host=127.0.0.1:port=8080"],
)
def test_a_fallback_that_is_the_server_itself_is_refused(host: object, fallback: str) -> None:
    """Its first stranger would be sent to it again and again, until no file can be opened."""
    port, failures = listen_at(host, fallback)
    assert [type(failure) for failure in failures] == [ConfigError]
    assert "is this server itself" in str(failures[0])
    assert port.stopped == 1


@pytest.mark.parametrize("host", [EVERYWHERE, EVERYWHERE_6])
@pytest.mark.parametrize("own", ["127.0.0.2", "0.0.0.0"])
def test_every_address_of_this_machine_is_the_server_itself(host: object, own: str) -> None:
    _, failures = listen_at(host, f"tcp:{own}:8080")
    assert [type(failure) for failure in failures] == [ConfigError]


@pytest.mark.parametrize(
    ("host", "fallback"),
    [
        (EVERYWHERE, "tcp:127.0.0.1:80"),
        (EVERYWHERE, "tcp:site.example:8080"),
        (IPv4Address("TCP", "192.0.2.1", 8080), "tcp:127.0.0.1:8080"),
        (UNIXAddress("/run/obfsfte"), "tcp:127.0.0.1:8080"),
        (LOOPBACK, "unix:/run/site"),
    ],
)
def test_other_fallbacks_are_not(host: object, fallback: str) -> None:
    port, failures = listen_at(host, fallback)
    assert failures == []
    assert port.stopped == 0


def test_twistd_is_told_in_its_way() -> None:
    with pytest.raises(SystemExit, match="Address already in use"):
        new_client(Occupied(), FakeEndpoint()).startService()


class Running:
    """A client half with one connection in its relay."""

    def __init__(self) -> None:
        self.reactor = FakeReactor()
        bridge = FakeEndpoint()
        self.tunnel = new_client(self.reactor, bridge)
        self.tunnel.startService()
        self.side = self.reactor.tcpServers[0][1].buildProtocol(None)
        self.plain = connected(self.side)
        self.wire_side, self.wire = bridge.accept()
        self.stopped: list[object] = []

    def stop(self) -> None:
        self.tunnel.stopService().addCallback(self.stopped.append)


def test_stopping_waits_for_connections_to_end() -> None:
    running = Running()
    running.stop()
    running.reactor.pump([1.0] * 3)
    assert running.stopped == []
    lose(running.side)
    lose(running.wire_side)
    assert running.stopped == [None]
    assert is_at_rest(running.reactor)


def test_stopping_ends_connections_that_stay() -> None:
    running = Running()
    running.stop()
    running.reactor.pump([1.0] * 7)
    assert running.plain.aborted
    assert running.wire.aborted
    lose(running.side)
    lose(running.wire_side)
    assert running.stopped == [None]


def test_a_server_knows_its_languages_before_the_first_connection() -> None:
    reactor = FakeReactor()
    tunnel = service.server_service(
        reactor,
        listen="tcp:8080",
        target="tcp:127.0.0.1:8081",
        wires=[ClassicWire(served_releases(None, None), DEFAULT_KEY)],
    )
    tunnel.startService()
    assert [server[0] for server in reactor.tcpServers] == [8080]


def _factory() -> object:
    from twisted.internet.protocol import Factory, Protocol

    return Factory.forProtocol(Protocol)
