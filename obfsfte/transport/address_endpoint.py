"""The way to an IP address, with nothing left between the transport and the protocol.

```
 connectTCP --> _Introduction.makeConnection      the protocol takes its place at the transport,
                                                  is connected, and the endpoint's Deferred fires
```
Twisted's endpoints for addresses do this with a protocol that stays between the two.
"""

from __future__ import annotations

from ipaddress import ip_address
from typing import Any

from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.error import NoProtocol
from twisted.internet.interfaces import (
    IConnector,
    IProtocol,
    IProtocolFactory,
    IStreamClientEndpoint,
)
from twisted.internet.protocol import ClientFactory, Protocol
from twisted.python.failure import Failure
from zope.interface import implementer


def tcp_endpoint(reactor: Any, host: str, port: int) -> IStreamClientEndpoint:
    """The way to an IP address, or to a name in ASCII, which is then looked up.

    HostnameEndpoint takes both, but asks a thread even for addresses, each time.
    """
    try:
        ip_address(host)
    except ValueError:
        return HostnameEndpoint(reactor, host, port)
    return AddressEndpoint(reactor, host, port)


@implementer(IStreamClientEndpoint)
class AddressEndpoint:
    """Connects to an IP address, of either version."""

    def __init__(self, reactor: Any, host: str, port: int) -> None:
        self._reactor = reactor
        self._host = host
        self._port = port

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        attempt = _Attempt(protocolFactory)
        try:
            self._reactor.connectTCP(self._host, self._port, attempt)
        except OSError:  # an address of a scope that there is not
            return fail()
        return attempt.connected


class _Attempt(ClientFactory):
    noisy = False

    _connector: IConnector

    def __init__(self, factory: IProtocolFactory) -> None:
        self.connected: Deferred[IProtocol] = Deferred(self._cancelled)
        self._factory = factory

    def doStart(self) -> None:
        self._factory.doStart()

    def doStop(self) -> None:
        self._factory.doStop()

    def startedConnecting(self, connector: IConnector) -> None:
        self._connector = connector

    def buildProtocol(self, addr: Any) -> Protocol | None:
        protocol = self._factory.buildProtocol(addr)
        if protocol is None:
            self.connected.errback(NoProtocol())
            return None
        return _Introduction(protocol, self.connected)

    def clientConnectionFailed(self, connector: IConnector, reason: Failure) -> None:
        if not self.connected.called:
            self.connected.errback(reason)

    def _cancelled(self, connected: Deferred[IProtocol]) -> None:
        connected.errback(CancelledError())  # rather than what the connector makes of it
        self._connector.stopConnecting()


class _Introduction(Protocol):
    """Stands in for a protocol until there is a transport for it."""

    def __init__(self, protocol: Any, connected: Deferred[IProtocol]) -> None:
        self._protocol = protocol
        self._connected = connected

    def makeConnection(self, transport: Any) -> None:
        transport.protocol = self._protocol
        self._protocol.makeConnection(transport)
        self._connected.callback(self._protocol)
