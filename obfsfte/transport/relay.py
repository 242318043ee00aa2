"""Two transports joined through a channel, each the other's producer and consumer.

```
   plain transport                                          wire transport
   ---- data_received --> channel.send --> data_to_send -------- write_all -->
   <--- write_all -------- channel.receive <----------------- data_received ---
```

When one transport cannot be written to, the other is not read: nothing is taken that
cannot be delivered, so memory per connection stays bounded however slow a reader is.

Each direction ends by itself: end of stream on the one side becomes a half-close of
the other. When both have ended, both transports are closed. Everything else that ends
a connection (reset, forged or truncated bytes, timeout) is carried as an abort, but to
a reader who has got all of the other's stream: a stream that was cut short must not
look complete, and one that is complete must not be cut. What came before a reset is sent
before it, as far as the socket takes it. The idle deadline stays until both transports
are gone, so that a reader who never drains his last bytes cannot hold them.
"""

from __future__ import annotations

from twisted.internet.interfaces import IDelayedCall
from twisted.logger import Logger

from obfsfte.alarm import Alarm
from obfsfte.channel import Buffers, Channel, PassThrough
from obfsfte.errors import WireError
from obfsfte.transport.context import Context
from obfsfte.transport.deadlines import Deadline
from obfsfte.transport.side import Side

log = Logger()

#: An alarm of so many seconds needs no timer of its own: it may ring a second late.
_LONG_ALARM = 10.0

#: When to look, in seconds after a write.
_LOOKS_FOR_RESET = (0.0, 0.003, 0.03, 0.3)


class Relay:
    """One connection, from the moment that both transports are there."""

    __slots__ = (
        "_alarm",
        "_channel",
        "_closing",
        "_connections",
        "_deadlines",
        "_idle",
        "_idle_seconds",
        "_plain",
        "_plain_ended",
        "_ringing",
        "_wire",
        "_wire_ended",
    )

    def __init__(self, wire: Side, channel: Channel, plain: Side, context: Context) -> None:
        self._wire = wire
        self._plain = plain
        self._channel = channel
        self._wire_ended = False  # the peer's stream is complete and passed on
        self._plain_ended = False  # the application's stream is complete and passed on
        self._closing = False  # both transports were told to close
        self._deadlines = context.deadlines
        self._alarm: Alarm | None = None  # the channel's, as last seen
        self._ringing: IDelayedCall | Deadline | None = None  # the timer for it
        self._idle_seconds = context.timeouts.idle
        self._idle = self._deadlines.add(self._idle_seconds, self.abort)
        self._connections = context.connections
        self._connections.add(self)

    def start(self, from_wire: Buffers = (), from_plain: bytes = b"") -> None:
        """Join the two, delivering first what arrived before they were joined."""
        self._wire.handler = _WireEvents(self)
        self._plain.handler = _PlainEvents(self)
        any_lost = self._wire.is_lost or self._plain.is_lost
        if not any_lost:
            self._join_producers()
        self._plain.write_all(from_wire)
        if from_plain:
            self._channel.send(from_plain)
        self._after_receive()
        # What ended in an earlier phase is an event that nobody repeats.
        if self._wire.has_read_ended:
            self.wire_read_ended()
        if self._plain.has_read_ended:
            self.plain_read_ended()
        for side in (self._wire, self._plain):
            side.release()
        if any_lost:
            self.side_lost()

    def _join_producers(self) -> None:
        self._wire.take_from(self._plain)
        self._plain.take_from(self._wire)

    def wire_received(self, data: bytes) -> None:
        self._idle.extend(self._idle_seconds)
        try:
            plain_data = self._channel.receive(data)
        except WireError as error:
            self._broken(error)
            return
        if plain_data:
            self._plain.write_all(plain_data)
        self._after_receive()

    def wire_read_ended(self) -> None:
        try:
            self._channel.receive_eof()
        except WireError as error:
            self._broken(error)
            return
        self._after_receive()
        # On a wire whose streams end by record, TCP's end is the end of both.
        if not self._channel.ends_with_fin:
            self._end_what_is_left()

    def plain_received(self, data: bytes) -> None:
        self._idle.extend(self._idle_seconds)
        self._channel.send(data)
        self._after_call()

    def plain_read_ended(self) -> None:
        if self._plain_ended or self._closing:
            return
        self._plain_ended = True
        self._channel.close()
        self._after_call()
        self._wire.take_no_more()
        if self._channel.ends_with_fin:
            self._wire.half_close()
        self._close_if_both_ended()

    def abort(self) -> None:
        """End both sides at once, visibly cut short."""
        self._begin_to_close()
        for side in (self._wire, self._plain):
            if not side.is_lost:
                side.abort()

    def side_lost(self) -> None:
        """A transport is gone."""
        self._end_what_is_left()
        if self._wire.is_lost and self._plain.is_lost:
            self._idle.cancel()
            self._connections.discard(self)

    def _end_what_is_left(self) -> None:
        """One side is gone: a side that has got all of the other's stream may drain it."""
        if self._closing:
            return
        self._begin_to_close()
        for side, complete in ((self._wire, self._plain_ended), (self._plain, self._wire_ended)):
            if side.is_lost:
                continue
            if complete:
                side.close()
            else:
                side.flush()
                side.abort()

    def _after_call(self) -> None:
        outgoing = self._channel.data_to_send()
        if outgoing:
            self._wire.write_all(outgoing)
        alarm = self._channel.alarm
        if alarm is not self._alarm:
            self._set_alarm(alarm)

    def _set_alarm(self, alarm: Alarm | None) -> None:
        if self._ringing is not None:
            self._ringing.cancel()
            self._ringing = None
        self._alarm = alarm
        if alarm is None or self._closing:
            return
        if alarm.seconds >= _LONG_ALARM:
            self._ringing = self._deadlines.add(alarm.seconds, self._ring)
        else:
            self._ringing = self._deadlines.clock.callLater(alarm.seconds, self._ring)

    def _ring(self) -> None:
        self._ringing = None
        try:
            self._channel.wake()
        except WireError as error:
            self._broken(error)
            return
        self._after_call()

    def _after_receive(self) -> None:
        self._after_call()
        if self._channel.peer_closed and not self._wire_ended:
            self._wire_ended = True
            self._plain.take_no_more()
            self._close_if_both_ended()
            if not self._closing and not self._plain.is_lost:
                self._plain.half_close()

    def _close_if_both_ended(self) -> None:
        if self._wire_ended and self._plain_ended and not self._closing:
            self._begin_to_close()
            self._wire.close()
            self._plain.close()

    def _begin_to_close(self) -> None:
        self._closing = True
        self._set_alarm(None)

    def _broken(self, error: WireError) -> None:
        log.info("connection cut: {reason}", reason=str(error))
        self.abort()


class Splice(Relay):
    """A stranger, on the wire's side, joined to the fallback site: nothing is changed.

    A reset is passed on even after the end of a stream. A site that has closed answers
    with one to whatever still comes, and a prober may look for it. Twisted does not watch a
    transport whose reading has ended, so it is looked at a few times after each such write.
    """

    __slots__ = ()

    def __init__(self, wire: Side, plain: Side, context: Context) -> None:
        super().__init__(wire, PassThrough(), plain, context)

    def wire_received(self, data: bytes) -> None:
        super().wire_received(data)
        if self._plain_ended:
            for seconds in _LOOKS_FOR_RESET:
                self._deadlines.clock.callLater(seconds, self._look_for_reset)

    def _look_for_reset(self) -> None:
        if not self._closing and not self._plain.flush():
            self._wire.flush()
            self.abort()

    def side_lost(self) -> None:
        if self._plain.was_reset or self._wire.was_reset:
            self._plain_ended = self._wire_ended = False
        super().side_lost()

    def part(self) -> None:
        """Leave the site, as a visitor does; the wire is somebody else's."""
        self._begin_to_close()
        self._idle.cancel()
        self._connections.discard(self)
        self._wire.take_no_more()
        self._plain.take_no_more()
        if not self._plain.is_lost:
            self._plain.close()


class _WireEvents:
    __slots__ = ("data_received", "lost", "read_ended")

    def __init__(self, relay: Relay) -> None:
        self.data_received = relay.wire_received
        self.read_ended = relay.wire_read_ended
        self.lost = relay.side_lost


class _PlainEvents:
    __slots__ = ("data_received", "lost", "read_ended")

    def __init__(self, relay: Relay) -> None:
        self.data_received = relay.plain_received
        self.read_ended = relay.plain_read_ended
        self.lost = relay.side_lost
