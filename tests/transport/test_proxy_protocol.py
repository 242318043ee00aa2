"""Headers of the PROXY protocol: HAProxy's, Twisted's own reader's, and a stranger's."""

from __future__ import annotations

import contextlib
from ipaddress import ip_address

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import Clock
from twisted.internet.testing import StringTransport
from twisted.logger import capturedLogs
from twisted.protocols.haproxy import proxyEndpoint

from obfsfte.errors import WireError
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.proxy_protocol import HeaderReader
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.transport.site import Site
from obfsfte.transport.visitor import TrustedProxies

from .fakes import FakeEndpoint, FakeTransport
from .test_gate import WordOpening

SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
V4 = bytes([192, 0, 2, 7]) + bytes([198, 51, 100, 1]) + (51234).to_bytes(2, "big") + b"\0\x50"
V6 = b"\x20\x01\x0d\xb8" + bytes(11) + b"\x07" + bytes(16) + (51234).to_bytes(2, "big") + b"\0\x50"


def binary(command: int, family: int, body: bytes) -> bytes:
    return SIGNATURE + bytes([command, family]) + len(body).to_bytes(2, "big") + body


HEADERS = {
    "1, IPv4": (b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 80\r\n", "192.0.2.7"),
    "1, IPv6": (b"PROXY TCP6 2001:db8::7 2001:db8::1 51234 80\r\n", "2001:db8::7"),
    "1, unknown": (b"PROXY UNKNOWN\r\n", None),
    "1, unknown with more": (b"PROXY UNKNOWN ff::1 ff::2 65535 65535\r\n", None),
    "2, IPv4": (binary(0x21, 0x11, V4), "192.0.2.7"),
    "2, IPv6": (binary(0x21, 0x21, V6), "2001:db8::7"),
    "2, with more": (binary(0x21, 0x11, V4 + b"\x03\x00\x04abcd"), "192.0.2.7"),
    "2, the proxy's own": (binary(0x20, 0x00, b""), None),
    "2, its own with addresses": (binary(0x20, 0x11, V4), None),
    "2, a UNIX socket": (binary(0x21, 0x31, bytes(216)), None),
    "2, unspecified": (binary(0x21, 0x00, b""), None),
}

FAULTS = [
    b"GET / HTTP/1.1\r\n",
    b"P\r",
    b"PROXY TCP4 2001:db8::7 2001:db8::1 51234 80\r\n",
    b"PROXY TCP6 192.0.2.7 198.51.100.1 51234 80\r\n",
    b"PROXY TCP4 192.0.2.256 198.51.100.1 51234 80\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 65536 80\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 51234\r\n",
    b"PROXY TCP4 192.0.2.7 198.51.100.1 51234 80\n",
    b"PROXY TCP5 192.0.2.7 198.51.100.1 51234 80\r\n",
    b"PROXY  TCP4 192.0.2.7 198.51.100.1 51234 80\r\n",
    b"proxy TCP4 192.0.2.7 198.51.100.1 51234 80\r\n",
    b"PROXY UNKNOWN " + b"x" * 100,
    b"PROXY UNKNOWN " + b"x" * 100 + b"\r\n",
    SIGNATURE[:-1] + b"x",
    binary(0x11, 0x11, V4),
    binary(0x22, 0x11, V4),
    binary(0x21, 0x11, V4[:-1]),
    binary(0x21, 0x21, V4),
]


def read(data: bytes, *cuts: int) -> tuple[HeaderReader, bytes | None]:
    reader, rest = HeaderReader(), None
    for start, end in zip((0, *sorted(cuts)), (*sorted(cuts), len(data)), strict=True):
        assert rest is None
        rest = reader.feed(data[start:end])
    return reader, rest


@pytest.mark.parametrize(("header", "host"), HEADERS.values(), ids=HEADERS)
def test_a_header_however_it_is_cut(header: bytes, host: str | None) -> None:
    for cut in range(len(header)):
        reader, rest = read(header + b"sesame", cut)
        assert rest == b"sesame"
        if host is None:
            assert reader.source is None
        else:
            assert (reader.source.host, reader.source.port) == (host, 51234)  # type: ignore[union-attr]
        assert HeaderReader().feed(header[:cut]) is None


@pytest.mark.parametrize("data", FAULTS)
def test_what_is_no_header(data: bytes) -> None:
    with pytest.raises(WireError, match="PROXY protocol"):
        read(data)


@given(st.binary(max_size=300))
def test_any_bytes_are_a_header_or_an_error_or_too_few(data: bytes) -> None:
    for start in (b"", b"PROXY ", b"PROXY TCP4 ", SIGNATURE, SIGNATURE + b"\x21\x11"):
        with contextlib.suppress(WireError):
            HeaderReader().feed(start + data)


@pytest.mark.parametrize(("header", "host"), HEADERS.values(), ids=HEADERS)
def test_twisted_reads_the_same(header: bytes, host: str | None) -> None:
    class Endpoint:
        def listen(self, factory: Factory) -> Factory:
            return factory

    protocols: list[Protocol] = []
    factory: Factory = proxyEndpoint(Endpoint()).listen(  # type: ignore[arg-type]
        Factory.forProtocol(lambda: protocols.append(Protocol()) or protocols[-1])  # type: ignore[func-returns-value]
    )
    wrapper = factory.buildProtocol(IPv4Address("TCP", "127.0.0.1", 1))
    assert wrapper is not None
    wrapper.makeConnection(StringTransport())
    wrapper.dataReceived(header + b"sesame")
    peer = protocols[0].transport.getPeer()  # type: ignore[union-attr]
    if host is not None:
        assert (ip_address(peer.host), peer.port) == (ip_address(host), 51234)  # type: ignore[union-attr]


class Server:
    """A server half that hears from proxies, and one connection to it."""

    def __init__(self, peer: str = "127.0.0.1") -> None:
        self.clock = Clock()
        self.context = Context(Deadlines(self.clock), Connections(), Timeouts(handshake=20.0))
        self.users: list[object] = []
        self.target, self.fallback = FakeEndpoint(), FakeEndpoint()
        site = Site(
            openings=lambda: [WordOpening(b"sesame")],
            target=self._target,
            fallback=self.fallback,
            patience=lambda: 60.0,
            proxies=TrustedProxies.parse("127.0.0.1", send_headers=True),
        )
        self.side = TunnelServerFactory(site, self.context).buildProtocol(None)
        self.wire = FakeTransport()
        self.wire.peerAddr = IPv4Address("TCP", peer, 4000)
        self.wire.protocol = self.side
        self.side.makeConnection(self.wire)

    def _target(self, user: object) -> FakeEndpoint:
        self.users.append(user)
        return self.target


def test_the_target_is_told_the_visitor_and_gets_what_he_said() -> None:
    server = Server()
    assert not server.fallback.attempts  # whoever has not said who he is for does not count
    server.side.dataReceived(HEADERS["2, IPv4"][0] + b"sesame\n+one\n")
    assert server.users == [IPv4Address("TCP", "192.0.2.7", 51234)]
    _, target = server.target.accept()
    assert target.value() == b"one"


def test_nothing_said_is_the_proxy_itself() -> None:
    server = Server()
    server.side.dataReceived(HEADERS["2, the proxy's own"][0])
    server.side.dataReceived(b"sesame\n")
    assert server.users == [IPv4Address("TCP", "127.0.0.1", 4000)]


def test_the_header_of_a_stranger_is_what_a_stranger_said() -> None:
    server = Server(peer="192.0.2.9")
    _, site = server.fallback.accept()
    header = HEADERS["1, IPv4"][0]
    server.side.dataReceived(header + b"sesame\n")
    assert server.users == []
    assert site.value() == header + b"sesame\n"


def test_a_stranger_without_header_is_a_visitor_like_any() -> None:
    server = Server(peer="192.0.2.9")
    server.side.dataReceived(b"sesame\n")
    assert server.users == [IPv4Address("TCP", "192.0.2.9", 4000)]


def test_a_proxy_without_header_is_cut_and_named_by_what_it_did() -> None:
    server = Server()
    with capturedLogs() as events:
        server.side.dataReceived(b"sesame\n")
    assert server.wire.aborted
    assert [event["log_format"] for event in events] == ["a trusted proxy sent {fault}"]
    assert len(server.context.connections) == 0


def test_a_header_has_its_time() -> None:
    server = Server()
    server.side.dataReceived(b"PROXY ")
    server.clock.pump([1.0] * 21)
    assert server.wire.aborted
    assert len(server.context.connections) == 0


def test_a_proxy_that_leaves() -> None:
    for leave in ("readConnectionLost", "connectionLost"):
        server = Server()
        assert len(server.context.connections) == 1
        getattr(server.side, leave)()
        assert len(server.context.connections) == 0


def test_a_stop_ends_it() -> None:
    server = Server()
    server.context.connections.abort_all()
    assert server.wire.aborted
