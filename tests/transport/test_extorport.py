"""The client of tor's Extended ORPort, against a tor written from ext-orport-spec."""

from __future__ import annotations

import hashlib
import hmac
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.address import HostnameAddress, IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from obfsfte.transport.extorport import (
    ExtORPort,
    ExtORPortEndpoint,
    ExtORPortError,
    format_user_address,
    read_cookie,
)

from .fakes import FakeTransport
from .splits import splits_of
from .test_preface import Application, OpenEndpoint

COOKIE = bytes(range(32))
NONCE = b"n" * 32
TORS_NONCE = b"t" * 32
COOKIE_FILE = b"! Extended ORPort Auth Cookie !\n" + COOKIE
OKAY = b"\x10\x00\x00\x00"
COMMANDS = b"\0\x01\0\x0f192.0.2.7:51234" + b"\0\x02\0\x03fte" + b"\0\0\0\0"


def keyed_hash(direction: bytes, nonce: bytes, cookie: bytes = COOKIE) -> bytes:
    text = b"ExtORPort authentication " + direction + b" hash" + nonce + TORS_NONCE
    return hmac.new(cookie, text, hashlib.sha256).digest()


def proof(nonce: bytes = NONCE, cookie: bytes = COOKIE) -> bytes:
    return keyed_hash(b"server-to-client", nonce, cookie) + TORS_NONCE


def preface(user_address: str | None = "192.0.2.7:51234") -> ExtORPort:
    return ExtORPort(COOKIE, NONCE, "fte", user_address)


def converse(machine: ExtORPort, *pieces: bytes) -> bytes:
    sent = machine.data_to_send()
    for piece in pieces:
        machine.receive(piece)
        sent += machine.data_to_send()
    return sent


def test_each_message_answers_the_one_before() -> None:
    machine = preface()
    assert converse(machine) == b""
    assert converse(machine, b"\x01\x00") == b"\x01" + NONCE
    assert converse(machine, proof()) == keyed_hash(b"client-to-server", NONCE)
    assert converse(machine, b"\x01") == COMMANDS
    assert not machine.done
    assert converse(machine, OKAY) == b""
    assert machine.done
    assert machine.leftover() == b""


def test_tor_is_told_no_address_that_is_not_known() -> None:
    machine = preface(None)
    sent = converse(machine, b"\x01\x00", proof(), b"\x01")
    assert sent.endswith(keyed_hash(b"client-to-server", NONCE) + b"\0\x02\0\x03fte\0\0\0\0")


def test_other_types_are_passed_over() -> None:
    assert converse(preface(), bytes([7, 1, 255, 0])) == b"\x01" + NONCE


def test_unknown_answers_are_ignored_and_bodies_skipped() -> None:
    machine = preface()
    converse(machine, b"\x01\x00", proof(), b"\x01")
    machine.receive(b"\x10\x02\x00\x03abc" + b"\xff\xff\xff\xff" + bytes(65535))
    assert not machine.done
    machine.receive(b"\x10\x00\x00\x02xyTLS")
    assert machine.done
    assert machine.leftover() == b"TLS"


@settings(max_examples=40, deadline=None)
@given(st.data())
def test_any_split_gives_the_same(data: st.DataObject) -> None:
    conversation = b"\x02\x01\x00" + proof() + b"\x01" + b"\x10\x02\0\x02xx" + OKAY + b"rest"
    machine = preface()
    sent = b""
    pieces = data.draw(splits_of(conversation))
    while pieces and not machine.done:
        sent += converse(machine, pieces.pop(0))
    assert sent == b"\x01" + NONCE + keyed_hash(b"client-to-server", NONCE) + COMMANDS
    assert machine.done
    assert machine.leftover() + b"".join(pieces) == b"rest"


@pytest.mark.parametrize(
    ("pieces", "reason"),
    [
        ([b"\x00"], "no SAFE_COOKIE"),
        ([b"\x02\x03\x00"], "no SAFE_COOKIE"),
        ([b"\x02\x00\x01"], "no SAFE_COOKIE"),
        ([b"\x01" * 256], "no SAFE_COOKIE"),
        ([b"\x01" * 300 + b"\0"], "no SAFE_COOKIE"),
        ([b"HTTP/1.1 400 Bad Request\r\n\r\n" + b"x" * 300], "no SAFE_COOKIE"),
        ([b"\x01\x00", proof(cookie=bytes(32))], "does not know the cookie"),
        ([b"\x01\x00", proof(nonce=bytes(32))], "does not know the cookie"),
        ([b"\x01\x00", keyed_hash(b"client-to-server", NONCE) + TORS_NONCE], "not know the cookie"),
        ([b"\x01\x00", proof(), b"\x00"], "refused our login"),
        ([b"\x01\x00", proof(), b"\x02"], "refused our login"),
        ([b"\x01\x00", proof(), b"\x01", b"\x10\x01\x00\x00"], "does not want this client"),
        ([b"\x01\x00", proof(), b""], "closed the connection"),
    ],
)
def test_whatever_goes_wrong_is_said(pieces: list[bytes], reason: str) -> None:
    with pytest.raises(ExtORPortError, match=reason):
        converse(preface(), *pieces)


@settings(max_examples=100, deadline=None)
@given(st.lists(st.binary(min_size=1), max_size=5))
def test_no_bytes_get_in_without_the_cookie(pieces: list[bytes]) -> None:
    machine = preface()
    try:
        sent = converse(machine, *pieces)
    except ExtORPortError:
        return
    assert not machine.done
    assert sent in (b"", b"\x01" + NONCE)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (IPv4Address("TCP", "192.0.2.7", 51234), "192.0.2.7:51234"),
        (IPv6Address("TCP", "2001:db8:0::7", 51234), "[2001:db8::7]:51234"),
        (IPv6Address("TCP", "fe80::1%eth0", 1), "[fe80::1]:1"),
        (IPv6Address("TCP", "::ffff:192.0.2.7", 2), "192.0.2.7:2"),
        (UNIXAddress(b"/run/socket"), None),
        (HostnameAddress(b"client.example", 1), None),
    ],
)
def test_user_addresses(address: IAddress, text: str | None) -> None:
    assert format_user_address(address) == text


def test_the_cookie_file(tmp_path: Path) -> None:
    path = tmp_path / "cookie"
    path.write_bytes(COOKIE_FILE)
    assert read_cookie(str(path)) == COOKIE


@pytest.mark.parametrize(
    "content", [b"", COOKIE, COOKIE_FILE[:-1], COOKIE_FILE + b"\n", b"#" + COOKIE_FILE[1:]]
)
def test_other_files_are_no_cookies(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "cookie"
    path.write_bytes(content)
    with pytest.raises(ExtORPortError, match="cookie is not a cookie"):
        read_cookie(str(path))


def test_a_missing_cookie_says_which(tmp_path: Path) -> None:
    with pytest.raises(ExtORPortError, match="gone: No such file"):
        read_cookie(str(tmp_path / "gone"))


class Tor:
    """A tor behind an endpoint, and the connection to it."""

    def __init__(self, path: Path) -> None:
        self.clock = Clock()
        self.open = OpenEndpoint()
        self.application = Application()
        self.endpoint = ExtORPortEndpoint(
            self.clock, self.open, str(path), "fte", IPv4Address("TCP", "192.0.2.7", 51234)
        )

    def connect(self) -> None:
        self.connecting = self.endpoint.connect(self.application.factory())

    def exchange(self, cookie: bytes = COOKIE) -> FakeTransport:
        """Talk as a tor with this cookie does, up to its OKAY."""
        transport, receive = self.open.transport, self.open.receive
        receive(b"\x01\x00")
        chosen = transport.value()
        assert chosen[:1] == b"\x01"
        receive(proof(chosen[1:], cookie) + b"\x01")
        return transport


@pytest.fixture
def cookie_path(tmp_path: Path) -> Path:
    path = tmp_path / "cookie"
    path.write_bytes(COOKIE_FILE)
    return path


def test_the_application_gets_the_connection_after_okay(cookie_path: Path) -> None:
    tor = Tor(cookie_path)
    tor.connect()
    transport = tor.exchange()
    assert tor.application.events == []
    assert transport.value().endswith(COMMANDS)
    tor.open.receive(OKAY + b"hello")
    assert tor.connecting.result is tor.application
    assert tor.application.events == ["connected", b"hello"]
    assert tor.application.transport is transport


def test_nonces_are_fresh(cookie_path: Path) -> None:
    tor = Tor(cookie_path)
    nonces = set()
    for _ in range(2):
        tor.connect()
        tor.open.receive(b"\x01\x00")
        nonces.add(tor.open.transport.value())
    assert len(nonces) == 2


def failure_of(tor: Tor, kind: type[BaseException]) -> str:
    failures: list[BaseException] = []
    tor.connecting.addErrback(lambda failure: failures.append(failure.value))
    assert isinstance(failures[0], kind)
    return str(failures[0])


def test_the_cookie_is_read_for_each_connection(cookie_path: Path) -> None:
    tor = Tor(cookie_path)
    cookie_path.unlink()
    tor.connect()
    assert "No such file" in failure_of(tor, ExtORPortError)
    cookie_path.write_bytes(COOKIE_FILE[:-32] + b"c" * 32)
    tor.connect()
    tor.exchange(b"c" * 32)
    tor.open.receive(OKAY)
    assert tor.connecting.result is tor.application


@pytest.mark.parametrize(
    "cause", [lambda tor: tor.exchange(bytes(32)), lambda tor: tor.open.lose()]
)
def test_a_failure_gives_up_the_connection(
    cookie_path: Path, cause: Callable[[Tor], object]
) -> None:
    tor = Tor(cookie_path)
    tor.connect()
    cause(tor)
    failure_of(tor, ExtORPortError)
    assert tor.open.transport.aborted
    assert tor.application.events == []


def test_the_clients_address_is_nowhere_but_on_the_wire(cookie_path: Path) -> None:
    tor = Tor(cookie_path)
    with capturedLogs() as events:
        tor.connect()
        tor.exchange()
        tor.open.receive(b"\x10\x01\x00\x00")
    message = failure_of(tor, ExtORPortError)
    assert "192.0.2.7" not in f"{message}{events}{tor.endpoint!r}{preface()!r}"
