"""The server half: from the gate to the target, to the fallback, or to nowhere."""

from __future__ import annotations

import errno
from collections.abc import Callable

import pytest
from twisted.internet.error import ConnectError, ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs

from obfsfte.channel import Channel, Opening
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.transport.side import HELD_BYTES, Side
from obfsfte.transport.site import Site

from .fakes import FakeEndpoint, FakeTransport, connected, is_at_rest, lose
from .test_gate import WordOpening


class Server:
    """One connection to a server half."""

    def __init__(
        self,
        fallback: bool = False,
        patience: float = 60.0,
        opening: Callable[[bytes], Opening] = WordOpening,
    ) -> None:
        self.clock = Clock()
        self.target = FakeEndpoint()
        self.fallback = FakeEndpoint() if fallback else None
        self.context = Context(
            Deadlines(self.clock), Connections(), Timeouts(connect=10.0, handshake=20.0)
        )
        self.asked_for: list[object] = []
        site = Site(
            openings=lambda: [opening(b"sesame")],
            target=self._target,
            fallback=self.fallback,
            patience=lambda: patience,
        )
        self._factory = TunnelServerFactory(site, self.context)
        self.wire_side, self.wire = self.next_visitor()

    def next_visitor(self) -> tuple[Side, FakeTransport]:
        """Another connection."""
        side = self._factory.buildProtocol(None)
        assert isinstance(side, Side)
        return side, connected(side)

    def _target(self, address: object) -> FakeEndpoint:
        self.asked_for.append(address)
        return self.target


def test_a_client_reaches_the_target_with_what_he_said() -> None:
    server = Server()
    server.wire_side.dataReceived(b"sesame\n+one\n")
    assert server.asked_for == [server.wire.getPeer()]
    server.wire_side.dataReceived(b"+two\n")
    target_side, target = server.target.accept()
    server.wire_side.dataReceived(b"+three\n")
    assert target.value() == b"onetwothree"
    target_side.dataReceived(b"answer")
    assert server.wire.value() == b"+answer\n"


class AnsweredOpening(WordOpening):
    """One whose channel has an answer ready."""

    def feed(self, data: bytes) -> Channel | None:
        channel = super().feed(data)
        if channel is not None:
            channel.send(b"welcome")
        return channel


def test_a_client_is_answered_before_the_target_is_reached() -> None:
    server = Server(opening=AnsweredOpening)
    server.wire_side.dataReceived(b"sesame\n")
    assert server.wire.value() == b"+welcome\n"
    server.wire_side.dataReceived(b"+early\n")
    _, target = server.target.accept()
    assert target.value() == b"early"
    assert server.wire.value() == b"+welcome\n"


def test_little_is_kept_of_what_a_client_says_before_the_target_is_reached() -> None:
    server = Server(opening=AnsweredOpening)
    said = bytes(HELD_BYTES)
    server.wire_side.dataReceived(b"sesame\n")
    server.wire_side.dataReceived(b"+" + said + b"\n")
    assert server.wire.producerState == "paused"
    _, target = server.target.accept()
    assert target.value() == said
    assert server.wire.producerState == "producing"


def test_forged_bytes_behind_a_good_opening_are_cut() -> None:
    server = Server()
    server.wire_side.dataReceived(b"sesame\nforged\n")
    assert server.wire.aborted
    assert server.asked_for == []
    assert len(server.context.connections) == 0


def test_an_unreachable_target_costs_the_connection_and_one_line() -> None:
    server = Server()
    with capturedLogs() as events:
        server.wire_side.dataReceived(b"sesame\n")
        server.target.refuse(ConnectionRefusedError())
    assert server.wire.aborted
    assert [event["reason"] for event in events] == ["connection refused"]
    assert len(server.context.connections) == 0


def test_connecting_to_the_target_has_a_limit() -> None:
    server = Server()
    server.wire_side.dataReceived(b"sesame\n")
    server.clock.pump([1.0] * 11)
    assert server.wire.aborted


def test_a_stranger_is_joined_to_the_fallback_byte_for_byte() -> None:
    server = Server(fallback=True)
    server.wire_side.dataReceived(b"se")
    server.wire_side.dataReceived(b"rvus\r\n")
    assert server.fallback is not None
    site_side, site = server.fallback.accept()
    server.wire_side.dataReceived(b"\xff\x00")
    assert site.value() == b"servus\r\n\xff\x00"
    site_side.dataReceived(b"HTTP/1.1 400\r\n")
    assert server.wire.value() == b"HTTP/1.1 400\r\n"
    site_side.readConnectionLost()
    assert server.wire.half_closed


def test_a_stranger_who_half_closed_first_is_half_closed_at_the_fallback() -> None:
    server = Server(fallback=True)
    server.wire_side.dataReceived(b"ses")
    server.wire_side.readConnectionLost()
    assert server.fallback is not None
    _, site = server.fallback.accept()
    assert site.value() == b"ses"
    assert site.half_closed


def test_the_fallback_is_reached_at_once_and_left_without_a_byte_for_a_client() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    _, site = server.fallback.accept()
    server.wire_side.dataReceived(b"sesame\n")
    assert site.value() == b""
    assert site.disconnecting
    assert not site.aborted
    server.target.accept()
    server.wire_side.dataReceived(b"+in\n")


def test_a_fallback_still_being_reached_is_given_up_for_a_client() -> None:
    server = Server(fallback=True)
    server.wire_side.dataReceived(b"sesame\n")
    assert server.fallback is not None
    assert server.fallback.cancelled == 1


def test_the_site_hears_an_undecided_visitor_at_once_and_may_answer() -> None:
    """A site that refuses half of what could be a hello does so without waiting; so must we."""
    server = Server(fallback=True)
    assert server.fallback is not None
    site_side, site = server.fallback.accept()
    server.wire_side.dataReceived(b"ses")
    assert site.value() == b"ses"
    site_side.dataReceived(b"400")
    site_side.readConnectionLost()
    assert server.wire.value() == b"400"
    assert server.wire.half_closed
    server.wire_side.dataReceived(b"ame\n")
    assert site.value() == b"sesame\n"
    assert server.asked_for == []


def test_an_undecided_visitor_before_the_site_is_reached() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    server.wire_side.dataReceived(b"se")
    server.wire_side.dataReceived(b"s")
    _, site = server.fallback.accept()
    assert site.value() == b"ses"
    server.wire_side.dataReceived(b"t")
    assert site.value() == b"sest"


def test_a_client_in_slow_pieces_is_let_in_while_the_site_is_silent() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    _, site = server.fallback.accept()
    server.wire_side.dataReceived(b"ses")
    server.clock.advance(1.0)
    server.wire_side.dataReceived(b"ame\n+one\n")
    assert site.value() == b"ses"
    assert site.disconnecting
    _, target = server.target.accept()
    assert target.value() == b"one"


def test_a_site_that_hangs_up_on_a_silent_visitor_is_seen_to() -> None:
    """nginx closes a connection that sent no request; so must we, at the same time."""
    server = Server(fallback=True)
    assert server.fallback is not None
    site_side, _ = server.fallback.accept()
    site_side.readConnectionLost()
    assert server.wire.half_closed


def test_a_site_that_resets_an_undecided_visitor_is_seen_to() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    site_side, _ = server.fallback.accept()
    lose(site_side)
    assert server.wire.aborted


def test_an_unreachable_fallback_costs_strangers_only() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    server.fallback.refuse(ConnectionRefusedError())
    assert not server.wire.disconnecting
    with capturedLogs() as events:
        server.wire_side.dataReceived(b"stranger")
    assert [event["name"] for event in events] == ["fallback"]
    lose(server.wire_side)
    assert len(server.context.connections) == 0


def test_strangers_cannot_fill_the_log_while_the_fallback_is_down() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    server.fallback.refuse(ConnectionRefusedError())
    with capturedLogs() as events:
        for seconds in (0.0, 1.0, 58.0, 2.0):
            server.clock.advance(seconds)
            side, _ = server.next_visitor()
            side.dataReceived(b"stranger")
            if server.fallback.attempts:
                server.fallback.refuse(ConnectionRefusedError())
    assert [event["name"] for event in events] == ["fallback", "fallback"]


@pytest.mark.parametrize("end", [lambda _: None, Side.readConnectionLost], ids=["waits", "FIN"])
@pytest.mark.parametrize("said", [b"", b"ses", b"stranger"])
@pytest.mark.parametrize("reached", [False, True], ids=["at once", "later"])
def test_strangers_are_swallowed_while_the_fallback_is_down(
    said: bytes, end: Callable[[Side], None], reached: bool
) -> None:
    """Whenever they were found to be strangers: that must not show."""
    server = Server(fallback=True)
    assert server.fallback is not None
    if not reached:
        server.fallback.refuse(ConnectionRefusedError())
    if said:
        server.wire_side.dataReceived(said)
    end(server.wire_side)
    if reached:
        server.fallback.refuse(ConnectionRefusedError())
    server.wire_side.dataReceived(b"more" * 10000)
    server.clock.pump([1.0] * 58)
    assert not server.wire.aborted
    server.clock.pump([1.0] * 4)
    assert server.wire.aborted
    assert server.wire.producerState == "producing"
    assert server.wire.value() == b""
    lose(server.wire_side)
    assert len(server.context.connections) == 0
    assert is_at_rest(server.clock)


@pytest.mark.parametrize("said", [b"", b"ses", b"stranger"])
def test_a_site_that_resets_as_soon_as_it_is_reached_is_seen_to(said: bytes) -> None:
    """The reset may come before the reactor has looked whether it is connected."""
    server = Server(fallback=True)
    if said:
        server.wire_side.dataReceived(said)
    assert server.fallback is not None
    server.fallback.refuse(ConnectError(errno.ECONNRESET))
    assert server.wire.aborted
    lose(server.wire_side)
    assert len(server.context.connections) == 0
    assert is_at_rest(server.clock)


def test_a_stranger_who_leaves_while_the_fallback_is_reached_is_forgotten() -> None:
    server = Server(fallback=True)
    server.wire_side.dataReceived(b"stranger")
    lose(server.wire_side)
    assert server.fallback is not None
    assert server.fallback.cancelled == 1
    assert len(server.context.connections) == 0
    assert is_at_rest(server.clock)


def test_a_client_is_served_though_the_fallback_is_down() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    server.fallback.refuse(ConnectionRefusedError())
    server.wire_side.dataReceived(b"sesame\n+one\n")
    _, target = server.target.accept()
    assert target.value() == b"one"


def test_a_visitor_who_resets_is_no_visitor_of_the_fallback_any_more() -> None:
    server = Server(fallback=True)
    assert server.fallback is not None
    _, site = server.fallback.accept()
    lose(server.wire_side)
    assert site.disconnecting
    assert len(server.context.connections) == 0


def test_a_stranger_without_a_fallback_is_swallowed() -> None:
    server = Server()
    with capturedLogs() as events:
        server.wire_side.dataReceived(b"GET / HTTP/1.1\r\n\r\n")
        server.wire_side.dataReceived(b"more" * 10000)
        server.clock.pump([1.0] * 59)
        assert not server.wire.disconnecting
        server.clock.pump([1.0] * 3)
    assert server.wire.aborted
    assert server.wire.value() == b""
    assert events == []
    lose(server.wire_side)
    assert len(server.context.connections) == 0
    assert is_at_rest(server.clock)


@pytest.mark.parametrize("end", [lambda _: None, Side.readConnectionLost], ids=["waits", "FIN"])
@pytest.mark.parametrize("said", [b"", b"x", b"ses", b"sesam"])
@pytest.mark.parametrize("patience", [60, 15])
def test_when_a_swallowed_stranger_is_cut_does_not_tell_how_near_he_came(
    said: bytes, end: Callable[[Side], None], patience: int
) -> None:
    """Whoever says half of a hello is undecided for long, and must not be cut later for it."""
    server = Server(patience=float(patience))
    if said:
        server.wire_side.dataReceived(said)
    server.clock.pump([1.0] * 5)
    end(server.wire_side)
    server.clock.pump([1.0] * (patience - 6))
    assert not server.wire.aborted
    server.clock.pump([1.0] * 3)
    assert server.wire.aborted


@pytest.mark.parametrize("phase", ["gate", "swallowed", "dialling", "relay"])
def test_every_phase_can_be_aborted(phase: str) -> None:
    server = Server()
    if phase == "swallowed":
        server.wire_side.dataReceived(b"x")
    elif phase != "gate":
        server.wire_side.dataReceived(b"sesame\n")
    if phase == "relay":
        server.target.accept()
    server.context.connections.abort_all()
    assert server.wire.aborted
    lose(server.wire_side)
    assert len(server.context.connections) == (1 if phase == "relay" else 0)


def test_a_client_who_leaves_while_the_target_is_dialled() -> None:
    server = Server()
    server.wire_side.dataReceived(b"sesame\n")
    lose(server.wire_side)
    assert server.target.cancelled == 1
    assert len(server.context.connections) == 0
