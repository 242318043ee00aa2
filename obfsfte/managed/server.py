"""The server side of tor's managed proxy: covertext arrives where tor says, and goes to tor.

```
 client ~~~ covertext ~~~> us ---> tor's ORPort, or its ExtORPort
```
Over the ExtORPort, tor learns where the client is and counts countries and transports.
"""

from __future__ import annotations

from collections.abc import Mapping
from functools import partial
from ipaddress import ip_address
from typing import Any

from twisted.internet.endpoints import (
    TCP4ClientEndpoint,
    TCP4ServerEndpoint,
    TCP6ClientEndpoint,
    TCP6ServerEndpoint,
)
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint, IStreamServerEndpoint
from twisted.logger import Logger

from obfsfte.bridge import Publisher, session_wires
from obfsfte.classic import DEFAULT_KEY, ClassicKey
from obfsfte.errors import ConfigError
from obfsfte.managed.proxy import ManagedProxy, state_path
from obfsfte.own_covers import catalogue
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.pyptlib.server_config import UNSPECIFIED_BIND_ADDRESS
from obfsfte.service import BACKLOG, TunnelService, client_endpoint, make_context, make_site
from obfsfte.state import StateDirectory
from obfsfte.transport.extorport import ExtORPortEndpoint
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.wires import ClassicWire, ServerWire, served_releases

log = Logger()

_CLASSIC_OPTIONS = ("key", "format", "release")
_OPTIONS = ("cover", "fallback", "classic", *_CLASSIC_OPTIONS)


class ManagedServer(ManagedProxy):
    """One listener for each transport."""

    _plugin: ServerTransportPlugin

    def __init__(self, reactor: Any, plugin: ServerTransportPlugin) -> None:
        super().__init__(reactor, plugin)
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
        # tor that wants all transports ("*") names no address for any.
        host, port = self._plugin.getBindAddresses().get(name, UNSPECIFIED_BIND_ADDRESS)
        tunnel = TunnelService(
            "server half",
            self._server_endpoint(host, port),
            f"{host} port {port}",
            TunnelServerFactory(site, context),
            context,
        )
        address: Any = (await tunnel.listen()).getHost()
        try:
            publisher.publish(address.port)
        except ConfigError:
            await tunnel.stop_listening()
            raise
        self._tunnels.append(tunnel)
        self._plugin.reportMethodSuccess(name, (address.host, address.port), publisher.arguments)

    def _wires(self, options: Mapping[str, str]) -> tuple[list[ServerWire], Publisher]:
        """What ServerTransportOptions ask for. Raises ConfigError."""
        for key in options:
            if key not in _OPTIONS:
                known = ", ".join(f"{known}=" for known in _OPTIONS)
                raise ConfigError(f"unknown option {key}=: choose from {known}")
        covers = [cover for cover in options.get("cover", "").split(",") if cover]
        sessions = session_wires(self._state, covers, catalogue(state=self._state.path))
        wires: list[ServerWire] = [*sessions]
        if _yes(options, "classic"):
            releases = served_releases(options.get("release"), options.get("format"))
            wires.append(ClassicWire(releases, _classic_key(options)))
        elif useless := [key for key in _CLASSIC_OPTIONS if key in options]:
            raise ConfigError(f"option {useless[0]}= needs classic=1")
        return wires, Publisher(self._state, sessions)

    def _target(self, name: str, user_address: IAddress) -> IStreamClientEndpoint:
        config = self._plugin.config
        extended = config.getExtendedORPort()
        if extended is None:
            orport = config.getORPort()
            if orport is None:  # ServerConfig makes sure of it
                raise RuntimeError("tor gave neither an ORPort nor an Extended ORPort")
            return self._client_endpoint(*orport)
        return ExtORPortEndpoint(
            self._reactor,
            self._client_endpoint(*extended),
            str(config.getAuthCookieFile()),
            name,
            user_address,
        )

    def _server_endpoint(self, host: str, port: int) -> IStreamServerEndpoint:
        kind = TCP4ServerEndpoint if ip_address(host).version == 4 else TCP6ServerEndpoint
        return kind(self._reactor, port, BACKLOG, host)

    def _client_endpoint(self, host: str, port: int) -> IStreamClientEndpoint:
        kind = TCP4ClientEndpoint if ip_address(host).version == 4 else TCP6ClientEndpoint
        return kind(self._reactor, host, port)


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
