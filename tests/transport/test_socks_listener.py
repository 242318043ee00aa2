"""The SOCKS phase on a transport: what is read, answered, paused and closed when."""

from __future__ import annotations

import errno
import socket
from collections.abc import Callable

import pytest
from twisted.internet import defer, error
from twisted.internet.task import Clock
from twisted.logger import capturedLogs
from twisted.python.failure import Failure

from obfsfte.errors import AuthenticationFailed, ConfigError
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.socks import Reply, SocksRequest
from obfsfte.transport.socks_listener import (
    REQUEST_SECONDS,
    SocksPhase,
    SocksServerProtocol,
    reply_for,
)

from .fakes import FakeTransport, connected, is_at_rest, lose
from .test_socks import LOGIN, NO_LOGIN, login, replied, to_ipv4

REQUEST = NO_LOGIN + to_ipv4("192.0.2.1", 443)


class Client:
    """One connection of a SOCKS client."""

    def __init__(
        self, on_request: Callable[[SocksRequest, SocksPhase], None] | None = None
    ) -> None:
        self.clock = Clock()
        self.deadlines = Deadlines(self.clock)
        self.requests: list[tuple[SocksRequest, SocksPhase]] = []
        self.side = SocksServerProtocol(on_request or self._on_request, self.deadlines)
        self.transport: FakeTransport = connected(self.side)

    def _on_request(self, request: SocksRequest, phase: SocksPhase) -> None:
        self.requests.append((request, phase))

    def send(self, data: bytes) -> bytes:
        """Send `data`; return what the server answers to it."""
        self.transport.clear()
        self.side.dataReceived(data)
        return self.transport.value()

    def phase(self) -> SocksPhase:
        [(_, phase)] = self.requests
        return phase


def test_success_is_told_when_the_bridge_is_connected() -> None:
    client = Client()
    assert client.send(LOGIN) == b"\x05\x02"
    assert client.send(login(b"k=v")) == b"\x01\x00"
    assert client.send(to_ipv4("192.0.2.1", 443)) == b""
    [(request, phase)] = client.requests
    assert request == SocksRequest("192.0.2.1", 443, {"k": "v"})
    assert phase.side is client.side
    assert phase.succeed() == b""
    assert client.transport.value() == replied(0)
    assert not client.transport.disconnecting


def test_bytes_after_the_request_are_handed_on() -> None:
    client = Client()
    client.send(REQUEST + b"hello")
    assert client.phase().succeed() == b"hello"


def test_failure_is_told_and_closes() -> None:
    client = Client()
    client.send(REQUEST)
    client.transport.clear()
    client.phase().fail(Failure(error.ConnectionRefusedError()))
    assert client.transport.value() == replied(5)
    assert client.transport.disconnecting
    assert not client.transport.aborted


def test_failure_after_the_client_left_is_told_to_nobody() -> None:
    client = Client()
    client.send(REQUEST)
    client.transport.clear()
    lose(client.side)
    client.phase().fail(Failure(error.ConnectionRefusedError()))
    assert client.transport.value() == b""


def test_a_bridge_line_that_cannot_be_used_is_a_failure_with_one_line() -> None:
    def refuse(request: SocksRequest, phase: SocksPhase) -> None:
        raise ConfigError("unknown bridge argument k=")

    client = Client(refuse)
    with capturedLogs() as events:
        assert client.send(REQUEST) == b"\x05\x00" + replied(1)
    assert client.transport.disconnecting
    assert [event["reason"] for event in events] == ["unknown bridge argument k="]


@pytest.mark.parametrize(
    ("data", "answer"),
    [
        (b"\x05\x01\x01", b"\x05\xff"),
        (LOGIN + login(b"hello"), b"\x05\x02\x01\x01"),
        (NO_LOGIN + b"\x05\x02\x00\x01" + bytes(6), b"\x05\x00" + replied(7)),
        (b"GET / HTTP/1.1\r\n\r\n", b""),
    ],
)
def test_a_refusal_closes_with_one_line(data: bytes, answer: bytes) -> None:
    client = Client()
    with capturedLogs() as events:
        assert client.send(data) == answer
    assert client.transport.disconnecting
    assert len(events) == 1
    assert client.requests == []
    assert client.send(REQUEST) == b""
    assert is_at_rest(client.clock)


def test_a_request_must_come_in_time() -> None:
    client = Client()
    client.send(LOGIN)
    client.clock.pump([1.0] * int(REQUEST_SECONDS - 1))
    assert not client.transport.aborted
    client.clock.pump([1.0] * 2)
    assert client.transport.aborted


def test_time_does_not_count_after_the_request() -> None:
    client = Client()
    client.send(REQUEST)
    client.clock.pump([1.0] * int(3 * REQUEST_SECONDS))
    assert not client.transport.aborted
    assert is_at_rest(client.clock)


def test_a_client_that_leaves_early_leaves_nothing() -> None:
    client = Client()
    client.send(LOGIN)
    client.side.readConnectionLost()
    assert client.transport.disconnecting
    lose(client.side, clean=True)
    assert is_at_rest(client.clock)


FAILURES = [
    (error.ConnectionRefusedError(errno.ECONNREFUSED), Reply.CONNECTION_REFUSED),
    (error.ConnectionRefusedError(), Reply.CONNECTION_REFUSED),
    (error.NoRouteError(errno.ENETUNREACH), Reply.NETWORK_UNREACHABLE),
    (error.NoRouteError(), Reply.NETWORK_UNREACHABLE),
    (error.getConnectError((errno.EHOSTUNREACH, "no route")), Reply.HOST_UNREACHABLE),
    (error.getConnectError((errno.EACCES, "denied")), Reply.NOT_ALLOWED),
    (error.getConnectError((errno.EPERM, "denied")), Reply.NOT_ALLOWED),
    (error.getConnectError((errno.EAFNOSUPPORT, "IPv6?")), Reply.ADDRESS_TYPE_NOT_SUPPORTED),
    (error.ConnectBindError(errno.EADDRNOTAVAIL), Reply.ADDRESS_TYPE_NOT_SUPPORTED),
    (error.getConnectError((errno.ECONNRESET, "reset")), Reply.CONNECTION_REFUSED),
    (error.getConnectError(socket.gaierror(socket.EAI_NONAME, "?")), Reply.HOST_UNREACHABLE),
    (error.DNSLookupError("no results"), Reply.HOST_UNREACHABLE),
    (error.UnknownHostError(), Reply.HOST_UNREACHABLE),
    (error.TCPTimedOutError(errno.ETIMEDOUT), Reply.TTL_EXPIRED),
    (error.TimeoutError(), Reply.TTL_EXPIRED),
    (defer.TimeoutError(), Reply.TTL_EXPIRED),
    (error.UnsupportedAddressFamily(), Reply.ADDRESS_TYPE_NOT_SUPPORTED),
    (OSError(errno.ENETUNREACH, "unreachable"), Reply.NETWORK_UNREACHABLE),
    (error.ConnectError(), Reply.GENERAL_FAILURE),
    (error.ConnectionLost(), Reply.GENERAL_FAILURE),
    (AuthenticationFailed("no"), Reply.GENERAL_FAILURE),
    (ConfigError("no"), Reply.GENERAL_FAILURE),
    (ZeroDivisionError(), Reply.GENERAL_FAILURE),
]


@pytest.mark.parametrize(("reason", "reply"), FAILURES, ids=lambda value: repr(value)[:60])
def test_the_reply_for_each_failure(reason: Exception, reply: Reply) -> None:
    assert reply_for(Failure(reason)) == reply
