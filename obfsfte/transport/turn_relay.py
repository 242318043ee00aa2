"""A relay whose wire is a conversation in turns (`obfsfte.turn_channel`).

What differs from a relay on one connection, full duplex:

- The wire is always read, whether the application takes what it carries or not: until a message
  has come whole, the other direction stands still. Its transport, when it shall pause, lets
  the channel tell the peer to send no more (`TurnWire`).
- The application is read until the channel is full, not until the wire is: its queue fills while
  a message is on its way.
- The wire's connection may end between two messages.
- What waits has to be said after the application has left, and the end needs its answer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.logger import Logger

from obfsfte.errors import WireError
from obfsfte.transport.context import Context
from obfsfte.transport.relay import Relay
from obfsfte.transport.side import Side

if TYPE_CHECKING:
    from obfsfte.turn_channel import TurnChannel

log = Logger()


class TurnRelay(Relay):
    """One conversation, from the moment that it and the application's transport are there."""

    __slots__ = ("_is_full",)

    _channel: TurnChannel

    def __init__(self, wire: Side, channel: TurnChannel, plain: Side, context: Context) -> None:
        super().__init__(wire, channel, plain, context)
        self._is_full = False

    def _join_producers(self) -> None:
        self._plain.read_much()
        self._plain.take_from(self._wire)

    def wire_read_ended(self) -> None:
        try:
            self._channel.receive_eof()
        except WireError as error:
            self._broken(error)
            return
        self._after_call()

    def _after_call(self) -> None:
        # A client has said all with what it has heard, a server with what it says now.
        if self._ends_with_its_application():
            return
        super()._after_call()
        if self._ends_with_its_application():
            return
        if self._channel.is_full is not self._is_full:
            self._is_full = not self._is_full
            if not self._plain.is_lost:
                transport = self._plain.transport
                (transport.pauseProducing if self._is_full else transport.resumeProducing)()
        self._close_if_both_ended()

    def _ends_with_its_application(self) -> bool:
        """End it if the application is gone, and all that it said has been delivered."""
        if not self._plain.is_lost or not self._channel.is_flushed:
            return False
        self._end_what_is_left()
        return True

    def _broken(self, error: WireError) -> None:
        # As if the connection had been reset: what was complete before stays so.
        log.info("connection cut: {reason}", reason=str(error))
        if not self._wire.is_lost:
            self._wire.abort()

    def _close_if_both_ended(self) -> None:
        if self._channel.finished:
            super()._close_if_both_ended()

    def _end_what_is_left(self) -> None:
        is_saying = self._plain_ended and not self._channel.is_flushed
        if self._wire.is_lost or not is_saying:
            super()._end_what_is_left()
