"""A TCP relay on a bare Twisted, which only copies: what a pair of halves in Twisted can reach.

Run `python bench/bare.py LISTEN_PORT CONNECT_PORT [BUFFER]`, all on loopback.
"""

from __future__ import annotations

import sys
from typing import Any

from twisted.internet import reactor as _reactor
from twisted.internet.protocol import ClientFactory, Factory, Protocol

reactor: Any = _reactor


class Relay(Protocol):
    """One side; what it receives is written to the other."""

    transport: Any
    other: Relay | None = None
    size = 1 << 16

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        self.transport.bufferSize = self.size

    def dataReceived(self, data: bytes) -> None:
        assert self.other is not None
        self.other.transport.write(data)

    def connectionLost(self, reason: object = None) -> None:
        if self.other is not None:
            self.other.transport.loseConnection()


class Accepted(Relay):
    def connectionMade(self) -> None:
        super().connectionMade()
        self.transport.pauseProducing()
        reactor.connectTCP("127.0.0.1", CONNECT_PORT, Dialler(self))


class Dialled(Relay):
    def connectionMade(self) -> None:
        super().connectionMade()
        assert self.other is not None
        self.other.other = self
        self.transport.registerProducer(self.other.transport, True)
        self.other.transport.registerProducer(self.transport, True)
        self.other.transport.resumeProducing()


class Dialler(ClientFactory):
    noisy = False

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted

    def buildProtocol(self, addr: object) -> Dialled:
        dialled = Dialled()
        dialled.other = self._accepted
        return dialled


if __name__ == "__main__":
    LISTEN_PORT, CONNECT_PORT, Relay.size = (*map(int, sys.argv[1:]), 1 << 16)[:3]
    reactor.listenTCP(LISTEN_PORT, Factory.forProtocol(Accepted), 4096, "127.0.0.1")
    reactor.run()
