"""The gate: who is let in, who is turned away, and that nobody is answered."""

from __future__ import annotations

import pytest
from twisted.internet.task import Clock

from obfsfte.channel import Channel
from obfsfte.errors import NotOurs
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.gate import MAX_OPENING, Gate, Swallow
from obfsfte.transport.side import Side

from .fakes import FakeTransport, LineChannel, connected, is_at_rest, lose


class WordOpening:
    """An opening that is one word and a line end."""

    def __init__(self, word: bytes) -> None:
        self._expected = word + b"\n"
        self._seen = b""
        self.refused = False

    def feed(self, data: bytes) -> Channel | None:
        assert not self.refused, "fed again after NotOurs"
        self._seen += data
        head = self._seen[: len(self._expected)]
        if not self._expected.startswith(head):
            self.refused = True
            raise NotOurs("another word")
        if head != self._expected:
            return None
        channel = LineChannel()
        rest = self._seen[len(head) :]
        channel.receive = _once(channel.receive, rest)  # type: ignore[method-assign]
        return channel


def _once(receive, rest):  # type: ignore[no-untyped-def]
    """Give `rest` with the first call."""
    pending = [rest]
    return lambda data: receive((pending.pop() if pending else b"") + data)


class Visit:
    """A connection at a gate."""

    def __init__(self, *words: bytes) -> None:
        self.clock = Clock()
        self.side = Side()
        self.transport: FakeTransport = connected(self.side)
        self.clients: list[list[bytes]] = []
        self.heard: list[bytes] = []
        self.strangers = 0
        self.lost = 0
        Gate(
            self.side,
            [WordOpening(word) for word in words or (b"sesame", b"please")],
            deadlines=Deadlines(self.clock),
            seconds=30.0,
            on_client=lambda channel: self.clients.append(channel.receive(b"")),
            on_unproven=self.heard.append,
            on_stranger=self._count_stranger,
            on_lost=self._count_lost,
        )

    def _count_stranger(self) -> None:
        self.strangers += 1

    def _count_lost(self) -> None:
        self.lost += 1


@pytest.mark.parametrize("word", [b"sesame", b"please"])
def test_any_enabled_opening_is_let_in_with_what_came_along(word: bytes) -> None:
    visit = Visit()
    for byte in word:
        visit.side.dataReceived(bytes([byte]))
    visit.side.dataReceived(b"\n+early\n")
    assert visit.clients == [[b"early"]]
    assert visit.strangers == 0
    assert is_at_rest(visit.clock)


def test_a_stranger_is_known_at_the_first_impossible_byte() -> None:
    visit = Visit()
    visit.side.dataReceived(b"ses")
    assert visit.strangers == 0
    visit.side.dataReceived(b"t")
    assert visit.strangers == 1
    assert visit.clients == []


def test_bytes_that_prove_nothing_are_passed_on_at_once_and_those_that_do_are_not() -> None:
    visit = Visit()
    visit.side.dataReceived(b"ses")
    assert visit.heard == [b"ses"]
    visit.side.dataReceived(b"ame\n")
    assert visit.heard == [b"ses"]
    stranger = Visit()
    stranger.side.dataReceived(b"ses")
    stranger.side.dataReceived(b"t")
    assert stranger.heard == [b"ses", b"t"]


def test_a_slow_stranger_is_one_when_the_time_is_up() -> None:
    visit = Visit()
    visit.side.dataReceived(b"s")
    visit.clock.pump([1.0] * 32)
    assert visit.strangers == 1


def test_a_silent_stranger_who_half_closes() -> None:
    visit = Visit()
    visit.side.readConnectionLost()
    assert visit.strangers == 1


def test_undecided_bytes_are_bounded() -> None:
    visit = Visit(b"x" * (2 * MAX_OPENING))
    visit.side.dataReceived(b"x" * MAX_OPENING)
    assert visit.strangers == 0
    visit.side.dataReceived(b"x")
    assert visit.strangers == 1


def test_a_reset_is_nobody() -> None:
    visit = Visit()
    lose(visit.side)
    assert (visit.lost, visit.strangers) == (1, 0)
    assert is_at_rest(visit.clock)


def test_a_swallowed_stranger_is_never_answered_and_closed_when_patience_ends() -> None:
    clock, side, lost = Clock(), Side(), []
    transport = connected(side)
    Swallow(side, clock=clock, seconds=39.5, on_lost=lambda: lost.append(True))
    for _ in range(39):
        side.dataReceived(b"knock" * 1000)
        clock.advance(1.0)
    side.readConnectionLost()
    clock.advance(0.25)
    assert not transport.disconnecting
    clock.advance(0.25)
    assert transport.aborted
    assert transport.value() == b""
    lose(side)
    assert lost == [True]
    assert is_at_rest(clock)


def test_a_swallowed_stranger_who_leaves_is_forgotten() -> None:
    clock, side, lost = Clock(), Side(), []
    transport = connected(side)
    Swallow(side, clock=clock, seconds=40.0, on_lost=lambda: lost.append(True))
    lose(side)
    assert (lost, transport.aborted) == ([True], False)
    assert is_at_rest(clock)
