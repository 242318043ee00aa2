"""Asking proxies for connections: each byte as the protocols' own texts have it."""

from __future__ import annotations

import base64
import errno
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    NoRouteError,
    TCPTimedOutError,
)
from twisted.python.failure import Failure

from obfsfte.transport.preface import Preface
from obfsfte.transport.proxy_client import (
    MAX_HTTP_HEAD,
    HttpConnect,
    Socks4aConnect,
    Socks5Connect,
)
from obfsfte.transport.socks import Reply
from obfsfte.transport.socks_listener import reply_for

from .splits import bytewise, splits_of

Start = Callable[[str, int, tuple[bytes, bytes] | None], Preface]

LOGIN = (b"user", b"secret")
TO_IPV4 = b"\x05\x01\x00\x01\xc0\x00\x02\x01\x01\xbb"
OK = b"HTTP/1.1 200 Connection established\r\n\r\n"


def exchange(machine: Preface, pieces: list[bytes]) -> tuple[bytes, bytes | Exception | None]:
    """Feed a machine: what it sent, and its leftover or failure or, still waiting, None."""
    sent = machine.data_to_send()
    for index, piece in enumerate(pieces):
        try:
            machine.receive(piece)
        except ConnectError as error:
            return sent, error
        sent += machine.data_to_send()
        if machine.done:
            return sent, machine.leftover() + b"".join(pieces[index + 1 :])
    return sent, None


def failure(
    kind: Start, data: bytes, credentials: tuple[bytes, bytes] | None = LOGIN
) -> ConnectError:
    """How asking for 192.0.2.1:443 fails on `data`, in one piece or in many."""
    _, error = exchange(kind("192.0.2.1", 443, credentials), [data])
    _, same = exchange(kind("192.0.2.1", 443, credentials), bytewise(data))
    assert isinstance(error, ConnectError)
    assert (type(same), str(same)) == (type(error), str(error))
    assert "secret" not in str(error)
    return error


CONVERSATIONS = {
    "SOCKS5": (
        lambda: Socks5Connect("192.0.2.1", 443, None),
        b"\x05\x00" + b"\x05\x00\x00\x01\x7f\x00\x00\x01\x12\x34",
        b"\x05\x01\x00" + TO_IPV4,
    ),
    "SOCKS5 with a login": (
        lambda: Socks5Connect("192.0.2.1", 443, LOGIN),
        b"\x05\x02" + b"\x01\x00" + b"\x05\x00\x00\x04" + bytes(18),
        b"\x05\x02\x00\x02" + b"\x01\x04user\x06secret" + TO_IPV4,
    ),
    "SOCKS5 with a login that nobody wants": (
        lambda: Socks5Connect("192.0.2.1", 443, LOGIN),
        b"\x05\x00" + b"\x05\x00\x00\x03\x05proxy\x00\x01",
        b"\x05\x02\x00\x02" + TO_IPV4,
    ),
    "SOCKS5 to a name": (
        lambda: Socks5Connect("bridge.example", 443, None),
        b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6),
        b"\x05\x01\x00" + b"\x05\x01\x00\x03\x0ebridge.example\x01\xbb",
    ),
    "SOCKS5 to IPv6": (
        lambda: Socks5Connect("2001:db8::1", 443, None),
        b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6),
        b"\x05\x01\x00\x05\x01\x00\x04\x20\x01\x0d\xb8" + bytes(11) + b"\x01\x01\xbb",
    ),
    "SOCKS4a": (
        lambda: Socks4aConnect("192.0.2.1", 443, None),
        b"\x00\x5a" + bytes(6),
        b"\x04\x01\x01\xbb\xc0\x00\x02\x01\x00",
    ),
    "SOCKS4a with a user": (
        lambda: Socks4aConnect("192.0.2.1", 443, (b"user", b"")),
        b"\x00\x5a" + b"any on",
        b"\x04\x01\x01\xbb\xc0\x00\x02\x01user\x00",
    ),
    "SOCKS4a to a name": (
        lambda: Socks4aConnect("bridge.example", 443, (b"user", b"")),
        b"\x00\x5a" + bytes(6),
        b"\x04\x01\x01\xbb\x00\x00\x00\x01user\x00bridge.example\x00",
    ),
    "SOCKS4a to IPv6": (
        lambda: Socks4aConnect("2001:db8::1", 443, None),
        b"\x00\x5a" + bytes(6),
        b"\x04\x01\x01\xbb\x00\x00\x00\x01\x002001:db8::1\x00",
    ),
    "SOCKS4a to an address that would announce a name": (
        lambda: Socks4aConnect("0.0.0.7", 443, None),
        b"\x00\x5a" + bytes(6),
        b"\x04\x01\x01\xbb\x00\x00\x00\x01\x000.0.0.7\x00",
    ),
    "HTTP": (
        lambda: HttpConnect("192.0.2.1", 443, None),
        OK,
        b"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n",
    ),
    "HTTP with a login": (
        lambda: HttpConnect("bridge.example", 443, LOGIN),
        b"HTTP/1.0 200 OK\r\nProxy-Agent: x\r\nContent-Length: 7\r\n\r\n",
        b"CONNECT bridge.example:443 HTTP/1.1\r\nHost: bridge.example:443\r\n"
        b"Proxy-Authorization: Basic " + base64.b64encode(b"user:secret") + b"\r\n\r\n",
    ),
    "HTTP to IPv6": (
        lambda: HttpConnect("2001:db8::1", 443, None),
        b"HTTP/1.1 100 \r\n\r\nHTTP/1.1 204\r\nTransfer-Encoding: chunked\r\n\r\n",
        b"CONNECT [2001:db8::1]:443 HTTP/1.1\r\nHost: [2001:db8::1]:443\r\n\r\n",
    ),
    "HTTP with bare line feeds": (
        lambda: HttpConnect("192.0.2.1", 443, None),
        b"HTTP/1.1 200 OK\nVia: x\n\n",
        b"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n",
    ),
    "HTTP with the longest head": (
        lambda: HttpConnect("192.0.2.1", 443, None),
        OK[:-2] + b"x: " + b"y" * (MAX_HTTP_HEAD - len(OK) - 5) + b"\r\n\r\n",
        b"CONNECT 192.0.2.1:443 HTTP/1.1\r\nHost: 192.0.2.1:443\r\n\r\n",
    ),
}


@pytest.mark.parametrize("name", CONVERSATIONS)
def test_conversations(name: str) -> None:
    start, answers, sent = CONVERSATIONS[name]
    assert exchange(start(), [answers + b"hello"]) == (sent, b"hello")
    assert exchange(start(), [answers]) == (sent, b"")
    assert exchange(start(), [answers[:-1]])[1] is None


@settings(max_examples=80, deadline=None)
@given(st.data())
def test_any_split_gives_the_same(data: st.DataObject) -> None:
    start, answers, sent = CONVERSATIONS[data.draw(st.sampled_from(list(CONVERSATIONS)))]
    pieces = data.draw(splits_of(answers + b"hello"))
    assert exchange(start(), pieces) == (sent, b"hello")


def test_each_message_waits_for_its_answer() -> None:
    machine = Socks5Connect("192.0.2.1", 443, LOGIN)
    assert machine.data_to_send() == b"\x05\x02\x00\x02"
    machine.receive(b"\x05\x02")
    assert machine.data_to_send() == b"\x01\x04user\x06secret"
    machine.receive(b"\x01\x00")
    assert machine.data_to_send() == TO_IPV4


@pytest.mark.parametrize(
    ("code", "kind", "number", "reply"),
    [
        (1, ConnectError, None, 1),
        (2, ConnectError, errno.EACCES, 2),
        (3, NoRouteError, errno.ENETUNREACH, 3),
        (4, ConnectError, errno.EHOSTUNREACH, 4),
        (5, ConnectionRefusedError, errno.ECONNREFUSED, 5),
        (6, TCPTimedOutError, errno.ETIMEDOUT, 6),
        (7, ConnectError, None, 1),
        (8, ConnectError, errno.EAFNOSUPPORT, 8),
        (9, ConnectError, None, 1),
        (255, ConnectError, None, 1),
    ],
)
@pytest.mark.parametrize("rest", [b"", b"\x00\x01" + bytes(6)])
def test_socks5_failures_are_those_of_connecting(
    code: int, kind: type[ConnectError], number: int | None, reply: int, rest: bytes
) -> None:
    data = b"\x05\x00\x05" + bytes([code]) + rest
    error = failure(Socks5Connect, data)
    assert type(error) is kind
    assert error.osError == number
    assert reply_for(Failure(error)) == Reply(reply)


@pytest.mark.parametrize(
    ("data", "reason", "reply"),
    [
        (b"\x05\xff", "another kind of login", Reply.NOT_ALLOWED),
        (b"\x05\x01", "another kind of login", Reply.NOT_ALLOWED),
        (b"\x05\x02\x01\x01", "refused our login", Reply.NOT_ALLOWED),
        (b"\x05\x02\x05\x00", "refused our login", Reply.NOT_ALLOWED),
        (b"\x04\x00", "does not speak SOCKS5", Reply.GENERAL_FAILURE),
        (b"HTTP/1.1 400 Bad Request\r\n", "does not speak SOCKS5", Reply.GENERAL_FAILURE),
        (b"\x05\x00\x04\x00", "does not speak SOCKS5", Reply.GENERAL_FAILURE),
        (b"\x05\x00\x05\x00\x00\x07", "address type 7", Reply.GENERAL_FAILURE),
    ],
)
def test_other_socks5_failures(data: bytes, reason: str, reply: Reply) -> None:
    error = failure(Socks5Connect, data)
    assert reason in str(error)
    assert reply_for(Failure(error)) == reply


def test_a_login_that_we_do_not_have_cannot_be_asked_for() -> None:
    error = failure(Socks5Connect, b"\x05\x02", None)
    assert "another kind of login" in str(error)


@pytest.mark.parametrize(
    ("data", "reply"),
    [
        (b"\x00\x5b" + bytes(6), Reply.GENERAL_FAILURE),
        (b"\x00\x5c" + bytes(6), Reply.NOT_ALLOWED),
        (b"\x00\x5d" + bytes(6), Reply.NOT_ALLOWED),
        (b"\x04\x5a" + bytes(6), Reply.GENERAL_FAILURE),
        (b"HTTP/1.1 400", Reply.GENERAL_FAILURE),
    ],
)
def test_socks4_failures(data: bytes, reply: Reply) -> None:
    error = failure(Socks4aConnect, data)
    assert reply_for(Failure(error)) == reply


@pytest.mark.parametrize(
    ("status", "reply"),
    [
        (300, Reply.GENERAL_FAILURE),
        (400, Reply.GENERAL_FAILURE),
        (403, Reply.NOT_ALLOWED),
        (405, Reply.NOT_ALLOWED),
        (407, Reply.NOT_ALLOWED),
        (500, Reply.GENERAL_FAILURE),
        (502, Reply.HOST_UNREACHABLE),
        (503, Reply.HOST_UNREACHABLE),
        (504, Reply.TTL_EXPIRED),
    ],
)
def test_http_failures(status: int, reply: Reply) -> None:
    data = b"HTTP/1.1 %d no\r\nContent-Length: 4\r\n\r\nsome" % status
    error = failure(HttpConnect, data)
    assert str(status) in str(error)
    assert reply_for(Failure(error)) == reply


@pytest.mark.parametrize(
    "data",
    [
        b"ICY 200 OK\r\n\r\n",
        b"\x05\x00\r\n\r\n",
        b"HTTP/1.1 101 Switching Protocols\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon\r\n\r\n",
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
)
def test_answers_that_are_not_http(data: bytes) -> None:
    _, error = exchange(HttpConnect("192.0.2.1", 443, None), [data])
    assert "not HTTP" in str(error)


@pytest.mark.parametrize("size", [MAX_HTTP_HEAD + 1, 4 * MAX_HTTP_HEAD])
@pytest.mark.parametrize("piece", [997, 1 << 20])
def test_a_longer_head_is_refused_however_it_arrives(size: int, piece: int) -> None:
    data = OK[:-2] + b"x: " + b"y" * (size - len(OK) - 5) + b"\r\n\r\nhello"
    pieces = [data[start : start + piece] for start in range(0, len(data), piece)]
    _, error = exchange(HttpConnect("192.0.2.1", 443, None), pieces)
    assert isinstance(error, ConnectError)


def test_an_endless_answer_is_refused() -> None:
    machine = HttpConnect("192.0.2.1", 443, None)
    with pytest.raises(ConnectError):
        for _ in range(MAX_HTTP_HEAD):
            machine.receive(b"HTTP/1.1 100 Continue\r\n\r\n")


@pytest.mark.parametrize("kind", [Socks5Connect, Socks4aConnect, HttpConnect])
def test_hanging_up_is_a_failure_to_connect(kind: Start) -> None:
    _, error = exchange(kind("192.0.2.1", 443, None), [b""])
    assert "closed the connection" in str(error)


@pytest.mark.parametrize("kind", [Socks5Connect, Socks4aConnect, HttpConnect])
@pytest.mark.parametrize("host", ["", "a\0b", "a\r\nb: c", "a b", "ä.example", "b" * 256])
def test_names_that_cannot_be_sent(kind: Start, host: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        kind(host, 443, None)


@settings(max_examples=100, deadline=None)
@given(
    st.sampled_from([Socks5Connect, Socks4aConnect, HttpConnect]),
    st.lists(st.binary(min_size=1), max_size=5),
)
def test_whatever_a_proxy_says_nothing_else_is_raised(kind: Start, pieces: list[bytes]) -> None:
    exchange(kind("192.0.2.1", 443, LOGIN), pieces)
