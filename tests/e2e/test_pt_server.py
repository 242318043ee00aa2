"""The server side of a managed proxy: what reaches tor's ORPorts, and what does when they fail.

The tests play tor, with an Extended ORPort written from ext-orport-spec.
"""

from __future__ import annotations

import hashlib
import hmac
import secrets
import signal
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from obfsfte.bridge import unix_time
from obfsfte.channel import Channel
from obfsfte.covers.catalogue import Catalogue
from obfsfte.wires import client_wire
from tests.e2e.halves import (
    PATIENCE,
    Target,
    assert_ends,
    connect,
    is_reset,
    is_silent,
    receive,
    receive_to_end,
    reset,
)
from tests.e2e.pt_process import (
    Bridge,
    Managed,
    carries,
    client_environment,
    managed_bridge,
    server_environment,
    tunnel,
)
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e

COOKIE_HEADER = b"! Extended ORPort Auth Cookie !\n"
OKAY = b"\x10\x00\x00\x00"
DENY = b"\x10\x01\x00\x00"


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture
def cookie_file(tmp_path: Path) -> Path:
    path = tmp_path / "cookie"
    path.write_bytes(COOKIE_HEADER + secrets.token_bytes(32))
    return path


@pytest.fixture
def bridge(tmp_path: Path, target: Target, cookie_file: Path) -> Iterator[Bridge]:
    """One that delivers to an Extended ORPort."""
    with managed_bridge(
        tmp_path / "state",
        target,
        TOR_PT_EXTENDED_SERVER_PORT=f"{LOOPBACK}:{target.port}",
        TOR_PT_AUTH_COOKIE_FILE=str(cookie_file),
    ) as bridge:
        yield bridge
        assert bridge.server.status is None
        assert "Traceback" not in bridge.server.stderr


class Visitor:
    """A client half without a process, so that the test knows its address."""

    def __init__(self, bridge: Bridge, source: str = LOOPBACK, family: int = 4) -> None:
        host = LOOPBACK if family == 4 else "::1"
        self.channel: Channel = client_wire(bridge.arguments, Catalogue(), unix_time)()
        self.socket = socket.create_connection((host, bridge.port), PATIENCE, (source, 0))
        self._heard = b""
        self._send()

    def _send(self) -> None:
        self.socket.sendall(b"".join(self.channel.data_to_send()))

    def say(self, data: bytes) -> None:
        while not self.channel.ready:
            self._receive()
        self.channel.send(data)
        self._send()

    def hear(self, size: int) -> bytes:
        while len(self._heard) < size:
            self._receive()
        return self._heard

    def _receive(self) -> None:
        self._heard += b"".join(self.channel.receive(self.socket.recv(65536)))

    def __enter__(self) -> Visitor:
        return self

    def __exit__(self, *_error: object) -> None:
        self.socket.close()


def keyed(cookie: bytes, direction: bytes, nonces: bytes) -> bytes:
    text = b"ExtORPort authentication " + direction + b" hash" + nonces
    return hmac.new(cookie, text, hashlib.sha256).digest()


def log_in(connection: socket.socket, cookie: bytes) -> dict[int, bytes]:
    """Play tor until the client has said all: what it sent, by command."""
    connection.sendall(b"\x01\x00")
    assert receive(connection, 1) == b"\x01"
    nonces = receive(connection, 32) + secrets.token_bytes(32)
    connection.sendall(keyed(cookie, b"server-to-client", nonces) + nonces[32:])
    proof = receive(connection, 32)
    if not proof:
        raise ConnectionError("it does not believe that we are tor")
    assert proof == keyed(cookie, b"client-to-server", nonces)
    connection.sendall(b"\x01")
    commands = {}
    while 0 not in commands:
        head = receive(connection, 4)
        assert len(head) == 4
        code, length = int.from_bytes(head[:2], "big"), int.from_bytes(head[2:], "big")
        commands[code] = receive(connection, length)
    return commands


def cookie_in(file: Path) -> bytes:
    return file.read_bytes()[len(COOKIE_HEADER) :]


def assert_serves(bridge: Bridge, cookie_file: Path) -> None:
    """The next client reaches tor."""
    with Visitor(bridge) as visitor, bridge.target.accept() as tor:
        log_in(tor, cookie_in(cookie_file))
        tor.sendall(OKAY)
        visitor.say(b"hello")
        assert receive(tor, 5) == b"hello"


@pytest.mark.parametrize("source", [LOOPBACK, "127.0.0.5"])
def test_tor_learns_who_comes_and_how(bridge: Bridge, cookie_file: Path, source: str) -> None:
    with Visitor(bridge, source) as visitor, bridge.target.accept() as tor:
        commands = log_in(tor, cookie_in(cookie_file))
        host, port = visitor.socket.getsockname()
        assert commands == {1: f"{host}:{port}".encode(), 2: b"fte", 0: b""}
        visitor.say(b"hello")  # which waits, for tor to agree
        assert is_silent(tor)
        tor.sendall(OKAY + b"welcome")
        assert receive(tor, 5) == b"hello"
        assert visitor.hear(7) == b"welcome"


def test_clients_over_ipv6(tmp_path: Path, target: Target, cookie_file: Path) -> None:
    with managed_bridge(
        tmp_path / "state",
        target,
        TOR_PT_SERVER_BINDADDR="fte-[::]:0",
        TOR_PT_EXTENDED_SERVER_PORT=f"{LOOPBACK}:{target.port}",
        TOR_PT_AUTH_COOKIE_FILE=str(cookie_file),
    ) as bridge:
        for family, source, form in ((6, "::1", "[{}]:{}"), (4, LOOPBACK, "{}:{}")):
            with Visitor(bridge, source, family) as visitor, target.accept() as tor:
                commands = log_in(tor, cookie_in(cookie_file))
                host, port = visitor.socket.getsockname()[:2]
                assert commands[1] == form.format(host, port).encode()


def test_tor_does_not_want_this_client(bridge: Bridge, cookie_file: Path) -> None:
    with Visitor(bridge) as visitor, bridge.target.accept() as tor:
        log_in(tor, cookie_in(cookie_file))
        tor.sendall(DENY)
        assert_ends(tor)
        assert_ends(visitor.socket)
    assert_serves(bridge, cookie_file)


def test_somebody_else_answers_at_the_extended_orport(bridge: Bridge, cookie_file: Path) -> None:
    with Visitor(bridge) as visitor, bridge.target.accept() as stranger:
        with pytest.raises(ConnectionError):
            log_in(stranger, secrets.token_bytes(32))
        assert_ends(visitor.socket)
    assert_serves(bridge, cookie_file)


def test_a_new_cookie_is_read_for_the_next_client(bridge: Bridge, cookie_file: Path) -> None:
    assert_serves(bridge, cookie_file)
    cookie_file.write_bytes(COOKIE_HEADER + secrets.token_bytes(32))
    assert_serves(bridge, cookie_file)


@pytest.mark.parametrize("content", [None, b"", COOKIE_HEADER, b"?" * 64])
def test_without_a_cookie_tor_is_not_even_asked(
    bridge: Bridge, cookie_file: Path, content: bytes | None
) -> None:
    cookie = cookie_file.read_bytes()
    if content is None:
        cookie_file.unlink()
    else:
        cookie_file.write_bytes(content)
    with Visitor(bridge) as visitor:
        assert_ends(visitor.socket)
    assert bridge.target.is_untouched()
    cookie_file.write_bytes(cookie)
    assert_serves(bridge, cookie_file)


@pytest.mark.parametrize("noise", [b"", b"\x00", b"\x02\x00", b"HTTP/1.1 400 Bad\r\n\r\n" * 50])
def test_noise_at_the_extended_orport(bridge: Bridge, cookie_file: Path, noise: bytes) -> None:
    with Visitor(bridge) as visitor, bridge.target.accept() as stranger:
        stranger.sendall(noise)
        stranger.shutdown(socket.SHUT_WR)
        assert_ends(visitor.socket)
    assert_serves(bridge, cookie_file)


def test_a_restart_of_tor_costs_connections_only(tmp_path: Path) -> None:
    """Its ORPort goes away under a connection, is gone for a while, and comes back."""
    with ExitStack() as stack:
        with Target() as target:
            bridge = stack.enter_context(managed_bridge(tmp_path / "server", target))
            client = stack.enter_context(Managed(client_environment(tmp_path / "client")))
            port = client.port()
            application, service = tunnel(port, bridge)
            reset(service)
            with application:
                assert_ends(application)
        with Visitor(bridge) as visitor:
            assert is_reset(visitor.socket)
        message = "no connection to the target: connection refused"
        bridge.server.wait_for_line(f'LOG SEVERITY=warning MESSAGE="{message}"')
        bridge.target = stack.enter_context(Target(target.port))
        application, service = tunnel(port, bridge)
        with application, service:
            assert carries(application, service)


def test_several_bridges_on_one_machine(tmp_path: Path, target: Target) -> None:
    """Each has its own state directory, as each tor has; one's clients are not the other's."""
    with (
        managed_bridge(tmp_path / "one", target) as one,
        managed_bridge(tmp_path / "other", target) as other,
    ):
        assert one.arguments["cert"] != other.arguments["cert"]
        one.arguments = other.arguments
        with Visitor(one) as visitor:
            one.server.signal(signal.SIGTERM)
            assert one.server.wait() == 0
            assert is_reset(visitor.socket)
        assert target.is_untouched()


def test_strangers_get_the_fallback_site(tmp_path: Path, target: Target) -> None:
    with Target() as site:
        options = rf"fte:fallback=tcp\:{LOOPBACK}\:{site.port}"
        environment = server_environment(
            tmp_path, target.port, TOR_PT_SERVER_TRANSPORT_OPTIONS=options
        )
        with Managed(environment) as server, connect(server.port()) as visitor:
            request = b"GET / HTTP/1.1\r\nHost: bridge.example\r\n\r\n"
            visitor.sendall(request)
            with site.accept() as service:
                assert receive(service, len(request)) == request
                service.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
            assert receive_to_end(visitor).startswith(b"HTTP/1.1 200 OK")
        assert target.is_untouched()
