"""A bridge as part of a web site, set up as docs/behind-a-web-server.md says, TLS included.

```
 client half, stranger --- TLS ---> nginx, HAProxy, ... ---> server half ---> test (tor)
                                          '------> site <--------'
```
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from obfsfte.bridge import unix_time
from obfsfte.covers.catalogue import Catalogue
from obfsfte.wires import client_wire
from tests.e2e.certificates import Issued
from tests.e2e.front import Site
from tests.e2e.halves import PATIENCE, Target, exchange, receive_to_end
from tests.e2e.pt_process import Bridge, Managed, ask, client_environment, managed_bridge
from tests.e2e.test_pt_server import COOKIE_HEADER, OKAY, cookie_in, log_in
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e

#: Another client's place, which is not trusted.
THERE = "127.0.0.6"
FORGED = "203.0.113.6"
PLACEHOLDER = ("192.0.2.3", 1)


class Tor:
    """What a bridge delivers to: an Extended ORPort."""

    def __init__(self, target: Target, directory: Path) -> None:
        self.target = target
        self.cookie_file = directory / "cookie"
        self.cookie_file.write_bytes(COOKIE_HEADER + bytes(32))

    def environment(self, options: dict[str, str]) -> dict[str, str]:
        escaped = {
            key: "".join(f"\\{char}" if char in ":;\\=" else char for char in value)
            for key, value in options.items()
        }
        return {
            "TOR_PT_EXTENDED_SERVER_PORT": f"{LOOPBACK}:{self.target.port}",
            "TOR_PT_AUTH_COOKIE_FILE": str(self.cookie_file),
            "TOR_PT_SERVER_TRANSPORT_OPTIONS": ";".join(
                f"fte:{key}={value}" for key, value in escaped.items()
            ),
        }

    @contextmanager
    def accept(self) -> Iterator[tuple[socket.socket, str]]:
        """The next client, and where tor is told that it is."""
        with self.target.accept() as connection:
            commands = log_in(connection, cookie_in(self.cookie_file))
            connection.sendall(OKAY)
            yield connection, commands[1].decode()


@pytest.fixture
def site(tmp_path: Path) -> Site:
    (tmp_path / "certificate").mkdir()
    return Site(tmp_path / "site", Issued(tmp_path / "certificate", "localhost").chain)


@pytest.fixture
def tor(tmp_path: Path) -> Iterator[Tor]:
    with Target() as target:
        yield Tor(target, tmp_path)


@contextmanager
def bridge_of(tor: Tor, site: Site, state: Path, **options: str) -> Iterator[Bridge]:
    environment = tor.environment({**site.options, **options})
    with managed_bridge(state, tor.target, **environment) as bridge:
        yield bridge
        assert "Traceback" not in bridge.server.stderr
        for line in bridge.server.lines:
            assert not any(address in line for address in (THERE, FORGED)), line


@contextmanager
def client(state: Path) -> Iterator[int]:
    """A client half that tor runs; where tor asks it."""
    with Managed(client_environment(state)) as managed:
        yield managed.port()


def tls_to(site: Site, source: str = THERE) -> ssl.SSLSocket:
    context = ssl.create_default_context(cafile=site.chain)
    connection = socket.create_connection((LOOPBACK, site.port), PATIENCE, (source, 0))
    return context.wrap_socket(connection, server_hostname="localhost")


def forged_hello(bridge: Bridge) -> bytes:
    """A client's hello that says it is somebody else's."""
    channel = client_wire(bridge.arguments, Catalogue(), unix_time)()
    line, _, rest = b"".join(channel.data_to_send()).partition(b"\r\n")
    return b"\r\n".join([line, f"X-Forwarded-For: {FORGED}".encode(), rest])


UPGRADE = (
    "Upgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Version: 13\r\n"
    "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
)
STRANGERS = [
    "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    f"GET /live HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n",
    f"GET /other HTTP/1.1\r\nHost: localhost\r\n{UPGRADE}\r\n",
    "POST /live HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\nContent-Length: 1\r\n\r\nx",
    "GET /live/below?a=b HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
    "GET /lively HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n",
]


def answer(connection: socket.socket, request: str) -> tuple[bytes, bytes]:
    """The status line and the body of the answer."""
    with connection:
        connection.settimeout(PATIENCE)
        connection.sendall(request.encode())
        connection.settimeout(PATIENCE)
        data = b""
        while not complete(data):
            data += connection.recv(65536) or pytest.fail("cut short")
    head, _, body = data.partition(b"\r\n\r\n")
    return head.partition(b"\r\n")[0], body


def complete(data: bytes) -> bool:
    head, blank, body = data.partition(b"\r\n\r\n")
    for line in head.lower().split(b"\r\n"):
        if line.startswith(b"content-length:"):
            return len(body) >= int(line.partition(b":")[2])
    return bool(blank) and body.endswith(b"0\r\n\r\n")


@pytest.mark.parametrize("cover", ["websocket", "http"])
@pytest.mark.parametrize("name", ["nginx", "haproxy", "apache", "caddy"])
def test_clients_get_through_and_strangers_get_the_site(
    tmp_path: Path, site: Site, tor: Tor, name: str, cover: str
) -> None:
    with ExitStack() as stack:
        bridge = stack.enter_context(bridge_of(tor, site, tmp_path / "bridge", cover=cover))
        stack.enter_context(getattr(site, name)(bridge.port))
        port = stack.enter_context(client(tmp_path / "client"))
        # tor gives the client what the server told tor.
        assert bridge.arguments["url"] == f"wss://localhost:{site.port}/live"
        with (
            ask(port, *PLACEHOLDER, bridge.arguments) as application,
            tor.accept() as (service, address),
        ):
            assert address == f"{LOOPBACK}:1"  # who is trusted may be a client as well
            assert application.recv(10)[1] == 0
            exchange(application, service, 500_000)
        with tls_to(site) as forger:
            forger.sendall(forged_hello(bridge))
            with tor.accept() as (_, address):
                assert address == f"{THERE}:1"
        with socket.create_connection((LOOPBACK, bridge.port), PATIENCE, (THERE, 0)) as direct:
            direct.sendall(forged_hello(bridge))
            with tor.accept() as (_, address):
                assert address == "{}:{}".format(*direct.getsockname())
        for request in STRANGERS:
            inside = socket.create_connection((LOOPBACK, site.inner_port), PATIENCE)
            assert answer(tls_to(site), request) == answer(inside, request), request
        assert tor.target.is_untouched()


@pytest.mark.parametrize(
    "version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"]
)
def test_the_proxy_protocol(tmp_path: Path, site: Site, tor: Tor, version: str) -> None:
    options = {"proxy-protocol": "1", "url": f"ws://localhost:{site.port}/live"}
    del site.options["pin"]
    with ExitStack() as stack:
        bridge = stack.enter_context(bridge_of(tor, site, tmp_path / "bridge", **options))
        stack.enter_context(site.haproxy_tcp(bridge.port, version))
        port = stack.enter_context(client(tmp_path / "client"))
        with (
            ask(port, *PLACEHOLDER, bridge.arguments) as application,
            tor.accept() as (service, address),
        ):
            assert address.startswith(f"{LOOPBACK}:")
            assert application.recv(10)[1] == 0
            exchange(application, service, 500_000)
        # HAProxy, the visitor's address for us, is not trusted to say where he is from.
        connection = socket.create_connection((LOOPBACK, site.port), PATIENCE, (THERE, 0))
        with connection as forger:
            forger.sendall(forged_hello(bridge))
            with tor.accept() as (_, address):
                assert address == "{}:{}".format(*forger.getsockname())
        # Strangers through HAProxy, and one at the bridge's own port with a header of his own.
        for request in STRANGERS:
            inside = socket.create_connection((LOOPBACK, site.inner_port), PATIENCE)
            outside = socket.create_connection((LOOPBACK, site.port), PATIENCE)
            assert answer(outside, request) == answer(inside, request), request
        answers = []
        for place in (bridge.port, site.inner_port):
            with socket.create_connection((LOOPBACK, place), PATIENCE, (THERE, 0)) as liar:
                header = f"PROXY TCP4 {FORGED} {LOOPBACK} 4000 80\r\n"
                liar.sendall(header.encode() + forged_hello(bridge))
                answers.append(receive_to_end(liar).partition(b"\r\n")[0])
        assert answers[0] == answers[1]
        assert answers[0].startswith(b"HTTP/1.1 400 ")
        assert tor.target.is_untouched()
