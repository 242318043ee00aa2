"""The client side of tor's managed proxy: each SOCKS5 request names a bridge to dial.

```
 tor --- SOCKS5: bridge's address, arguments of its line ---> us ~~~ covertext ~~~> bridge
```
Which wire a connection speaks is in its arguments, so nothing of any wire is loaded
before tor was answered; then what most bridges speak.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from functools import cached_property
from typing import TYPE_CHECKING, Any

from twisted.internet.defer import CancelledError
from twisted.internet.endpoints import TCP4ServerEndpoint
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import ClientFactory, Factory
from twisted.python.failure import Failure
from zope.interface import directlyProvides, providedBy

from obfsfte.errors import ConfigError
from obfsfte.managed.proxy import ManagedProxy, state_path
from obfsfte.places import BACKLOG, secured
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.client_config import ClientConfig
from obfsfte.service import TunnelService, make_context
from obfsfte.transport.address_endpoint import tcp_endpoint
from obfsfte.transport.client import Bridge, ClientConnection
from obfsfte.transport.context import Context
from obfsfte.transport.dial import warn_unreached
from obfsfte.transport.socks import SocksRequest
from obfsfte.transport.socks_listener import SocksPhase, SocksServerProtocol
from obfsfte.way import way_to

if TYPE_CHECKING:
    from obfsfte.covers.catalogue import Catalogue

#: Loopback, for tor alone.
_SOCKS_HOST = "127.0.0.1"

#: Bridges that are kept ready; any program of this machine may ask for more.
_MOST_BRIDGES = 64


class ManagedClient(ManagedProxy):
    """One SOCKS5 listener for all bridges."""

    _plugin: ClientTransportPlugin

    def __init__(self, reactor: Any, plugin: ClientTransportPlugin) -> None:
        super().__init__(reactor, plugin)
        self._dialler = _dialler(reactor, plugin.config)
        self._context = make_context(reactor)
        self._bridges: dict[tuple[str, int, frozenset[tuple[str, str]]], Bridge] = {}

    async def launch(self) -> None:
        if self._plugin.config.getProxy() is not None:
            self._plugin.reportProxySuccess()
        await super().launch()
        if self._tunnels:
            self._reactor.callLater(0, self._prepare)

    def _prepare(self) -> None:
        """Load what most bridge lines ask for, now that tor does not wait for it any more."""
        import obfsfte.wires  # noqa: F401 - and all that it takes
        from obfsfte.covers.catalogue import DEFAULT_COVER

        with suppress(ConfigError):  # of one's own covers: for whoever asks for a bridge
            self._catalogue.get(DEFAULT_COVER)

    async def _launch(self, name: str) -> None:
        factory = _SocksFactory(self._requested, self._context)
        endpoint = TCP4ServerEndpoint(self._reactor, 0, BACKLOG, _SOCKS_HOST)
        tunnel = TunnelService("SOCKS listener", endpoint, _SOCKS_HOST, factory, self._context)
        port = await tunnel.listen()
        self._tunnels.append(tunnel)
        address: Any = port.getHost()
        self._plugin.reportMethodSuccess(name, "socks5", (address.host, address.port))

    def _requested(self, request: SocksRequest, phase: SocksPhase) -> None:
        bridge = self._bridge(request)
        connection = ClientConnection(phase.side, bridge, self._context)
        # Nobody says all that he has to say to a bridge before he knows that there is one.
        established = connection.start(phase.succeed, half_closes=False)
        established.addErrback(self._not_established, phase)

    def _not_established(self, failure: Failure, phase: SocksPhase) -> None:
        if failure.check(CancelledError) is None:
            warn_unreached("bridge", failure)
        phase.fail(failure)

    def _bridge(self, request: SocksRequest) -> Bridge:
        """What a line asks for, made once: tor says it anew for each connection."""
        line = (request.host, request.port, frozenset(request.arguments.items()))
        bridge = self._bridges.get(line)
        if bridge is None:
            if len(self._bridges) >= _MOST_BRIDGES:
                self._bridges.clear()
            bridge = self._bridges[line] = self._make_bridge(request)
        return bridge

    def _make_bridge(self, request: SocksRequest) -> Bridge:
        from obfsfte.bridge import unix_time
        from obfsfte.wires import client_wire

        way = way_to(request.host, request.port, request.arguments)
        endpoint = secured(self._endpoint(way.host, way.port), way)
        return Bridge(endpoint, client_wire(request.arguments, self._catalogue, unix_time))

    @cached_property
    def _catalogue(self) -> Catalogue:
        from obfsfte.own_covers import catalogue

        return catalogue(state=state_path(self._plugin))

    def _endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        proxy = self._plugin.config.getProxy()
        if proxy is None:
            return tcp_endpoint(self._dialler, host, port)
        from obfsfte.transport.outbound_proxy import ProxiedEndpoint, ProxyAddress

        credentials = self._plugin.config.getProxyCredentials()
        address = ProxyAddress(proxy.scheme, str(proxy.hostname), int(proxy.port or 0), credentials)
        way_to_proxy = tcp_endpoint(self._dialler, address.host, address.port)
        return ProxiedEndpoint(self._reactor, way_to_proxy, address, host, port)


def _dialler(reactor: Any, config: ClientConfig) -> Any:
    """The reactor, as endpoints shall see it."""
    if config.outboundBindAddressV4 is None and config.outboundBindAddressV6 is None:
        return reactor
    return _Dialler(reactor, config)


class _Dialler:
    """The reactor, to endpoints; connections leave from the address that tor wants.

    Which one that is depends on the address family, which for a name is not known before
    the endpoint has resolved it.
    """

    def __init__(self, reactor: Any, config: ClientConfig) -> None:
        self._reactor = reactor
        self._config = config
        directlyProvides(self, providedBy(reactor))

    def __getattr__(self, name: str) -> Any:
        return getattr(self._reactor, name)

    def connectTCP(
        self,
        host: str,
        port: int,
        factory: ClientFactory,
        timeout: float = 30,
        bindAddress: tuple[str, int] | None = None,
    ) -> Any:
        """As the reactor's; no endpoint here has a `bindAddress` of its own."""
        source = self._config.getOutboundBindAddress(host)
        bind = bindAddress if source is None else (source, 0)
        return self._reactor.connectTCP(host, port, factory, timeout, bind)


class _SocksFactory(Factory):
    noisy = False

    def __init__(
        self, on_request: Callable[[SocksRequest, SocksPhase], None], context: Context
    ) -> None:
        self._on_request = on_request
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> SocksServerProtocol:
        return _Accepted(self._on_request, self._context)


class _Accepted(SocksServerProtocol):
    """Counted until it is gone: also one that has not asked yet, or reads why not, may finish."""

    def __init__(
        self, on_request: Callable[[SocksRequest, SocksPhase], None], context: Context
    ) -> None:
        super().__init__(on_request, context.deadlines)
        self._connections = context.connections

    def connectionMade(self) -> None:
        self._connections.add(self)
        super().connectionMade()

    def connectionLost(self, reason: Failure | None = None) -> None:
        super().connectionLost(reason)
        self._connections.discard(self)
