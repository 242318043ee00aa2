"""The relay: backpressure, half-close, and cuts that never look like ends."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionLost
from twisted.internet.task import Clock

from obfsfte.alarm import Alarm
from obfsfte.channel import Channel, PassThrough
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.relay import Relay, Splice
from obfsfte.transport.side import Side

from .fakes import FakeTransport, LineChannel, connected, is_at_rest, lose


class Joined:
    """A relay between two fake transports."""

    def __init__(self, channel: Channel | None = None, start: bool = True) -> None:
        self.clock = Clock()
        self.context = Context(Deadlines(self.clock), Connections(), Timeouts(idle=100.0))
        self.wire_side, self.plain_side = Side(), Side()
        self.wire: FakeTransport = connected(self.wire_side)
        self.plain: FakeTransport = connected(self.plain_side)
        self.relay = Relay(self.wire_side, channel or LineChannel(), self.plain_side, self.context)
        if start:
            self.relay.start()

    @property
    def cut(self) -> bool:
        """Both transports were aborted, neither was closed as if complete."""
        return self.wire.aborted and self.plain.aborted


def test_bytes_pass_both_ways() -> None:
    joined = Joined()
    joined.plain_side.dataReceived(b"up")
    joined.wire_side.dataReceived(b"+do")
    joined.wire_side.dataReceived(b"wn\n+more\n")
    assert joined.wire.value() == b"+up\n"
    assert joined.plain.value() == b"downmore"


def test_what_came_before_the_join_is_delivered_first() -> None:
    joined = Joined(start=False)
    joined.relay.start([b"early ", b"bird "], b"first")
    joined.wire_side.dataReceived(b"+late\n")
    assert joined.plain.value() == b"early bird late"
    assert joined.wire.value() == b"+first\n"


@pytest.mark.parametrize("stalled", ["wire", "plain"])
def test_a_stalled_reader_stops_the_other_side(stalled: str) -> None:
    joined = Joined()
    slow, fast = (joined.wire, joined.plain) if stalled == "wire" else (joined.plain, joined.wire)
    slow.stalled = True
    writes = 0
    while fast.producerState == "producing":
        side = joined.plain_side if stalled == "wire" else joined.wire_side
        side.dataReceived(b"+" + bytes(1000).replace(b"\0", b"x") + b"\n")
        writes += 1
        assert writes < 100
    assert len(slow.value()) < FakeTransport.bufferSize + 2000
    slow.drain()
    assert fast.producerState == "producing"


def test_the_applications_end_becomes_a_record_and_tcp_stays() -> None:
    joined = Joined()
    joined.plain_side.readConnectionLost()
    assert joined.wire.value() == b".\n"
    assert not joined.wire.half_closed
    joined.wire_side.dataReceived(b"+answer\n")
    assert joined.plain.value() == b"answer"


def test_the_applications_end_becomes_a_fin_where_the_wire_has_no_record() -> None:
    joined = Joined(PassThrough())
    joined.plain_side.readConnectionLost()
    assert joined.wire.half_closed
    joined.wire_side.dataReceived(b"answer")
    assert joined.plain.value() == b"answer"


def test_the_peers_end_half_closes_the_application() -> None:
    joined = Joined()
    joined.wire_side.dataReceived(b"+last\n.\n")
    assert joined.plain.value() == b"last"
    assert joined.plain.half_closed
    assert not joined.plain.disconnecting
    joined.plain_side.dataReceived(b"still talking")
    assert joined.wire.value() == b"+still talking\n"


@pytest.mark.parametrize("first", ["plain", "wire"])
def test_both_ended_closes_both_cleanly(first: str) -> None:
    joined = Joined()
    ends = [joined.plain_side.readConnectionLost, lambda: joined.wire_side.dataReceived(b".\n")]
    for end in ends if first == "plain" else reversed(ends):
        end()
    assert joined.wire.disconnecting
    assert joined.plain.disconnecting
    assert not joined.wire.aborted
    assert not joined.plain.aborted
    lose(joined.wire_side, clean=True)
    lose(joined.plain_side, clean=True)
    assert not joined.plain.aborted
    assert len(joined.context.connections) == 0
    assert is_at_rest(joined.clock)


def test_a_forged_message_cuts_and_delivers_nothing_of_its_read() -> None:
    joined = Joined()
    joined.wire_side.dataReceived(b"+good\nbad\n+after\n")
    assert joined.cut
    assert b"after" not in joined.plain.value()


def test_a_wire_that_ends_without_the_record_is_a_truncation() -> None:
    joined = Joined()
    joined.wire_side.dataReceived(b"+half\n")
    joined.wire_side.readConnectionLost()
    assert joined.cut
    assert not joined.plain.half_closed


def test_a_wire_that_closes_after_its_end_lets_the_application_drain() -> None:
    joined = Joined()
    joined.wire_side.dataReceived(b"+all\n.\n")
    joined.wire_side.readConnectionLost()
    assert joined.plain.disconnecting
    assert not joined.plain.aborted


@pytest.mark.parametrize("lost", ["wire_side", "plain_side"])
def test_a_reset_after_a_complete_stream_does_not_cut_its_reader(lost: str) -> None:
    joined = Joined()
    if lost == "wire_side":
        joined.wire_side.dataReceived(b"+all\n.\n")
    else:
        joined.plain_side.dataReceived(b"all")
        joined.plain_side.readConnectionLost()
    reader = joined.plain if lost == "wire_side" else joined.wire
    lose(getattr(joined, lost))
    assert reader.disconnecting
    assert not reader.aborted


@pytest.mark.parametrize("lost", ["wire_side", "plain_side"])
def test_a_reset_of_one_side_aborts_the_other(lost: str) -> None:
    joined = Joined()
    lose(getattr(joined, lost))
    other = joined.plain if lost == "wire_side" else joined.wire
    assert other.aborted


def alarmed(seconds: float) -> tuple[Joined, LineChannel]:
    channel = LineChannel()
    channel.alarm = Alarm(seconds)
    return Joined(channel), channel


def test_a_channel_is_woken_once_by_each_alarm() -> None:
    joined, channel = alarmed(2.5)
    joined.clock.advance(2.4)
    joined.wire_side.dataReceived(b"+down\n")  # the same alarm: its time goes on
    assert joined.wire.value() == b""
    joined.clock.advance(0.1)
    assert joined.wire.value() == b"!\n"
    joined.clock.pump([2.5] * 4)
    assert joined.wire.value() == b"!\n"
    channel.alarm = Alarm(1.0)
    joined.plain_side.dataReceived(b"up")
    joined.clock.advance(1.0)
    assert joined.wire.value() == b"!\n+up\n!\n"


def test_another_alarm_or_none_takes_the_place_of_an_alarm() -> None:
    joined, channel = alarmed(1.0)
    joined.clock.advance(0.9)
    channel.alarm = Alarm(1.0)
    joined.wire_side.dataReceived(b"+down\n")
    joined.clock.advance(0.9)
    assert joined.wire.value() == b""
    channel.alarm = None
    joined.wire_side.dataReceived(b"+down\n")
    joined.clock.advance(10)
    assert joined.wire.value() == b""


def test_a_long_alarm_rings_with_all_others_of_its_second() -> None:
    joined, channel = alarmed(45.0)
    timers = joined.clock.getDelayedCalls()
    assert len(timers) == 1  # that of the deadlines
    joined.clock.pump([1.0] * 44)
    assert joined.wire.value() == b""
    joined.clock.pump([1.0] * 2)
    assert joined.wire.value() == b"!\n"
    channel.alarm = Alarm(45.0)
    joined.plain_side.dataReceived(b"up")
    channel.alarm = None
    joined.plain_side.dataReceived(b"up")
    joined.clock.pump([1.0] * 50)
    assert joined.wire.value() == b"!\n+up\n+up\n"


def test_a_channel_that_has_waited_for_too_long_cuts() -> None:
    joined, channel = alarmed(1.0)
    channel.impatient = True
    joined.clock.advance(1.0)
    assert joined.cut


def test_no_alarm_rings_once_the_transports_close() -> None:
    joined, _ = alarmed(1.0)
    joined.relay.abort()
    for side in (joined.wire_side, joined.plain_side):
        lose(side)
    assert is_at_rest(joined.clock)


class LazyTransport(FakeTransport):
    """Sends, as TCP's does, not when it is written to but when the reactor comes round."""

    def __init__(self) -> None:
        super().__init__()
        self.reset_by_peer = False
        self._unsent: list[bytes] = []

    def write(self, data: bytes) -> None:
        self._unsent.append(data)

    def doWrite(self) -> Exception | None:  # noqa: N802
        if self.reset_by_peer:
            return ConnectionLost()
        super().write(b"".join(self._unsent))
        self._unsent.clear()
        return None


@pytest.mark.parametrize("lost", ["wire", "plain"])
def test_what_came_before_a_reset_is_sent_before_it(lost: str) -> None:
    joined = Joined(PassThrough(), start=False)
    other = connected(joined.plain_side if lost == "wire" else joined.wire_side, LazyTransport())
    joined.relay.start()
    side = joined.wire_side if lost == "wire" else joined.plain_side
    side.dataReceived(b"400 Bad Request")
    lose(side)
    assert other.value() == b"400 Bad Request"
    assert other.aborted


@pytest.mark.parametrize("seconds", [0.0, 0.01, 0.2])
def test_a_splice_passes_on_a_reset_that_answers_what_came_after_the_end(seconds: float) -> None:
    """Nobody tells us of it: where reading has ended, the reactor watches no more."""
    joined = Joined(start=False)
    site = connected(joined.plain_side, LazyTransport())
    splice = Splice(joined.wire_side, joined.plain_side, joined.context)
    splice.start()
    joined.plain_side.dataReceived(b"200 OK")
    joined.plain_side.readConnectionLost()
    joined.wire_side.dataReceived(b"still there?")
    joined.clock.advance(seconds)
    assert site.value() == b"still there?"
    assert not joined.wire.aborted
    site.reset_by_peer = True
    joined.clock.pump([0.1] * 3)
    assert joined.wire.value() == b"200 OK"
    assert joined.wire.aborted


def test_a_splice_passes_on_a_reset_after_the_end() -> None:
    joined = Joined(start=False)
    splice = Splice(joined.wire_side, joined.plain_side, joined.context)
    splice.start()
    joined.plain_side.readConnectionLost()
    lose(joined.plain_side)
    assert joined.wire.aborted


def test_a_splice_lets_a_reader_drain_what_ended_cleanly() -> None:
    joined = Joined(start=False)
    splice = Splice(joined.wire_side, joined.plain_side, joined.context)
    splice.start()
    joined.plain_side.dataReceived(b"200 OK")
    lose(joined.plain_side, clean=True)
    assert joined.wire.half_closed
    assert joined.wire.disconnecting
    assert not joined.wire.aborted


def test_a_clean_loss_without_half_close_counts_as_an_end() -> None:
    """TLS reports a close_notify as a lost connection only."""
    joined = Joined(PassThrough())
    joined.wire_side.dataReceived(b"all of it")
    lose(joined.wire_side, clean=True)
    assert joined.plain.value() == b"all of it"
    assert joined.plain.half_closed
    assert not joined.plain.aborted


def test_a_fin_from_before_the_join_is_not_forgotten() -> None:
    joined = Joined(PassThrough(), start=False)
    joined.plain_side.handler = joined.wire_side.handler = _Ignore()
    joined.wire_side.readConnectionLost()
    joined.relay.start()
    assert joined.plain.half_closed


def test_what_arrives_while_a_side_is_held_comes_in_order_after_the_join() -> None:
    joined = Joined(PassThrough(), start=False)
    joined.wire_side.handler = _Ignore()
    joined.wire_side.hold()
    joined.wire_side.dataReceived(b"second ")
    joined.wire_side.dataReceived(b"third")
    lose(joined.wire_side, clean=True)
    joined.relay.start([b"first "])
    assert joined.plain.value() == b"first second third"
    assert joined.plain.half_closed
    assert joined.plain.disconnecting
    assert not joined.plain.aborted


def test_a_side_lost_before_the_join_cuts_the_other() -> None:
    joined = Joined(start=False)
    joined.plain_side.handler = joined.wire_side.handler = _Ignore()
    lose(joined.plain_side)
    joined.relay.start()
    assert joined.wire.aborted


def test_silence_ends_the_connection_and_any_byte_renews_it() -> None:
    joined = Joined()
    joined.clock.pump([60.0])
    joined.plain_side.dataReceived(b"x")
    joined.clock.pump([60.0])
    assert not joined.wire.aborted
    joined.clock.pump([50.0])
    assert joined.cut


def test_a_peer_that_never_reads_its_last_bytes_is_not_waited_for_forever() -> None:
    joined = Joined()
    joined.plain_side.readConnectionLost()
    joined.wire_side.dataReceived(b".\n")
    assert len(joined.context.connections) == 1
    joined.clock.pump([101.0])
    assert joined.cut


def test_events_after_the_cut_change_nothing() -> None:
    joined = Joined()
    joined.relay.abort()
    before = joined.plain.value()
    joined.plain_side.readConnectionLost()
    lose(joined.wire_side)
    lose(joined.plain_side)
    assert joined.plain.value() == before
    assert not joined.plain.half_closed
    assert len(joined.context.connections) == 0


class _Ignore:
    def data_received(self, data: bytes) -> None: ...
    def read_ended(self) -> None: ...
    def lost(self) -> None: ...
