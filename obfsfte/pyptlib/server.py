"""The server's side: a listener for each transport, where tor wants it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from .core import TransportPlugin
from .encoding import smethod_args
from .server_config import ServerConfig
from .util import format_addr_spec


class ServerTransportPlugin(TransportPlugin):
    """A managed server: see `TransportPlugin`, and `ServerConfig` for its `config`."""

    configType = ServerConfig
    methodName = "SMETHOD"
    config: ServerConfig

    def reportMethodSuccess(
        self,
        name: str,
        addrport: tuple[str, int],
        options: str | Mapping[str, str] | None = None,
    ) -> None:
        """Tell tor that a transport was launched.

        :param str name: of the transport.
        :param tuple addrport: (IP address, port) where it listens.
        :param options: the ARGS that clients need and tor publishes for them. A mapping is
            escaped here, and an empty one means none; a text ("k=v,k2=v2") is taken as
            it is. Without either, ARGS are the options that tor's operator gave for this
            transport (`config.getServerTransportOptions()`), all of them.
        :raises ValueError: one of them cannot be written into the line.
        """
        if not options and not isinstance(options, Mapping):
            given = self.config.serverTransportOptions if self.config else None
            options = (given or {}).get(name, {})
        args = options if isinstance(options, str) else smethod_args(options)
        fields = [format_addr_spec(addrport)]
        if args:
            fields.append(f"ARGS:{args}")
        self._emitMethod(name, *fields)

    def getBindAddresses(self) -> dict[str, tuple[str, int]]:
        """:returns: {name: (address, port)}, where each of `getTransports` shall listen.
        :raises ValueError: `init` was not called.
        """
        transports = self.getTransports()
        addresses = self.config.serverBindAddr
        return {name: addresses[name] for name in transports if name in addresses}


def init(supported_transports: Iterable[str]) -> dict[str, object]:
    """Deprecated: use `ServerTransportPlugin.init`.

    :returns: {"state_loc": str, "orport": address, "ext_orport": address or None,
        "transports": {name: address}, "auth_cookie_file": str or None}
    """
    server = ServerTransportPlugin()
    server.init(supported_transports)
    config = server.config
    return {
        "state_loc": config.getStateLocation(),
        "orport": config.getORPort(),
        "ext_orport": config.getExtendedORPort(),
        "transports": server.getBindAddresses(),
        "auth_cookie_file": config.getAuthCookieFile(),
    }


def reportSuccess(
    name: str, addrport: tuple[str, int], options: str | Mapping[str, str] | None = None
) -> None:
    """Deprecated: use `ServerTransportPlugin.reportMethodSuccess`."""
    ServerTransportPlugin().reportMethodSuccess(name, addrport, options)


def reportFailure(name: str, message: str) -> None:
    """Deprecated: use `ServerTransportPlugin.reportMethodError`."""
    ServerTransportPlugin().reportMethodError(name, message)


def reportEnd() -> None:
    """Deprecated: use `ServerTransportPlugin.reportMethodsEnd`."""
    ServerTransportPlugin().reportMethodsEnd()
