"""Conversations in turns: connections that come and go, strangers in between, and pressure."""

from __future__ import annotations

from collections.abc import Iterator
from random import Random

import pytest
from twisted.internet.defer import Deferred, fail
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.protocol import Protocol
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from obfsfte.covers.catalogue import Catalogue
from obfsfte.covers.http_messages import RequestFollower
from obfsfte.covers.turns import SILENCE, SILENCE_AFTER_END
from obfsfte.errors import UnusableConnection
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import ReplayFilter
from obfsfte.session_channel import CoverChoice, SessionClient
from obfsfte.transport.client import Bridge, ClientConnection
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.transport.side import Side
from obfsfte.transport.site import Site
from obfsfte.turn_channel import TurnClient
from obfsfte.wires import SessionWire

from .fakes import FakeEndpoint, FakeTransport, connected, is_at_rest, lose

NOW = 1_800_000_000
KEYS = BridgeKeys.generate(Random(1).randbytes)
CHOICE = CoverChoice(Catalogue().get("http"), {"seed": "1"})
WEBSOCKET = CoverChoice(Catalogue().get("websocket"), {"seed": "1"})
VISIT = b"GET /picture.png HTTP/1.1\r\nHost: x\r\n\r\n"


class Network:
    """A client half and a server half on one clock, and what is between them, step by step."""

    def __init__(self) -> None:
        self.clock = Clock()
        self.websocket = SessionWire(WEBSOCKET, KEYS, ReplayFilter(), lambda: NOW, Random(2))
        timeouts = Timeouts(connect=10.0, handshake=20.0, idle=1000.0)
        self.client_context = Context(Deadlines(self.clock), Connections(), timeouts)
        self.context = Context(Deadlines(self.clock), Connections(), timeouts)
        self.target, self.fallback, self.bridge = FakeEndpoint(), FakeEndpoint(), FakeEndpoint()
        wire = SessionWire(CHOICE, KEYS, ReplayFilter(), lambda: NOW, Random(2))
        site = Site(
            openings=lambda: [wire.opening(), self.websocket.opening()],
            target=lambda _address: self.target,
            fallback=self.fallback,
            patience=lambda: 60.0,
            follower=RequestFollower,
        )
        self.factory = TunnelServerFactory(site, self.context)
        self.site = site
        self.failures: list[object] = []

        def open_channel() -> TurnClient:
            return TurnClient(CHOICE.at(KEYS.cert), NOW, Random(3))

        self.plain_side = Side()
        self.plain = connected(self.plain_side)
        connection = ClientConnection(
            self.plain_side, Bridge(self.bridge, open_channel), self.client_context
        )
        connection.start().addErrback(self.failures.append)
        self.client_side, self.client_wire = self.bridge.accept()
        self.server_side, self.server_wire = self.accept()
        self.up()
        self.target_side, self.target_transport = self.target.accept()
        self.down()

    def accept(self) -> tuple[Side, FakeTransport]:
        """Another connection to the server half."""
        side = self.factory.buildProtocol(None)
        assert isinstance(side, Side)
        return side, connected(side)

    def up(self) -> bytes:
        data = self.client_wire.drain()
        self.server_side.dataReceived(data)
        return data

    def down(self) -> bytes:
        data = self.server_wire.drain()
        if data:
            self.client_side.dataReceived(data)
        return data

    def pump(self, seconds: float = 0.5) -> None:
        """Let time pass, and bytes."""
        for _ in range(int(seconds * 50)):
            self.clock.advance(0.02)
            if self.client_wire.value():
                self.up()
            self.down()

    def site_of(self) -> tuple[Side, FakeTransport]:
        """The oldest connection to the fallback that was asked for, and not given up."""
        attempts = self.fallback.attempts
        attempts[:] = [each for each in attempts if not each[0].called]
        return self.fallback.accept()


def test_data_passes_both_ways_and_both_ends_end() -> None:
    network = Network()
    network.plain_side.dataReceived(b"up")
    network.pump()
    assert network.target_transport.value() == b"up"
    network.target_side.dataReceived(b"down")
    network.pump(10)
    assert network.plain.value() == b"down"
    network.plain_side.readConnectionLost()
    network.pump()
    assert network.target_transport.half_closed
    assert not network.target_transport.disconnecting
    network.target_side.dataReceived(b"the rest")
    network.target_side.readConnectionLost()
    network.pump(10)
    assert network.plain.value() == b"downthe rest"
    assert network.plain.disconnecting
    assert network.target_transport.disconnecting
    assert network.client_wire.disconnecting
    assert not network.client_wire.aborted
    # The client closes, having got its last answer.
    assert network.server_wire.value() == b""
    assert not network.server_wire.disconnecting
    for side in (network.plain_side, network.target_side, network.client_side):
        lose(side, clean=True)
    lose(network.server_side, clean=True)
    assert network.server_wire.disconnecting
    assert len(network.context.connections) == len(network.client_context.connections) == 0
    network.fallback.attempts.clear()
    network.clock.advance(60)
    assert is_at_rest(network.clock)


def test_an_idle_client_asks_again_and_again() -> None:
    network = Network()
    asked = 0
    for _ in range(60):
        network.clock.advance(1.0)
        if network.client_wire.value():
            asked += 1
            network.up()
            network.clock.advance(0.1)
            network.down()
    assert 10 < asked < 60


def test_bulk_both_ways_at_once() -> None:
    network = Network()
    up, down = Random(4).randbytes(5_000_000), Random(5).randbytes(5_000_000)
    sources = [
        (network.plain_side, network.plain, feed(up)),
        (network.target_side, network.target_transport, feed(down)),
    ]
    for _ in range(2000):
        for side, transport, pieces in sources:
            if transport.producerState == "producing" and (piece := next(pieces, None)):
                side.dataReceived(piece)
        network.pump(0.02)
        if len(network.target_transport.value()) == len(up):
            break
    network.pump(5)
    assert network.target_transport.value() == up
    assert network.plain.value() == down


def feed(data: bytes) -> Iterator[bytes]:
    for at in range(0, len(data), 1 << 16):
        yield data[at : at + (1 << 16)]


def test_an_application_is_not_read_while_the_channel_is_full() -> None:
    network = Network()
    pieces = 0
    while network.target_transport.producerState == "producing":
        network.target_side.dataReceived(bytes(1 << 16))
        pieces += 1
        assert pieces < 100
    assert pieces >= 16
    network.pump(10)
    assert network.target_transport.producerState == "producing"


def test_an_application_that_reads_nothing_mutes_the_peer_and_not_itself() -> None:
    network = Network()
    network.target_transport.stalled = True
    pieces = 0
    while network.plain.producerState == "producing" and pieces < 300:
        network.plain_side.dataReceived(bytes(1 << 16))
        network.pump(0.5)
        pieces += 1
    assert pieces < 100
    assert len(network.target_transport.value()) < 4 << 20
    network.target_side.dataReceived(b"still heard")
    network.pump(10)
    assert network.plain.value() == b"still heard"
    drained = len(network.target_transport.drain())
    network.pump(60)
    assert network.plain.producerState == "producing"
    assert drained + len(network.target_transport.value()) == pieces << 16


def test_a_session_goes_on_on_another_connection() -> None:
    network = Network()
    network.client_side.readConnectionLost()
    lose(network.client_side, clean=True)
    lose(network.server_side, clean=True)
    network.plain_side.dataReceived(b"on a new one")
    network.client_side, network.client_wire = network.bridge.accept()
    network.server_side, network.server_wire = network.accept()
    network.pump()
    assert network.target_transport.value() == b"on a new one"


def test_a_request_that_may_not_have_been_read_is_sent_again() -> None:
    network = Network()
    network.plain_side.dataReceived(b"twice")
    request = network.client_wire.drain()
    lose(network.client_side)
    network.client_side, network.client_wire = network.bridge.accept()
    assert network.client_wire.value() == request
    network.server_side, network.server_wire = network.accept()
    network.pump()
    assert network.target_transport.value() == b"twice"


def test_a_request_is_not_sent_a_third_time() -> None:
    network = Network()
    network.plain_side.dataReceived(b"twice")
    for _ in range(2):
        side = network.client_side
        lose(side)
        if network.bridge.attempts:
            network.client_side, network.client_wire = network.bridge.accept()
    assert network.bridge.attempts == []
    assert network.plain.aborted


def test_an_answer_that_was_cut_ends_the_session() -> None:
    network = Network()
    network.plain_side.dataReceived(b"x")
    network.up()
    network.target_side.dataReceived(bytes(5000))
    network.client_side.dataReceived(network.server_wire.drain()[:2000])
    lose(network.client_side)
    assert network.plain.aborted
    assert network.bridge.attempts == []


def test_a_bridge_that_is_gone_ends_the_session_in_one_line() -> None:
    network = Network()
    network.client_side.readConnectionLost()
    network.plain_side.dataReceived(b"x")
    with capturedLogs() as events:
        network.bridge.refuse(ConnectionRefusedError())
    assert network.plain.aborted
    assert [event["reason"] for event in events] == ["connection refused"]


def test_a_reset_between_messages_ends_the_session() -> None:
    network = Network()
    lose(network.server_side)
    assert network.target_transport.aborted
    assert not network.site.sessions
    lose(network.client_side)
    assert network.plain.aborted


@pytest.mark.parametrize(("closed", "seconds"), [(True, SILENCE_AFTER_END), (False, SILENCE)])
def test_a_client_who_asks_no_more_ends_the_session(closed: bool, seconds: float) -> None:
    network = Network()
    if closed:
        lose(network.server_side, clean=True)
    network.clock.pump([1.0] * (int(seconds) - 1))
    assert not network.target_transport.aborted
    network.clock.pump([1.0] * 5)
    assert network.target_transport.aborted


def test_a_reset_by_the_target_reaches_the_client() -> None:
    network = Network()
    lose(network.target_side)
    assert network.server_wire.aborted
    lose(network.client_side)
    assert network.plain.aborted


@pytest.mark.parametrize("pieces", [0, 100])
def test_a_target_that_has_left_after_its_stream_holds_nobody(pieces: int) -> None:
    """What still goes to it can go nowhere; nor may it be waited with, as for a slow reader."""
    network = Network()
    network.target_transport.stalled = True
    while network.plain.producerState == "producing" and pieces:
        network.plain_side.dataReceived(bytes(1 << 16))
        network.pump(0.5)
        pieces -= 1
    network.target_side.dataReceived(b"the end")
    network.target_side.readConnectionLost()
    lose(network.target_side)
    network.pump(10)
    assert network.plain.value() == b"the end"
    assert len(network.site.sessions) == 0
    assert len(network.context.connections) == 1  # a visitor now, by its last request
    site_side, _ = network.site_of()
    site_side.dataReceived(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    network.pump()
    assert network.plain.disconnecting
    assert network.client_wire.aborted


def test_a_target_that_cannot_be_reached_cuts_the_connection() -> None:
    network = Network()
    side, wire = network.accept()
    side.dataReceived(b"".join(TurnClient(CHOICE.at(KEYS.cert), NOW, Random(9)).data_to_send()))
    network.target.refuse(ConnectionRefusedError())
    assert wire.aborted
    lose(side)
    assert len(network.site.sessions) == 1  # the network's own


class Unreadable(FakeEndpoint):
    """Fails at once, as tor's ExtORPort does whose cookie cannot be read."""

    def connect(self, _factory: object) -> Deferred[Protocol]:
        return fail(UnusableConnection("no cookie"))


def test_a_target_that_fails_at_once_cuts_the_connection() -> None:
    """It was forgotten, and the client waited for its answer until it gave up."""
    network = Network()
    network.target = Unreadable()
    side, wire = network.accept()
    side.dataReceived(b"".join(TurnClient(CHOICE.at(KEYS.cert), NOW, Random(9)).data_to_send()))
    assert wire.aborted
    lose(side)
    assert len(network.site.sessions) == len(network.context.connections) == 1


def test_a_target_is_left_alone_when_the_client_leaves_before_it_is_reached() -> None:
    network = Network()
    side, _ = network.accept()
    side.dataReceived(b"".join(TurnClient(CHOICE.at(KEYS.cert), NOW, Random(9)).data_to_send()))
    lose(side)
    assert network.target.cancelled == 1
    assert len(network.context.connections) == 1


def test_what_was_said_before_the_application_left_is_delivered() -> None:
    network = Network()
    network.plain_side.dataReceived(b"a")
    network.plain_side.dataReceived(b"b")  # waits: the request is on its way
    network.plain_side.readConnectionLost()
    lose(network.plain_side, clean=True)
    network.pump(10)
    assert network.target_transport.value() == b"ab"
    assert network.target_transport.half_closed
    assert network.client_wire.disconnecting


def test_strangers_and_clients_share_a_connection() -> None:
    """As behind an intermediary with a pool."""
    network = Network()
    # After the client's request, a visitor's.
    network.server_side.dataReceived(VISIT)
    site_side, site = network.site_of()
    assert site.value() == VISIT
    site_side.dataReceived(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
    assert network.server_wire.drain().startswith(b"HTTP/1.1 404")
    # Then the client's next, in pieces.
    network.plain_side.dataReceived(b"x" * 100)
    request = network.client_wire.drain()
    for at in range(0, len(request), 100):
        network.server_side.dataReceived(request[at : at + 100])
    assert network.target_transport.value() == b"x" * 100
    assert site.disconnecting
    network.target_side.dataReceived(b"y")
    network.down()
    assert network.plain.value() == b"y"
    # And a visitor's again.
    network.server_side.dataReceived(VISIT)
    _, site = network.site_of()
    assert site.value() == VISIT


@pytest.mark.parametrize("before", [0, 1, 3])
def test_a_websocket_may_be_opened_after_visits(before: int) -> None:
    """A pool of connections does not care what comes next on one of them."""
    network = Network()
    side, wire = network.accept()
    for number in range(before):
        side.dataReceived(VISIT)
        if not number:
            site_side, _ = network.site_of()
        site_side.dataReceived(b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n")
        assert wire.drain().startswith(b"HTTP/1.1 404")
    client = SessionClient(WEBSOCKET.at(KEYS.cert), NOW, Random(9))
    side.dataReceived(b"".join(client.data_to_send()))
    target_side, target = network.target.accept()
    client.receive(wire.drain())
    client.send(b"up")
    side.dataReceived(b"".join(client.data_to_send()))
    assert target.value() == b"up"
    target_side.dataReceived(b"down")
    assert b"".join(client.receive(wire.drain())) == b"down"


def test_a_connection_is_a_sessions_only_for_its_own_request() -> None:
    """While the request is on another connection, this one may bring somebody else's."""
    network = Network()
    other_side, _ = network.accept()
    network.plain_side.dataReceived(b"x" * 1000)
    request = network.client_wire.drain()
    other_side.dataReceived(request[:-500])
    network.server_side.dataReceived(VISIT)
    other_side.dataReceived(request[-500:])
    assert network.target_transport.value() == b"x" * 1000
    _, site = network.site_of()
    assert site.value() == VISIT


def test_a_request_of_a_session_that_is_over_is_a_strangers() -> None:
    network = Network()
    network.plain_side.dataReceived(b"x")
    request = network.client_wire.drain()
    lose(network.target_side)
    side, _ = network.accept()
    side.dataReceived(request)
    _, site = network.site_of()
    assert site.value() == request


def test_a_connection_that_the_peer_wants_closed_is_closed_after_the_response() -> None:
    network = Network()
    network.plain_side.dataReceived(b"x")
    request = network.client_wire.drain()
    head, _, body = request.partition(b"\r\n\r\n")
    old = head.replace(b"HTTP/1.1", b"HTTP/1.0") + b"\r\n\r\n" + body
    network.server_side.dataReceived(old)
    network.target_side.dataReceived(b"y" * 3000)
    assert network.server_wire.disconnecting
    response = network.server_wire.value()
    assert b"\r\nConnection: close\r\n" in response
    network.client_side.dataReceived(response)
    assert network.plain.value() == b"y" * 3000
    # The next request goes on a new connection.
    network.plain_side.dataReceived(b"z")
    assert network.client_wire.value() == b""
    assert network.client_wire.disconnecting
    _, wire = network.bridge.accept()
    assert wire.value() != b""


def test_an_idle_connection_is_closed_after_a_while() -> None:
    network = Network()
    network.plain_side.readConnectionLost()
    network.target_side.readConnectionLost()
    network.pump(10)
    assert not network.site.sessions
    assert not network.server_wire.disconnecting
    network.clock.pump([100.0] * 11)
    assert network.server_wire.disconnecting
