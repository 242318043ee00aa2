"""The server side of tor's managed proxy: covertext arrives where tor says, and goes to tor.

```
 client ~~~ covertext ~~~> us ---> tor's ORPort, or its ExtORPort
```
Over the ExtORPort, tor learns where the client is and counts countries and transports.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from functools import partial
from ipaddress import ip_address
from typing import TYPE_CHECKING, Any

from twisted.internet.endpoints import TCP4ServerEndpoint, TCP6ServerEndpoint
from twisted.internet.interfaces import (
    IAddress,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.internet.protocol import Factory
from twisted.logger import Logger

from obfsfte._version import __version__
from obfsfte.bridge import SessionBridge
from obfsfte.errors import ConfigError, plain
from obfsfte.managed.proxy import ManagedProxy, state_path
from obfsfte.own_covers import catalogue
from obfsfte.places import BACKLOG, client_endpoint
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.pyptlib.server_config import UNSPECIFIED_BIND_ADDRESS
from obfsfte.service import TunnelService, make_context, make_site
from obfsfte.state import StateDirectory
from obfsfte.transport.address_endpoint import tcp_endpoint
from obfsfte.transport.context import Context
from obfsfte.transport.extorport import ExtORPortEndpoint
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.transport.side import Side
from obfsfte.transport.site import Site
from obfsfte.transport.visitor import NO_PROXIES, TrustedProxies

if TYPE_CHECKING:
    from obfsfte.wires import ClassicWire

log = Logger()

_CLASSIC_OPTIONS = ("key", "format", "release")
_SITE_OPTIONS = ("url", "sni", "pin", "path")
_PROXY_OPTIONS = ("trusted-proxies", "proxy-protocol")
_OPTIONS = (
    *("cover", "fallback", *_SITE_OPTIONS, *_PROXY_OPTIONS),
    *("classic", *_CLASSIC_OPTIONS),
)


class ManagedServer(ManagedProxy):
    """One listener for each transport."""

    _plugin: ServerTransportPlugin

    def __init__(self, reactor: Any, plugin: ServerTransportPlugin) -> None:
        super().__init__(reactor, plugin)
        self._state = StateDirectory(state_path(plugin))

    async def _launch(self, name: str) -> None:
        options = (self._plugin.config.getServerTransportOptions() or {}).get(name, {})
        bridge, classic, fallback = self._parse(options)
        proxies = _trusted_proxies(options)
        context = make_context(self._reactor)
        target = self._target(name)
        factory = _LateFactory(
            lambda: make_site([*bridge.wires(), *classic], target, fallback, proxies), context
        )
        # tor that wants all transports ("*") names no address for any.
        host, port = self._plugin.getBindAddresses().get(name, UNSPECIFIED_BIND_ADDRESS)
        endpoint = self._server_endpoint(host, port)
        tunnel = TunnelService(
            "server half",
            endpoint,
            f"{host} port {port}",
            factory,
            context,
            fallback=options.get("fallback"),
        )
        address: Any = (await tunnel.listen()).getHost()
        try:
            bridge.publish(address.port)
        except ConfigError:
            await tunnel.stop_listening()
            raise
        self._tunnels.append(tunnel)
        self._plugin.reportMethodSuccess(name, (address.host, address.port), bridge.arguments)
        self._plugin.reportVersion("obfsfte", __version__)
        self._reactor.callLater(0, factory.prepare)

    def _parse(
        self, options: Mapping[str, str]
    ) -> tuple[SessionBridge, list[ClassicWire], IStreamClientEndpoint | None]:
        """What ServerTransportOptions ask for. Raises ConfigError."""
        for key in options:
            if key not in _OPTIONS:
                known = ", ".join(f"{known}=" for known in _OPTIONS)
                raise ConfigError(f"unknown option {plain(key)}=: choose from {known}")
        covers = [cover for cover in options.get("cover", "").split(",") if cover]
        classic = []
        if _yes(options, "classic"):
            classic.append(_classic_wire(options))
        elif useless := [key for key in _CLASSIC_OPTIONS if key in options]:
            raise ConfigError(f"option {useless[0]}= needs classic=1")
        fallback = None
        if "fallback" in options:
            fallback = client_endpoint(self._reactor, options["fallback"])
        site = {key: options[key] for key in _SITE_OPTIONS if key in options}
        if "pin" in site:
            from obfsfte.pins import read_pin

            site["pin"] = read_pin(site["pin"])
        bridge = SessionBridge.open(self._state, covers, catalogue(state=self._state.path), site)
        return bridge, classic, fallback

    def _target(self, name: str) -> Callable[[IAddress], IStreamClientEndpoint]:
        """The way to tor for each client's address."""
        config = self._plugin.config
        extended = config.getExtendedORPort()
        if extended is None:
            orport = config.getORPort()
            if orport is None:  # ServerConfig makes sure of it
                raise RuntimeError("tor gave neither an ORPort nor an Extended ORPort")
            endpoint = tcp_endpoint(self._reactor, *orport)
            return lambda _user_address: endpoint
        return partial(
            ExtORPortEndpoint,
            self._reactor,
            tcp_endpoint(self._reactor, *extended),
            str(config.getAuthCookieFile()),
            name,
        )

    def _server_endpoint(self, host: str, port: int) -> IStreamServerEndpoint:
        kind = TCP4ServerEndpoint if ip_address(host).version == 4 else TCP6ServerEndpoint
        return kind(self._reactor, port, BACKLOG, host)


class _LateFactory(Factory):
    """A server's factory whose site is made once tor has been answered.

    `prepare` is the first thing that the reactor does then: the languages that it compiles
    may take longer than all that tor waits for, and are there before the first connection.
    """

    noisy = False

    _made: TunnelServerFactory

    def __init__(self, make: Callable[[], Site], context: Context) -> None:
        self._make = make
        self._context = context

    def prepare(self) -> None:
        self._made = TunnelServerFactory(self._make(), self._context)

    def buildProtocol(self, addr: IAddress | None) -> Side:
        return self._made.buildProtocol(addr)


def _classic_wire(options: Mapping[str, str]) -> ClassicWire:
    from obfsfte.classic import DEFAULT_KEY, ClassicKey
    from obfsfte.wires import ClassicWire, served_releases

    releases = served_releases(options.get("release"), options.get("format"))
    if "key" in options:
        return ClassicWire(releases, ClassicKey.from_hex(options["key"]))
    log.warn("classic=1 without key=: fteproxy's public key protects nothing")
    return ClassicWire(releases, DEFAULT_KEY)


def _trusted_proxies(options: Mapping[str, str]) -> TrustedProxies:
    """Who may say where a client is. Raises ConfigError."""
    send_headers = _yes(options, "proxy-protocol")
    if "trusted-proxies" in options:
        return TrustedProxies.parse(options["trusted-proxies"], send_headers)
    if send_headers:
        raise ConfigError("option proxy-protocol=1 needs trusted-proxies=: anybody could lie")
    return NO_PROXIES


def _yes(options: Mapping[str, str], key: str) -> bool:
    """An option that is 1 or 0. Raises ConfigError."""
    value = options.get(key, "0")
    if value not in ("0", "1"):
        raise ConfigError(f"option {key}= is 1 or 0")
    return value == "1"
