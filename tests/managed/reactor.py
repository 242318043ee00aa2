"""A reactor without sockets, which gives out ports and resolves names as a test says."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.error import CannotListenError
from twisted.internet.interfaces import (
    IHostnameResolver,
    IListeningPort,
    IResolutionReceiver,
)
from twisted.internet.protocol import ServerFactory
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.transport.side import Side

from ..transport.fakes import FakeReactor, FakeTransport, Resolution, connected

FIRST_PORT = 40000


@implementer(IHostnameResolver)
class Names:
    """Resolves the names that it was given, and counts the questions."""

    def __init__(self, known: Mapping[str, Sequence[str]]) -> None:
        self._known = known
        self.asked: list[str] = []

    def resolveHostName(  # noqa: N802
        self,
        resolutionReceiver: IResolutionReceiver,  # noqa: N803
        hostName: str,  # noqa: N803
        portNumber: int = 0,  # noqa: N803
        *_others: object,
        **_options: object,
    ) -> IResolutionReceiver:
        self.asked.append(hostName)
        resolutionReceiver.resolutionBegan(Resolution(hostName))
        for host in self._known.get(hostName, ()):
            kind = IPv6Address if ":" in host else IPv4Address
            resolutionReceiver.addressResolved(kind("TCP", host, portNumber))
        resolutionReceiver.resolutionComplete()
        return resolutionReceiver


class Reactor(FakeReactor):
    """`listening` has (interface, port) of the ports that are open now."""

    def __init__(self, **names: Sequence[str]) -> None:
        super().__init__()
        self.names = Names({name.replace("_", "."): hosts for name, hosts in names.items()})
        self.nameResolver = self.names
        self.listening: list[tuple[str, int]] = []
        self.in_use = False
        self._next_port = FIRST_PORT

    def listenTCP(  # noqa: N802
        self, port: int, factory: ServerFactory, backlog: int = 50, interface: str = ""
    ) -> IListeningPort:
        if self.in_use:
            raise CannotListenError(interface, port, OSError(98, "Address already in use"))
        if port == 0:
            port, self._next_port = self._next_port, self._next_port + 1
        super().listenTCP(port, factory, backlog, interface)
        self.listening.append((interface, port))
        return _Port(self, interface, port)

    def accept(self, index: int = -1) -> tuple[Side, FakeTransport]:
        """Somebody connects to a port that was opened."""
        side = self.tcpServers[index][1].buildProtocol(IPv4Address("TCP", "192.0.2.7", 51234))
        assert isinstance(side, Side)
        return side, connected(side)

    @property
    def dialled(self) -> list[tuple[str, int]]:
        """Where connections were attempted, in order."""
        return [(client[0], client[1]) for client in self.tcpClients]

    @property
    def sources(self) -> list[Any]:
        """The source addresses of these."""
        return [client[4] for client in self.tcpClients]

    def answer(self, index: int = -1) -> tuple[Any, FakeTransport]:
        """A connection attempt succeeds."""
        transport = FakeTransport()
        transport.protocol = self.tcpClients[index][2].buildProtocol(None)
        transport.protocol.makeConnection(transport)
        return transport.protocol, transport

    def refuse(self, error: Exception, index: int = -1) -> None:
        """A connection attempt fails."""
        self.tcpClients[index][2].clientConnectionFailed(None, Failure(error))


@implementer(IListeningPort)
class _Port:
    def __init__(self, reactor: Reactor, interface: str, port: int) -> None:
        self._reactor = reactor
        self._place = (interface, port)

    def startListening(self) -> None:  # noqa: N802
        pass

    def stopListening(self) -> None:  # noqa: N802
        self._reactor.listening.remove(self._place)

    def getHost(self) -> IPv4Address | IPv6Address:  # noqa: N802
        kind = IPv6Address if ":" in self._place[0] else IPv4Address
        return kind("TCP", *self._place)
