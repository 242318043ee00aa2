"""The client side of a managed proxy, without sockets."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError, NoRouteError, TCPTimedOutError
from twisted.logger import LogLevel, capturedLogs, formatEvent

from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.managed.client import ManagedClient
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.client_config import ClientConfig, parseProxyURI
from obfsfte.pyptlib.util import encode_client_args
from obfsfte.transport.client import Bridge
from obfsfte.transport.side import Side
from obfsfte.transport.socks import SocksRequest, pack_address

from ..transport.fakes import FakeTransport, lose
from ..transport.test_socks import LOGIN, NO_LOGIN, login
from .reactor import FIRST_PORT, Reactor

NO_METHOD = b"\x05\x00"
LOGGED_IN = b"\x05\x02\x01\x00"
ADDRESS = "192.0.2.1"


class Client:
    """A launched client and what it told tor."""

    def __init__(
        self,
        state: Path,
        *transports: str,
        proxy: str | None = None,
        reactor: Reactor | None = None,
        sources: tuple[str | None, str | None] = (None, None),
    ) -> None:
        config = ClientConfig(str(state), ["1"], list(transports) or ["fte"])
        config.outboundBindAddressV4, config.outboundBindAddressV6 = sources
        if proxy is not None:
            config.proxy = parseProxyURI(proxy)
        self._stdout = io.BytesIO()
        plugin = ClientTransportPlugin(config, self._stdout)
        plugin.init(["fte"])
        self.reactor = reactor or Reactor()
        self.proxy = ManagedClient(self.reactor, plugin)
        self.failures: list[object] = []
        Deferred.fromCoroutine(self.proxy.launch()).addErrback(self.failures.append)

    @property
    def told(self) -> list[str]:
        return self._stdout.getvalue().decode().splitlines()

    def request(
        self, host: str = ADDRESS, arguments: Mapping[str, str] | None = None
    ) -> tuple[Side, FakeTransport]:
        """tor asks for a bridge."""
        side, transport = self.reactor.accept()
        head, answer = NO_LOGIN, NO_METHOD
        if arguments:
            head, answer = LOGIN + login(*encode_client_args(arguments)), LOGGED_IN
        side.dataReceived(head + b"\x05\x01\x00" + pack_address(host, 443))
        assert transport.value().startswith(answer)
        return side, transport


def reply(transport: FakeTransport) -> int:
    """The code of the reply to a request, -1 while there is none."""
    answer = LOGGED_IN if transport.value().startswith(LOGGED_IN) else NO_METHOD
    after = transport.value()[len(answer) :]
    return after[1] if after else -1


def test_one_listener_on_loopback(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert client.reactor.listening == [("127.0.0.1", FIRST_PORT)]
    method = f"CMETHOD fte socks5 127.0.0.1:{FIRST_PORT}"
    assert client.told == ["VERSION 1", method, "CMETHODS DONE"]


def test_the_proxy_is_confirmed_before_the_transports(tmp_path: Path) -> None:
    told = Client(tmp_path, proxy="socks5://192.0.2.9:1080").told
    assert [line.split()[0] for line in told] == ["VERSION", "PROXY", "CMETHOD", "CMETHODS"]
    assert told[1] == "PROXY DONE"


@pytest.mark.parametrize(
    ("transports", "errors"),
    [
        (["fte", "obfs4"], ["CMETHOD-ERROR obfs4 no such transport"]),
        (["obfs4", "fte", "obfs4"], ["CMETHOD-ERROR obfs4 no such transport"]),
        (["fte", "no-name", ""], []),
        (["*"], []),
        (["*", "obfs4"], ["CMETHOD-ERROR obfs4 no such transport"]),
    ],
)
def test_transports_that_we_are_not(
    tmp_path: Path, transports: list[str], errors: list[str]
) -> None:
    client = Client(tmp_path, *transports)
    method = f"CMETHOD fte socks5 127.0.0.1:{FIRST_PORT}"
    assert client.told == ["VERSION 1", *errors, method, "CMETHODS DONE"]


def test_nothing_of_ours_is_wanted(tmp_path: Path) -> None:
    client = Client(tmp_path, "obfs4")
    assert client.told[1:] == ["CMETHOD-ERROR obfs4 no such transport", "CMETHODS DONE"]
    assert client.reactor.listening == []


def test_no_port_is_an_error(tmp_path: Path) -> None:
    reactor = Reactor()
    reactor.in_use = True
    with capturedLogs():
        client = Client(tmp_path, reactor=reactor)
    error = "CMETHOD-ERROR fte cannot listen on 127.0.0.1: [Errno 98] Address already in use"
    assert client.told[1:] == [error, "CMETHODS DONE"]


def test_a_bug_does_not_leave_tor_waiting(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ManagedClient, "_launch", lambda *_: 1 / 0)
    with capturedLogs() as events:
        client = Client(tmp_path)
    assert client.told[1:] == ["CMETHOD-ERROR fte unexpected ZeroDivisionError", "CMETHODS DONE"]
    assert [event["log_level"] for event in events] == [LogLevel.critical]


def test_a_tor_that_is_gone_is_no_error_of_a_transport(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def gone(*_arguments: object) -> None:
        raise BrokenPipeError

    monkeypatch.setattr(ClientTransportPlugin, "reportMethodSuccess", gone)
    with capturedLogs() as events:
        client = Client(tmp_path)
    (failure,) = client.failures
    assert failure.type is BrokenPipeError
    assert all(event["log_level"] is LogLevel.info for event in events)


def test_success_is_told_when_the_bridge_is_connected(tmp_path: Path) -> None:
    client = Client(tmp_path)
    _, transport = client.request()
    assert client.reactor.dialled == [(ADDRESS, 443)]
    assert reply(transport) == -1
    client.reactor.answer()
    assert reply(transport) == 0


@pytest.mark.parametrize(
    ("error", "code"),
    [(ConnectionRefusedError(), 5), (NoRouteError(), 3), (TCPTimedOutError(), 6)],
)
def test_failures_are_told(tmp_path: Path, error: Exception, code: int) -> None:
    client = Client(tmp_path)
    _, transport = client.request()
    with capturedLogs() as events:
        client.reactor.refuse(error)
    assert reply(transport) == code
    assert transport.disconnecting
    (event,) = events
    assert event["log_level"] is LogLevel.warn
    assert ADDRESS not in event["log_format"].format(**event)


def test_nobody_waits_longer_than_the_timeout(tmp_path: Path) -> None:
    client = Client(tmp_path)
    _, transport = client.request()
    client.reactor.pump([1.0] * 31)
    assert reply(transport) == 6


@pytest.mark.parametrize(
    "arguments",
    [{"cert": "damaged"}, {"key": "damaged"}, {"nonsense": "1"}, {"format": "nonsense"}],
    ids=str,
)
def test_arguments_that_cannot_be_used(tmp_path: Path, arguments: dict[str, str]) -> None:
    client = Client(tmp_path)
    with capturedLogs() as events:
        _, transport = client.request(arguments=arguments)
    assert reply(transport) == 1
    assert transport.disconnecting
    assert client.reactor.dialled == []
    (event,) = events
    assert "damaged" not in event["reason"]


def test_covers_of_ones_own_are_in_the_state_directory(tmp_path: Path) -> None:
    covers = tmp_path / "fte" / "covers"
    covers.mkdir(parents=True)
    (covers / "mine.toml").write_text("kind = 1")
    client = Client(tmp_path)
    with capturedLogs() as events:
        _, transport = client.request()
    assert reply(transport) == 1
    assert str(covers / "mine.toml") in events[0]["reason"]


def test_an_application_that_leaves_while_we_dial_is_no_failure(tmp_path: Path) -> None:
    client = Client(tmp_path)
    side, _ = client.request()
    with capturedLogs() as events:
        lose(side)
    assert events == []
    assert client.reactor.connectors[0].stoppedConnecting


# Where connections come from

SOURCES = ("198.51.100.1", "2001:db8::5")


@pytest.mark.parametrize(
    ("host", "source"),
    [
        ("192.0.2.1", "198.51.100.1"),
        ("2001:db8::1", "2001:db8::5"),
        ("127.0.0.1", None),
        ("::1", None),
        ("four.example", "198.51.100.1"),
        ("six.example", "2001:db8::5"),
        ("here.example", None),
    ],
)
def test_the_source_is_the_one_for_the_address(
    tmp_path: Path, host: str, source: str | None
) -> None:
    reactor = Reactor(
        four_example=["192.0.2.1"], six_example=["2001:db8::1"], here_example=["127.0.0.1"]
    )
    client = Client(tmp_path, reactor=reactor, sources=SOURCES)
    client.request(host)
    assert reactor.sources == [None if source is None else (source, 0)]


def test_unless_told_the_system_chooses_the_source(tmp_path: Path) -> None:
    client = Client(tmp_path)
    client.request("192.0.2.1")
    client.request("2001:db8::1")
    assert client.reactor.sources == [None, None]


def test_addresses_are_not_looked_up(tmp_path: Path) -> None:
    client = Client(tmp_path)
    for host in ("192.0.2.1", "2001:db8::1"):
        client.request(host)
    assert client.reactor.dialled == [("192.0.2.1", 443), ("2001:db8::1", 443)]
    assert client.reactor.names.asked == []


def test_names_that_do_not_resolve(tmp_path: Path) -> None:
    client = Client(tmp_path)
    with capturedLogs():
        _, transport = client.request("nowhere.example")
    assert client.reactor.names.asked == ["nowhere.example"]
    assert reply(transport) == 4


# Through a proxy


@pytest.mark.parametrize("scheme", ["socks5", "socks4a", "http"])
@pytest.mark.parametrize("host", ["192.0.2.1", "2001:db8::1", "bridge.example"])
def test_all_goes_through_the_proxy(tmp_path: Path, scheme: str, host: str) -> None:
    client = Client(tmp_path, proxy=f"{scheme}://192.0.2.9:1080", sources=SOURCES)
    _, transport = client.request(host)
    assert client.reactor.dialled == [("192.0.2.9", 1080)]
    assert client.reactor.sources == [("198.51.100.1", 0)]
    assert client.reactor.names.asked == []
    client.reactor.answer()
    assert reply(transport) == -1
    with capturedLogs():
        client.reactor.advance(31)
    assert reply(transport) == 6
    assert client.reactor.dialled == [("192.0.2.9", 1080)]


def test_the_proxys_login_is_sent(tmp_path: Path) -> None:
    client = Client(tmp_path, proxy="socks5://user:s3cret@192.0.2.9:1080")
    client.request()
    protocol, wire = client.reactor.answer()
    protocol.dataReceived(b"\x05\x02")
    assert b"\x04user\x06s3cret" in wire.value()


# The end


def finished(client: Client) -> list[object]:
    results: list[object] = []
    Deferred.fromCoroutine(client.proxy.finish()).addCallback(results.append)
    return results


def test_without_connections_it_finishes_at_once(tmp_path: Path) -> None:
    client = Client(tmp_path)
    assert finished(client) == [None]
    assert client.reactor.listening == []


def test_it_finishes_with_its_last_connection(tmp_path: Path) -> None:
    client = Client(tmp_path)
    asking, _ = client.reactor.accept()
    dialling, _ = client.request()
    relayed, _ = client.request()
    wire, _ = client.reactor.answer()
    results = finished(client)
    assert client.reactor.listening == []
    for side in (asking, dialling, relayed, wire):
        assert results == []
        lose(side)
    assert results == [None]


def test_whoever_is_refused_reads_why_before_it_finishes(tmp_path: Path) -> None:
    client = Client(tmp_path)
    side, transport = client.request()
    results = finished(client)
    with capturedLogs():
        client.reactor.refuse(ConnectionRefusedError())
    assert reply(transport) == 5
    assert results == []
    lose(side, clean=True)
    assert results == [None]


def test_the_default_cover_is_loaded_once_tor_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded = []
    monkeypatch.setattr(Catalogue, "get", lambda _self, name: loaded.append(name))
    client = Client(tmp_path)
    assert client.told[-1] == "CMETHODS DONE"
    assert loaded == []
    client.reactor.advance(0)
    assert loaded == [DEFAULT_COVER]


def test_a_cover_of_ones_own_that_is_faulty_is_told_to_who_asks(tmp_path: Path) -> None:
    (tmp_path / "fte" / "covers").mkdir(parents=True)
    (tmp_path / "fte" / "covers" / "mine.toml").write_text("kind =")
    client = Client(tmp_path)
    client.reactor.advance(0)
    with capturedLogs() as events:
        _, transport = client.request()
    assert reply(transport) == 1
    assert "mine.toml" in formatEvent(events[0])


def test_stopping_cuts_connections_in_any_phase(tmp_path: Path) -> None:
    client = Client(tmp_path)
    sides = [client.reactor.accept(), client.request(), client.request()]
    wire_side, wire = client.reactor.answer()
    stopped: list[object] = []
    with capturedLogs() as events:
        client.proxy.stopService().addCallback(stopped.append)
    assert events == []
    assert client.reactor.listening == []
    assert wire.aborted
    assert stopped == []
    for side, transport in sides:
        assert transport.aborted
        lose(side)
    lose(wire_side)
    assert stopped == [None]


def test_a_line_is_read_once_and_not_any_number_of_lines_are_kept(tmp_path: Path) -> None:
    client = Client(tmp_path)

    def bridge(host: str, **arguments: str) -> Bridge:
        return client.proxy._bridge(SocksRequest(host, 443, arguments))

    made = [bridge(ADDRESS, format="dummy") for _ in range(3)]
    assert made[0] is made[1] is made[2]
    assert bridge("192.0.2.2", format="dummy") is not made[0]
    for number in range(200):
        bridge(ADDRESS, key=f"{number:064x}", format="dummy")
        assert len(client.proxy._bridges) <= 64
