"""One end of a connection: a transport, and whoever handles its events now.

A connection passes through phases (SOCKS request, handshake or gate, relay), each
written as its own handler. The protocol object stays and the handler is exchanged:
that works on every transport, also on TLS, where `transport.protocol` is not ours.
"""

from __future__ import annotations

import contextlib
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import (
    IHalfCloseableProtocol,
    IHandshakeListener,
    INegotiated,
    ITransport,
)
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.channel import Buffers
from obfsfte.transport.outlet import READ_SIZE, Outlet, leave_to_twisted, takes_writes_at_once

#: What is kept of a peer who says more before we can listen; one read may exceed it.
HELD_BYTES = 1 << 14


class Handler(Protocol):
    """What a phase of a connection does with the events of one side."""

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""

    def read_ended(self) -> None:
        """The other end sent its FIN; it may still read."""

    def lost(self) -> None:
        """The transport is gone. Comes last and once; without `read_ended`: an abort."""


@implementer(IHalfCloseableProtocol, IHandshakeListener)
class Side(TwistedProtocol):
    """The protocol object of one transport, for its whole life."""

    transport: Any
    handler: Handler

    def __init__(self, handler: Handler | None = None) -> None:
        if handler is not None:
            self.handler = handler
        self.is_lost = False
        self.was_reset = False
        self.has_read_ended = False
        self._held: list[Callable[[], None]] | None = None
        self._room = 0  # bytes until a held side is read no more
        self._outlet: Outlet | None = None
        self._on_end: Callable[[], None] | None = None
        self._securing: Deferred[None] | None = None

    def until_secure(self) -> Deferred[None] | None:
        """Fires when TLS is set up; None where there is no TLS.

        Fails with what the transport was lost with; the handler is then told nothing.
        Cancelling aborts it.
        """
        if not INegotiated.providedBy(self.transport):
            return None
        self._securing = Deferred(lambda _: self.abort())
        return self._securing

    def handshakeCompleted(self) -> None:
        # Twisted 22.4 also calls this after it has refused a certificate's name, and hung up.
        if self.transport.disconnecting:
            return
        securing, self._securing = self._securing, None
        if securing is not None:
            securing.callback(None)

    def hold(self, on_end: Callable[[], None] | None = None) -> None:
        """Keep what arrives for `release`, and read no further when that is `HELD_BYTES`.

        A transport that is not read at all does not notice that the other end has left. A
        reset is told to the handler at once. A FIN is kept, for it may be half of a close;
        `on_end` is called for it where it cannot be.
        """
        self._on_end = on_end
        if self._held is None:
            self._held = []
            self._room = HELD_BYTES

    def release(self) -> None:
        """Read on, if it was held; the handler there is now gets what was kept first."""
        if self._held is None:
            return
        held, self._held = self._held, None
        if self._room <= 0 and not self.is_lost:
            self.transport.resumeProducing()
        for event in held:
            event()

    def connectionMade(self) -> None:
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            # Sockets of unix: are asked as well, and Twisted 22.4 raises what the kernel says.
            with contextlib.suppress(OSError):
                set_no_delay(True)
            self.transport.setTcpKeepAlive(True)
        if takes_writes_at_once(self.transport):
            # What was said on it before us (a preface) was answered, and so does not wait.
            self._outlet = Outlet(self.transport)
        # A client endpoint's wrapper has done its work. It costs a call for each read, and shows
        # only one of our interfaces, the wrong one for TCP.
        wrapper = getattr(self.transport, "protocol", self)
        if (
            wrapper is not self
            and IHandshakeListener.providedBy(wrapper)
            and not INegotiated.providedBy(self.transport)
        ):
            self.transport.protocol = self

    def dataReceived(self, data: bytes) -> None:
        if self._held is None:
            self.handler.data_received(data)
            return
        self._held.append(partial(self.dataReceived, data))
        if self._room > 0:
            self._room -= len(data)
            if self._room <= 0:
                self.transport.pauseProducing()

    def readConnectionLost(self) -> None:
        # Twisted takes a hang-up for a FIN. Linux may show one a moment before it shows of what
        # kind it is: a few resets of a thousand came as clean ends.
        if self._outlet is not None and self._outlet.has_failed():
            self.abort()
        else:
            self._read_ended()

    def _read_ended(self) -> None:
        if self._held is None:
            self.has_read_ended = True
            self.handler.read_ended()
            return
        self._held.append(self._read_ended)
        if self._on_end is not None:
            self._on_end()

    def writeConnectionLost(self) -> None:
        """Our FIN is out; nothing follows from it here."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        self.is_lost = True
        if self._securing is not None:
            if not self._securing.called:  # not cancelled
                self._securing.errback(reason)
            return
        # A transport that cannot close by halves (TLS) reports a clean end only here.
        if reason is not None and isinstance(reason.value, ConnectionDone):
            if not self.has_read_ended:
                self._read_ended()
            if self._held is not None:
                self._held.append(self._lost)
                return
        else:
            self.was_reset = True
        self._lost()

    def _lost(self) -> None:
        self.handler.lost()

    def read_much(self) -> None:
        """Read as much at once as suits bulk."""
        if self._outlet is not None:
            self.transport.bufferSize = READ_SIZE

    def take_from(self, source: Side) -> None:
        """From now on `source` is read only while what it brings can be written here."""
        source.read_much()
        if self._outlet is None:
            self.transport.registerProducer(source.transport, True)
        else:
            self._outlet.take_from(source.transport)

    def take_no_more(self) -> None:
        """The source's stream has ended."""
        if self._outlet is None:
            self.transport.unregisterProducer()
        else:
            self._outlet.end()

    def write_all(self, buffers: Buffers) -> None:
        if not buffers:
            return
        if self._outlet is None:
            leave_to_twisted(self.transport, buffers)
        else:
            self._outlet.write(buffers)

    def flush(self) -> bool:
        """Send now, of what was written, as much as the socket takes.

        Written bytes wait for the reactor's next turn; an abort before it drops them.
        Returns False when it turns out that the peer has reset the connection.
        """
        do_write = getattr(self.transport, "doWrite", None)
        return do_write is None or do_write() is None

    def half_close(self) -> None:
        """Send FIN after all that was written; where there are no halves (TLS), close."""
        lose_write = getattr(self.transport, "loseWriteConnection", None)
        # TLS's transport passes unknown methods on to the one below: not this one, please.
        if lose_write is None or INegotiated.providedBy(self.transport):
            self.transport.loseConnection()
        else:
            lose_write()

    def close(self) -> None:
        """Close after all that was written has been sent."""
        self.transport.loseConnection()

    def abort(self) -> None:
        """Close at once, with RST where there is one: never taken for a clean end."""
        abort_transport(self.transport)


def abort_transport(transport: ITransport) -> None:
    """Abort a transport of any kind."""
    abort = getattr(transport, "abortConnection", transport.loseConnection)
    abort()
