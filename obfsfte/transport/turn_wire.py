"""What the wires of conversations in turns have in common, at either half.

Such a wire is a transport to its relay, and has connections, one at a time, of its own. It is
read whether its relay wants to or not: pausing it makes the channel mute the peer.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from twisted.internet.interfaces import IPushProducer
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.transport.side import Handler, Side

if TYPE_CHECKING:
    from obfsfte.turn_channel import TurnChannel


@implementer(IPushProducer)
class TurnWire:
    """The transport of `side`, which tells its handler what comes."""

    def __init__(self, channel: TurnChannel, handler: Handler | None = None) -> None:
        self.side = Side(handler)
        self._channel = channel
        self.side.makeConnection(self)

    def pauseProducing(self) -> None:
        """The application takes nothing at the moment."""
        self._channel.blocked = True

    def resumeProducing(self) -> None:
        """It does again."""
        if self._channel.blocked:
            self._channel.unblock()
            self.deliver(b"")  # there may be something to say now

    def stopProducing(self) -> None:
        """The application is gone; the relay is told that, too."""

    def unregisterProducer(self) -> None:
        """There is none."""

    def deliver(self, data: bytes) -> None:
        """Bytes have come on a connection."""
        if not self.side.is_lost:
            self.side.dataReceived(data)

    def end(self, error: Exception) -> None:
        """The conversation is over, or cut."""
        if not self.side.is_lost:
            self.side.connectionLost(Failure(error))
