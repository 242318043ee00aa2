"""Places, as a person writes them or a bridge line says."""

from __future__ import annotations

from pathlib import Path

import pytest
from twisted.internet.protocol import Factory, Protocol

from obfsfte import places
from obfsfte.bridge_line import BridgeLine
from obfsfte.errors import ConfigError
from tests.transport.fakes import FakeReactor


@pytest.mark.parametrize(
    ("text", "backlog"),
    [
        ("tcp:8080", places.BACKLOG),
        ("tcp:8080:interface=127.0.0.1", places.BACKLOG),
        ("tcp:8080:backlog=7", 7),
        ("tcp:8080:127.0.0.1:7", 7),
    ],
)
def test_a_burst_of_connections_has_room_to_wait(text: str, backlog: int) -> None:
    reactor = FakeReactor()
    places.server_endpoint(reactor, text).listen(Factory.forProtocol(Protocol))
    assert reactor.tcpServers[0][2] == backlog


@pytest.mark.parametrize(
    "text", ["", "tcp", "tcp:", "tcp:0:0:0:0:x=1", "nonsense:1", "tcp:port=x", "ssl:443"]
)
def test_faulty_endpoints_are_one_line(text: str) -> None:
    for make in (places.server_endpoint, places.client_endpoint):
        try:
            make(FakeReactor(), text)
        except ConfigError as error:
            assert "\n" not in str(error)
            assert repr(text) in str(error)


@pytest.mark.parametrize("text", ["tcp", "tcp:", "tcp:x", "tcp:80:x=1", "tcp:80\\"])
def test_a_faulty_endpoint_string_is_told_how_one_reads(text: str) -> None:
    with pytest.raises(ConfigError, match="reads like tcp:"):
        places.server_endpoint(FakeReactor(), text)


@pytest.mark.parametrize(
    "text",
    [
        "tcp:127.0.0.1:99999",
        "tcp:127.0.0.1:-1",
        "tcp:host=127.0.0.1:port=0",
        "tcp:..:80",
        "tls:example.org:99999",
        "tcp:" + "x" * 64 + ":80:timeout=5",
    ],
)
def test_a_host_or_port_that_cannot_be_one_is_one_line(text: str) -> None:
    with pytest.raises(ConfigError, match=r"cannot connect to .*: .* (is no|has no)"):
        places.client_endpoint(FakeReactor(), text)


@pytest.mark.parametrize(
    "text",
    [
        "tcp:127.0.0.1:80",
        "tcp:host=example.org:port=80",
        r"tcp:\:\:1:80",
        "tls:bücher.example:443:timeout=5",
    ],
)
def test_hosts_and_ports_that_can_be(text: str) -> None:
    places.client_endpoint(FakeReactor(), text)


def test_a_unix_socket_is_a_place_too(tmp_path: Path) -> None:
    reactor = FakeReactor()
    places.client_endpoint(reactor, f"unix:{tmp_path}/socket").connect(
        Factory.forProtocol(Protocol)
    )
    assert len(reactor.unixClients) == 1


def test_a_bridges_name_is_resolved_not_refused() -> None:
    line = BridgeLine.parse("fte bücher.example:8080")
    assert places.bridge_endpoint(FakeReactor(), line) is not None


def test_how_to_write_an_ipv6_address_is_told() -> None:
    with pytest.raises(ConfigError, match=r"IPv6 address like \\:$"):
        places.client_endpoint(FakeReactor(), "tcp:[::1]:80")
    places.client_endpoint(FakeReactor(), r"tcp:\:\:1:80")
