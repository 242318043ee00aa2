"""One end of a connection: a transport, and whoever handles its events now.

A connection passes through phases (SOCKS request, handshake or gate, relay), each
written as its own handler. The protocol object stays and the handler is exchanged:
that works on every transport, also on TLS, where `transport.protocol` is not ours.
"""

from __future__ import annotations

from typing import Any, Protocol

from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, INegotiated, ITransport
from twisted.internet.protocol import Protocol as TwistedProtocol
from twisted.python.failure import Failure
from zope.interface import implementer


class Handler(Protocol):
    """What a phase of a connection does with the events of one side."""

    def data_received(self, data: bytes) -> None:
        """Bytes arrived."""

    def read_ended(self) -> None:
        """The other end sent its FIN; it may still read."""

    def lost(self) -> None:
        """The transport is gone. Comes last and once; without `read_ended`: an abort."""


@implementer(IHalfCloseableProtocol)
class Side(TwistedProtocol):
    """The protocol object of one transport, for its whole life."""

    transport: Any
    handler: Handler

    def __init__(self, handler: Handler | None = None) -> None:
        if handler is not None:
            self.handler = handler
        self.is_lost = False
        self.has_read_ended = False

    def connectionMade(self) -> None:
        set_no_delay = getattr(self.transport, "setTcpNoDelay", None)
        if set_no_delay is not None:
            set_no_delay(True)
            self.transport.setTcpKeepAlive(True)

    def dataReceived(self, data: bytes) -> None:
        self.handler.data_received(data)

    def readConnectionLost(self) -> None:
        self.has_read_ended = True
        self.handler.read_ended()

    def writeConnectionLost(self) -> None:
        """Our FIN is out; nothing follows from it here."""

    def connectionLost(self, reason: Failure | None = None) -> None:
        # A transport that cannot close by halves (TLS) reports a clean end only here.
        clean = reason is not None and reason.check(ConnectionDone) is not None
        if clean and not self.has_read_ended:
            self.readConnectionLost()
        self.is_lost = True
        self.handler.lost()

    def write_all(self, buffers: list[bytes]) -> None:
        if buffers:
            self.transport.writeSequence(buffers)

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
