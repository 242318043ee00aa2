"""Tor's managed proxy: pt-spec's handshake around the same services as everywhere.

```
 tor --- environment, stdin ---> obfsfte pt --- VERSION, CMETHOD/SMETHOD, LOG ---> tor
```
Client side: one SOCKS5 listener; each request names a bridge and brings its line's
arguments. Server side: one listener per transport, which delivers to tor's ORPort, or
to its ExtORPort, so that tor can count countries and transports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from twisted.application.service import MultiService
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import (
    HostnameEndpoint,
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
    TCP6ServerEndpoint,
)
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from obfsfte.bridge import Publisher, session_wires, unix_time
from obfsfte.bridge_line import TRANSPORT
from obfsfte.channel import Channel
from obfsfte.classic import DEFAULT_KEY, ClassicKey
from obfsfte.errors import ConfigError
from obfsfte.own_covers import catalogue
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.service import (
    BACKLOG,
    ListenError,
    TunnelService,
    client_endpoint,
    make_context,
    make_site,
)
from obfsfte.state import StateDirectory
from obfsfte.transport.client import Bridge, ClientConnection
from obfsfte.transport.context import Context
from obfsfte.transport.dial import describe
from obfsfte.transport.extorport import ExtORPortEndpoint
from obfsfte.transport.outbound_proxy import ProxiedEndpoint, ProxyAddress
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.transport.socks import SocksRequest
from obfsfte.transport.socks_listener import SocksPhase, SocksServerProtocol
from obfsfte.wires import ClassicWire, ServerWire, client_wire, served_releases

log = Logger()

#: Loopback, for tor alone.
_SOCKS_HOST = "127.0.0.1"

_SERVER_OPTIONS = ("cover", "fallback", "classic", "key", "format", "release")


class ManagedProxy(MultiService):
    """What tor started. The listeners are its parts."""

    def __init__(self, plugin: ClientTransportPlugin | ServerTransportPlugin) -> None:
        super().__init__()
        self._plugin = plugin
        self._tunnels: list[TunnelService] = []

    async def launch(self) -> None:
        """Start every transport that tor asked for, and say so."""
        for name in sorted(self._unknown()):
            self._plugin.reportMethodError(name, "no such transport")
        for name in self._plugin.getTransports():
            try:
                await self._launch(name)
            except (ConfigError, ListenError) as error:
                log.error("{name} cannot be started: {reason}", name=name, reason=str(error))
                self._plugin.reportMethodError(name, str(error))
        self._plugin.reportMethodsEnd()

    async def _launch(self, name: str) -> None:
        raise NotImplementedError

    def _unknown(self) -> set[str]:
        return set(self._plugin.config.transports) - {TRANSPORT}

    def add_tunnel(self, tunnel: TunnelService) -> None:
        self._tunnels.append(tunnel)

    def startService(self) -> None:
        super().startService()
        Deferred.fromCoroutine(self.launch()).addErrback(self._bug)

    def stopService(self) -> Deferred[Any]:
        """tor wants us gone now: whoever wants connections to end first uses `finish`."""
        self.abort()
        super().stopService()
        return Deferred.fromCoroutine(self.finish())

    async def finish(self) -> None:
        """Stop listening, and wait until every connection has ended by itself."""
        for tunnel in self._tunnels:
            await tunnel.stop_listening()
        for tunnel in self._tunnels:
            await tunnel.drained()

    def abort(self) -> None:
        """End every connection at once."""
        for tunnel in self._tunnels:
            tunnel.abort()

    def _bug(self, failure: Failure) -> None:
        log.failure("launching failed", failure=failure)


class ManagedClient(ManagedProxy):
    """The client side: a SOCKS5 listener, whose requests are dialled as bridges."""

    _plugin: ClientTransportPlugin

    def __init__(self, reactor: Any, plugin: ClientTransportPlugin) -> None:
        super().__init__(plugin)
        self._reactor = reactor
        self._context = make_context(reactor)
        self._proxy = _proxy_address(plugin)

    async def launch(self) -> None:
        if self._proxy is not None:
            self._plugin.reportProxySuccess()
        await super().launch()

    async def _launch(self, name: str) -> None:
        self._catalogue = catalogue(state=state_path(self._plugin))
        factory = _SocksFactory(self._requested, self._context)
        endpoint = TCP4ServerEndpoint(self._reactor, 0, BACKLOG, _SOCKS_HOST)
        tunnel = TunnelService("SOCKS listener", endpoint, _SOCKS_HOST, factory, self._context)
        port = await tunnel.listen()
        self.add_tunnel(tunnel)
        address: Any = port.getHost()
        self._plugin.reportMethodSuccess(name, "socks5", (address.host, address.port))

    def _requested(self, request: SocksRequest, phase: SocksPhase) -> None:
        open_channel = self._wire(request.arguments)
        bridge = Bridge(self._way_to(request.host, request.port), open_channel)
        connection = ClientConnection(phase.side, bridge, self._context)
        established = connection.start(before_relay=phase.succeed)
        established.addErrback(self._not_established, phase)

    def _wire(self, arguments: Mapping[str, str]) -> Callable[[], Channel]:
        return client_wire(arguments, self._catalogue, unix_time)

    def _way_to(self, host: str, port: int) -> IStreamClientEndpoint:
        if self._proxy is None:
            return self._direct(host, port)
        way_to_proxy = self._direct(self._proxy.host, self._proxy.port)
        return ProxiedEndpoint(self._reactor, way_to_proxy, self._proxy, host, port)

    def _direct(self, host: str, port: int) -> IStreamClientEndpoint:
        try:
            bind_host = self._plugin.config.getOutboundBindAddress(host)
        except ValueError:  # a name: which address family it has is not known yet
            bind_host = self._plugin.config.outboundBindAddressV4
        bind = None if bind_host is None else (bind_host, 0)
        return HostnameEndpoint(self._reactor, host, port, bindAddress=bind)

    def _not_established(self, failure: Failure, phase: SocksPhase) -> None:
        log.warn("no connection to the bridge: {reason}", reason=describe(failure))
        phase.fail(failure)


class _SocksFactory(Factory):
    noisy = False

    def __init__(
        self, on_request: Callable[[SocksRequest, SocksPhase], None], context: Context
    ) -> None:
        self._on_request = on_request
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> SocksServerProtocol:
        return SocksServerProtocol(self._on_request, self._context.deadlines)


def _proxy_address(plugin: ClientTransportPlugin) -> ProxyAddress | None:
    proxy = plugin.config.getProxy()
    if proxy is None:
        return None
    host, port = str(proxy.hostname), int(proxy.port or 0)
    return ProxyAddress(proxy.scheme, host, port, plugin.config.getProxyCredentials())


class ManagedServer(ManagedProxy):
    """The server side: covertext arrives where tor says, and goes to tor."""

    _plugin: ServerTransportPlugin

    def __init__(self, reactor: Any, plugin: ServerTransportPlugin) -> None:
        super().__init__(plugin)
        self._reactor = reactor
        self._state = StateDirectory(state_path(plugin))

    async def _launch(self, name: str) -> None:
        options = (self._plugin.config.getServerTransportOptions() or {}).get(name, {})
        wires, publisher = self._wires(options)
        fallback = options.get("fallback")
        site = make_site(
            wires,
            partial(self._target, name),
            None if fallback is None else client_endpoint(self._reactor, fallback),
        )
        context = make_context(self._reactor)
        host, port = self._plugin.getBindAddresses()[name]
        endpoint_type = TCP6ServerEndpoint if ":" in host else TCP4ServerEndpoint
        tunnel = TunnelService(
            "server half",
            endpoint_type(self._reactor, port, BACKLOG, host),
            f"{host} port {port}",
            TunnelServerFactory(site, context),
            context,
        )
        address: Any = (await tunnel.listen()).getHost()
        self.add_tunnel(tunnel)
        publisher.publish(address.port)
        reported = (address.host, address.port)
        self._plugin.reportMethodSuccess(name, reported, publisher.arguments)

    def _wires(self, options: Mapping[str, str]) -> tuple[list[ServerWire], Publisher]:
        """What ServerTransportOptions ask for. Raises ConfigError."""
        for key in options:
            if key not in _SERVER_OPTIONS:
                known = ", ".join(f"{known}=" for known in _SERVER_OPTIONS)
                raise ConfigError(f"unknown option {key}=: choose from {known}")
        covers = [cover for cover in options.get("cover", "").split(",") if cover]
        sessions = session_wires(self._state, covers, catalogue(state=self._state.path))
        wires: list[ServerWire] = [*sessions]
        if _yes(options, "classic"):
            releases = served_releases(options.get("release"), options.get("format"))
            wires.append(ClassicWire(releases, _classic_key(options)))
        return wires, Publisher(self._state, sessions)

    def _target(self, name: str, user_address: IAddress) -> IStreamClientEndpoint:
        config = self._plugin.config
        extended = config.getExtendedORPort()
        if extended is None:
            orport = config.getORPort()
            if orport is None:  # ServerConfig makes sure of it
                raise RuntimeError("tor gave neither an ORPort nor an Extended ORPort")
            return _numeric(self._reactor, orport)
        return ExtORPortEndpoint(
            self._reactor,
            _numeric(self._reactor, extended),
            str(config.getAuthCookieFile()),
            name,
            user_address,
        )


def _numeric(reactor: Any, address: tuple[str, int]) -> IStreamClientEndpoint:
    kind = TCP6ClientEndpoint if ":" in address[0] else TCP4ClientEndpoint
    return kind(reactor, *address)


def _classic_key(options: Mapping[str, str]) -> ClassicKey:
    if "key" in options:
        return ClassicKey.from_hex(options["key"])
    log.warn("classic=1 without key=: fteproxy's public key protects nothing")
    return DEFAULT_KEY


def _yes(options: Mapping[str, str], key: str) -> bool:
    """An option that is 1 or 0. Raises ConfigError."""
    value = options.get(key, "0")
    if value not in ("0", "1"):
        raise ConfigError(f"option {key}= is 1 or 0")
    return value == "1"


def state_path(plugin: ClientTransportPlugin | ServerTransportPlugin) -> Path:
    """Our part of the directory that tor gives us."""
    return Path(plugin.config.getStateLocation()) / TRANSPORT
