"""Writing to a TCP transport at once, as far as its socket takes it.

What is written to a Twisted transport waits until the reactor has asked whether the socket
can be written to: one more turn, two more system calls, and a copy of all pieces into
one. Most of the time the socket can, so here it is tried first, with all pieces in one call
(sendmsg(2)). Only what is left over goes to the transport; until it says that all of that is
sent, everything else does too, and the side that it comes from is not read.

```
   write --> socket, if nothing waits     resumeProducing: all is sent
        '--> transport, the rest   - - ->  the source is read again
```
"""

from __future__ import annotations

from socket import SO_ERROR, SOL_SOCKET
from typing import Any

from twisted.internet.interfaces import IPullProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

from obfsfte.channel import Buffers

#: Bytes of one read. Twisted's own 64 KB cost twice the turns of the reactor; more would make
#: malloc fetch the memory of each read from the kernel.
READ_SIZE = 1 << 18

#: The same for a slow link. A peer cannot deliver a record before all of it has come, and a link of
#: 2 Mbit/s needs a second for a read of the other size.
SLOW_READ_SIZE = 1 << 15
#: Seconds until a link has sent what waits, from which on it is a slow one.
_SLOW = 0.02
#: After so many writes that did not wait, it may be one no more.
_WRITES_OF_A_FAST_LINK = 16

#: Pieces of one call; more are joined. (A vector may have 1024: UIO_MAXIOV.)
_MOST_PIECES = 64


def takes_writes_at_once(transport: object) -> bool:
    """Whether it is a socket's, with nothing in between, as TLS would be."""
    return isinstance(transport, Connection) and not transport.TLS


def leave_to_twisted(transport: Any, pieces: Buffers) -> None:
    """Write them as Twisted does, which takes only bytes; what is bytes already is not copied."""
    transport.writeSequence([bytes(piece) for piece in pieces])


@implementer(IPullProducer)
class Outlet:
    """All that is written to one transport, from its first byte on, goes through this."""

    __slots__ = ("_behind_since", "_is_behind", "_socket", "_source", "_transport", "_until_fast")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._socket = transport.getHandle()
        self._source: Any = None
        self._is_behind = False
        self._behind_since = 0.0
        self._until_fast = 0  # writes at once until a slow link is taken for a fast one

    def take_from(self, source: Any) -> None:
        """From now on the transport `source` is read only while nothing waits here."""
        self._source = source
        if self._is_behind:
            source.pauseProducing()

    def write(self, pieces: Buffers) -> None:
        """Send, or keep what the socket does not take."""
        if not self._is_behind:
            pieces = self._send(pieces)
            if not pieces:
                if self._until_fast:
                    self._until_fast -= 1
                    if not self._until_fast:
                        self._read_at_once(READ_SIZE)
                return
            # As a pull producer, we are told when all is sent; and once now, for nothing.
            self._transport.registerProducer(self, False)
            self._is_behind = True
            self._behind_since = self._transport.reactor.seconds()
            if self._source is not None:
                self._source.pauseProducing()
        leave_to_twisted(self._transport, pieces)

    def _send(self, pieces: Buffers) -> Buffers:
        """What is left when the socket has taken what it can."""
        if len(pieces) > _MOST_PIECES:
            pieces = [b"".join(pieces)]
        try:
            if len(pieces) == 1:
                sent = self._socket.send(pieces[0])
            else:
                sent = self._socket.sendmsg(pieces)
        except OSError:  # it is full, or broken, which the transport will find as well
            return pieces
        for number, piece in enumerate(pieces):
            size = len(piece)
            if sent < size:
                return [piece[sent:], *pieces[number + 1 :]]
            sent -= size
        return []

    def has_failed(self) -> bool:
        """Whether the socket has an error to tell: a reset, above all."""
        return self._socket.getsockopt(SOL_SOCKET, SO_ERROR) != 0

    def end(self) -> None:
        """The source has ended; what is written from here on holds nobody."""
        self._source = None
        if self._is_behind:
            # Transports close when all is sent, but not while they have a producer.
            self._transport.unregisterProducer()

    def resumeProducing(self) -> None:
        """All is sent."""
        if self._is_behind:
            self._is_behind = False
            self._transport.unregisterProducer()
            waited = self._transport.reactor.seconds() - self._behind_since
            if waited > _SLOW:
                self._until_fast = _WRITES_OF_A_FAST_LINK
                self._read_at_once(SLOW_READ_SIZE)
            if self._source is not None:
                self._source.resumeProducing()

    def _read_at_once(self, size: int) -> None:
        if self._source is not None:
            self._source.bufferSize = size

    def stopProducing(self) -> None:
        """The transport is gone; its protocol is told, and ends the other side."""
