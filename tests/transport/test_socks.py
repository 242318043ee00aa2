"""The SOCKS5 server's state machine, against messages built from the RFCs' own fields."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.transport.socks import (
    Reply,
    SocksError,
    SocksRequest,
    SocksServer,
    pack_address,
    parse_address,
)

from .splits import bytewise, splits_of

NO_LOGIN = b"\x05\x01\x00"
LOGIN = b"\x05\x02\x00\x02"


def login(user: bytes, password: bytes = b"\0") -> bytes:
    return b"\x01" + bytes([len(user)]) + user + bytes([len(password)]) + password


def to_ipv4(host: str, port: int) -> bytes:
    return b"\x05\x01\x00\x01" + ipaddress.IPv4Address(host).packed + port.to_bytes(2, "big")


def to_name(name: bytes, port: int) -> bytes:
    return b"\x05\x01\x00\x03" + bytes([len(name)]) + name + port.to_bytes(2, "big")


def replied(code: int) -> bytes:
    return bytes([5, code, 0, 1, 0, 0, 0, 0, 0, 0])


def converse(pieces: list[bytes]) -> tuple[bytes, SocksRequest | None, Reply | None]:
    """Feed a server: what it sent, the request, and the reply of the error it raised."""
    server = SocksServer()
    sent, request, reply = b"", None, None
    for piece in pieces:
        try:
            request = server.receive(piece) or request
        except SocksError as error:
            assert reply is None
            reply = error.reply
        sent += server.data_to_send()
    return sent, request, reply


REQUESTS = {
    "IPv4 without login": (
        NO_LOGIN + to_ipv4("192.0.2.1", 443),
        b"\x05\x00",
        SocksRequest("192.0.2.1", 443, {}),
    ),
    "a login is preferred": (
        LOGIN + login(b"cert=AbC=") + to_ipv4("192.0.2.1", 65535),
        b"\x05\x02\x01\x00",
        SocksRequest("192.0.2.1", 65535, {"cert": "AbC="}),
    ),
    "IPv6": (
        NO_LOGIN + b"\x05\x01\x00\x04" + ipaddress.IPv6Address("2001:db8::1").packed + b"\0\x50",
        b"\x05\x00",
        SocksRequest("2001:db8::1", 80, {}),
    ),
    "host name": (
        NO_LOGIN + to_name(b"bridge.example", 1),
        b"\x05\x00",
        SocksRequest("bridge.example", 1, {}),
    ),
    "the longest host name": (
        NO_LOGIN + to_name(b"b" * 255, 0),
        b"\x05\x00",
        SocksRequest("b" * 255, 0, {}),
    ),
    "escapes": (
        LOGIN + login(rb"path=/a\;b\\;host=h\=h") + to_ipv4("192.0.2.1", 1),
        b"\x05\x02\x01\x00",
        SocksRequest("192.0.2.1", 1, {"path": "/a;b\\", "host": "h=h"}),
    ),
    "arguments in both fields, cut inside a character": (
        LOGIN
        + login("ä=".encode() + b"x" * 251 + "é".encode()[:1], "é".encode()[1:] + b"y" * 254)
        + to_ipv4("192.0.2.1", 1),
        b"\x05\x02\x01\x00",
        SocksRequest("192.0.2.1", 1, {"ä": "x" * 251 + "é" + "y" * 254}),
    ),
    "a NUL that is not alone is no mark": (
        LOGIN + login(b"k=v", b"w") + to_ipv4("192.0.2.1", 1),
        b"\x05\x02\x01\x00",
        SocksRequest("192.0.2.1", 1, {"k": "vw"}),
    ),
    "every method is offered": (
        b"\x05\xff" + bytes(range(255)) + login(b"k=v") + to_ipv4("192.0.2.1", 1),
        b"\x05\x02\x01\x00",
        SocksRequest("192.0.2.1", 1, {"k": "v"}),
    ),
}

REFUSALS = {
    "SOCKS4": (b"\x04\x01\x00\x50\xc0\x00\x02\x01\0", b""),
    "HTTP": (b"GET / HTTP/1.1\r\n\r\n", b""),
    "no methods": (b"\x05\x00", b"\x05\xff"),
    "only GSSAPI": (b"\x05\x01\x01", b"\x05\xff"),
    "login of another version": (LOGIN + b"\x05" + login(b"k=v")[1:], b"\x05\x02\x01\x01"),
    "empty user name": (LOGIN + login(b"", b"k=v"), b"\x05\x02\x01\x01"),
    "empty password": (LOGIN + login(b"k=v", b""), b"\x05\x02\x01\x01"),
    "not arguments": (LOGIN + login(b"hello"), b"\x05\x02\x01\x01"),
    "an argument without a key": (LOGIN + login(b"=v"), b"\x05\x02\x01\x01"),
    "an escape of nothing": (LOGIN + login(b"k=v\\"), b"\x05\x02\x01\x01"),
    "not UTF-8": (LOGIN + login(b"k=\xff"), b"\x05\x02\x01\x01"),
    "request of another version": (NO_LOGIN + b"\x04\x01\x00\x01" + bytes(6), replied(1)),
    "bind": (NO_LOGIN + b"\x05\x02\x00\x01" + bytes(6), replied(7)),
    "UDP associate": (NO_LOGIN + b"\x05\x03\x00\x01" + bytes(6), replied(7)),
    "tor's RESOLVE": (NO_LOGIN + b"\x05\xf0\x00\x03\x01a\0\0", replied(7)),
    "reserved byte": (NO_LOGIN + b"\x05\x01\x01\x01" + bytes(6), replied(1)),
    "unknown address type": (NO_LOGIN + b"\x05\x01\x00\x02" + bytes(6), replied(8)),
    "empty name": (NO_LOGIN + to_name(b"", 1), replied(1)),
    "name with NUL": (NO_LOGIN + to_name(b"a\0b", 1), replied(1)),
    "name with a blank": (NO_LOGIN + to_name(b"a b", 1), replied(1)),
    "name with a line's end": (NO_LOGIN + to_name(b"a\r\nb", 1), replied(1)),
    "name beyond ASCII": (NO_LOGIN + to_name(b"\xe4.example", 1), replied(1)),
}


@pytest.mark.parametrize(("data", "sent", "request_"), REQUESTS.values(), ids=REQUESTS)
def test_requests(data: bytes, sent: bytes, request_: SocksRequest) -> None:
    assert converse([data]) == (sent, request_, None)
    assert converse(bytewise(data)) == (sent, request_, None)


@pytest.mark.parametrize(("data", "sent"), REFUSALS.values(), ids=REFUSALS)
def test_refusals(data: bytes, sent: bytes) -> None:
    whole, request, reply = converse([data])
    assert request is None
    assert reply is not None
    if data.startswith(NO_LOGIN):
        assert whole == b"\x05\x00" + sent
        assert reply == sent[1]
    else:
        assert whole == sent
    assert converse(bytewise(data)) == (whole, None, reply)


@settings(max_examples=60, deadline=None)
@given(st.data())
def test_any_split_gives_the_same(data: st.DataObject) -> None:
    conversation = data.draw(
        st.sampled_from([case[0] for case in (*REQUESTS.values(), *REFUSALS.values())])
    )
    assert converse(data.draw(splits_of(conversation))) == converse([conversation])


@settings(max_examples=100, deadline=None)
@given(st.sampled_from([b"", NO_LOGIN, LOGIN]), st.lists(st.binary(max_size=300), max_size=6))
def test_whatever_is_sent_ends_in_a_request_an_error_or_patience(
    start: bytes, pieces: list[bytes]
) -> None:
    sent, request, reply = converse([start, *pieces])
    assert request is None or reply is None
    assert len(sent) <= 14


@pytest.mark.parametrize("whole", [True, False])
def test_what_follows_the_request_is_kept(whole: bool) -> None:
    data = NO_LOGIN + to_ipv4("192.0.2.1", 443)
    server = SocksServer()
    if whole:
        assert server.receive(data + b"hello") is not None
    else:
        assert server.receive(data + b"he") is not None
        assert server.receive(b"ll") is None
        assert server.receive(b"o") is None
    server.data_to_send()
    assert server.succeed() == b"hello"
    assert server.data_to_send() == replied(0)


@pytest.mark.parametrize("reply", [reply for reply in Reply if reply != Reply.SUCCEEDED])
def test_every_failure_has_its_code(reply: Reply) -> None:
    server = SocksServer()
    server.receive(NO_LOGIN + to_ipv4("192.0.2.1", 443))
    server.data_to_send()
    server.fail(reply)
    assert server.data_to_send() == replied(reply)


def test_only_a_request_is_answered_and_only_once() -> None:
    server = SocksServer()
    with pytest.raises(RuntimeError):
        server.succeed()
    server.receive(NO_LOGIN + to_ipv4("192.0.2.1", 443))
    server.fail(Reply.HOST_UNREACHABLE)
    with pytest.raises(RuntimeError):
        server.succeed()


def test_arguments_are_not_in_the_repr() -> None:
    assert "secret" not in repr(SocksRequest("192.0.2.1", 443, {"key": "secret"}))


@pytest.mark.parametrize("arguments", [b"secret", b"k=v\\", b"k=\xffsecret", b"k=secret;k=secret"])
def test_errors_do_not_repeat_arguments(arguments: bytes) -> None:
    with pytest.raises(SocksError) as caught:
        SocksServer().receive(LOGIN + login(arguments))
    assert "secret" not in str(caught.value)


@settings(max_examples=60, deadline=None)
@given(st.ip_addresses(), st.integers(0, 65535), st.binary(max_size=5))
def test_addresses_there_and_back(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int, rest: bytes
) -> None:
    packed = pack_address(str(ip), port)
    assert packed == bytes([1 if ip.version == 4 else 4]) + ip.packed + port.to_bytes(2, "big")
    assert parse_address(packed + rest) == (str(ip), port, len(packed))
    assert all(parse_address(packed[:length]) is None for length in range(len(packed)))


def test_names_there_and_back() -> None:
    packed = pack_address("bridge.example", 443)
    assert packed == b"\x03\x0ebridge.example\x01\xbb"
    assert parse_address(packed + b"rest") == ("bridge.example", 443, len(packed))


@pytest.mark.parametrize("name", ["", "b" * 256, "a\0b", "a b", "ä.example", "a\n"])
def test_names_that_cannot_be_sent(name: str) -> None:
    with pytest.raises(ValueError, match="not a host name"):
        pack_address(name, 443)
