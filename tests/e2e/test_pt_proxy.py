"""The client side of a managed proxy behind an outgoing proxy: through it, or not at all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.halves import Target
from tests.e2e.proxies import Proxy
from tests.e2e.pt_process import (
    Bridge,
    Managed,
    carries,
    client_environment,
    greeted,
    managed_bridge,
    refusal,
    socks,
)
from tests.e2e.waiting import LOOPBACK, free_port

pytestmark = pytest.mark.e2e

#: Kind, login of TOR_PT_PROXY, what the proxy must be told.
KINDS = {
    "socks5": ("socks5", "", None),
    "socks5 with a login": ("socks5", "user:pass%20word@", (b"user", b"pass word")),
    "socks4a": ("socks4a", "", None),
    "socks4a with a user": ("socks4a", "user@", (b"user", b"")),
    "http": ("http", "", None),
    "http with a login": ("http", "user:pass%20word@", (b"user", b"pass word")),
}


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    with Target() as target, managed_bridge(tmp_path_factory.mktemp("bridge"), target) as bridge:
        yield bridge


@pytest.mark.parametrize("kind", KINDS)
def test_bridges_are_reached_through_the_proxy(tmp_path: Path, bridge: Bridge, kind: str) -> None:
    scheme, login, told = KINDS[kind]
    names = {"bridge.invalid": LOOPBACK}
    with (
        Proxy(scheme, names, told) as proxy,
        Managed(client_environment(tmp_path, TOR_PT_PROXY=proxy.uri(login))) as client,
    ):
        assert client.launched()[:2] == ["VERSION 1", "PROXY DONE"]
        port = int(client.lines[-2].rpartition(":")[2])
        for host in (LOOPBACK, "bridge.invalid"):
            application, reply = socks(port, host, bridge.port, bridge.arguments)
            assert reply == 0
            with application, greeted(application, bridge.target) as service:
                assert carries(application, service)
        hosts = [LOOPBACK, "bridge.invalid"]
        assert proxy.requests == [(host, bridge.port, told) for host in hosts]


@pytest.mark.parametrize(("kind", "reply"), [("socks5", 4), ("socks4a", 1), ("http", 4)])
def test_what_the_proxy_refuses_is_not_tried_without_it(
    tmp_path: Path, bridge: Bridge, kind: str, reply: int
) -> None:
    with (
        Target() as wanted,
        Proxy(kind, refuse=True) as proxy,
        Managed(client_environment(tmp_path, TOR_PT_PROXY=proxy.uri())) as client,
    ):
        port = client.port()
        assert refusal(port, LOOPBACK, wanted.port, bridge.arguments) == reply
        assert refusal(port, "localhost", wanted.port, bridge.arguments) == reply
        assert wanted.is_untouched()
        assert [request[0] for request in proxy.requests] == [LOOPBACK, "localhost"]


@pytest.mark.parametrize("kind", ["socks5", "socks4a", "http"])
def test_a_proxy_that_is_not_there(tmp_path: Path, bridge: Bridge, kind: str) -> None:
    uri = f"{kind}://{LOOPBACK}:{free_port()}"
    with (
        Target() as wanted,
        Managed(client_environment(tmp_path, TOR_PT_PROXY=uri)) as client,
    ):
        port = client.port()
        assert refusal(port, LOOPBACK, wanted.port, bridge.arguments) == 5
        assert wanted.is_untouched()


def test_the_proxys_login_is_nowhere_to_be_read(tmp_path: Path, bridge: Bridge) -> None:
    with (
        Proxy("http", login=(b"user", b"another")) as proxy,
        Managed(
            client_environment(tmp_path, TOR_PT_PROXY=proxy.uri("user:s3cret@")), "--log-file"
        ) as client,
    ):
        port = client.port()
        assert refusal(port, LOOPBACK, bridge.port, bridge.arguments) == 4
        client.close_stdin()
        assert client.wait() == 0
        log = (tmp_path / "fte" / "obfsfte.log").read_text()
        assert "no connection to the bridge" in log
        for text in (log, client.stderr, *client.lines):
            assert "s3cret" not in text
            assert "user" not in text
