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

from collections.abc import Sequence
from typing import Any

from twisted.internet.interfaces import IPullProducer
from twisted.internet.tcp import Connection
from zope.interface import implementer

#: Bytes of one read. Twisted's own 64 KB cost twice the turns of the reactor; more would make
#: malloc fetch the memory of each read from the kernel.
READ_SIZE = 1 << 18

#: Pieces of one call; more are joined. (A vector may have 1024: UIO_MAXIOV.)
_MOST_PIECES = 64


def takes_writes_at_once(transport: object) -> bool:
    """Whether it is a socket's, with nothing in between, as TLS would be."""
    return isinstance(transport, Connection) and not transport.TLS


@implementer(IPullProducer)
class Outlet:
    """All that is written to one transport, from its first byte on, goes through this."""

    __slots__ = ("_is_behind", "_socket", "_source", "_transport")

    def __init__(self, transport: Any) -> None:
        self._transport = transport
        self._socket = transport.getHandle()
        self._source: Any = None
        self._is_behind = False

    def take_from(self, source: Any) -> None:
        """From now on the transport `source` is read only while nothing waits here."""
        self._source = source
        if self._is_behind:
            source.pauseProducing()

    def write(self, pieces: Sequence[bytes]) -> None:
        """Send, or keep what the socket does not take."""
        if not self._is_behind:
            pieces = self._send(pieces)
            if not pieces:
                return
            # As a pull producer, we are told when all is sent; and once now, for nothing.
            self._transport.registerProducer(self, False)
            self._is_behind = True
            if self._source is not None:
                self._source.pauseProducing()
        self._transport.writeSequence(pieces)

    def _send(self, pieces: Sequence[bytes]) -> Sequence[bytes]:
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
            if sent < len(piece):
                return [piece[sent:], *pieces[number + 1 :]]
            sent -= len(piece)
        return []

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
            if self._source is not None:
                self._source.resumeProducing()

    def stopProducing(self) -> None:
        """The transport is gone; its protocol is told, and ends the other side."""
