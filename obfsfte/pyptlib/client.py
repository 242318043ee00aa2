"""The client's side: a SOCKS listener for each transport, and perhaps an outgoing proxy."""

from __future__ import annotations

from collections.abc import Iterable

from .client_config import ClientConfig
from .core import TransportPlugin
from .util import format_addr_spec


class ClientTransportPlugin(TransportPlugin):
    """A managed client: see `TransportPlugin`, and `ClientConfig` for its `config`.

    With a proxy (`config.getProxy()`), `reportProxySuccess` or `reportProxyError` comes
    after `init` and before the transports.
    """

    configType = ClientConfig
    methodName = "CMETHOD"
    config: ClientConfig
    reportedProxy = False

    def reportMethodSuccess(
        self,
        name: str,
        protocol: str,
        addrport: tuple[str, int],
        args: str | Iterable[str] | None = None,
        optArgs: str | Iterable[str] | None = None,
    ) -> None:
        """Tell tor that a transport was launched.

        :param str name: of the transport.
        :param str protocol: "socks4" or "socks5".
        :param tuple addrport: (IP address, port) where its SOCKS server listens.
        :param args: for the ARGS field, which tor ignores today.
        :param optArgs: for the OPT-ARGS field, likewise.
        :raises ValueError: one of them cannot be written into the line.
        """
        if protocol not in ("socks4", "socks5"):
            raise ValueError(f"{protocol!r} is neither 'socks4' nor 'socks5'")
        fields = [protocol, format_addr_spec(addrport)]
        for key, value in (("ARGS", args), ("OPT-ARGS", optArgs)):
            if value:
                fields.append(f"{key}={value if isinstance(value, str) else ','.join(value)}")
        self._emitMethod(name, *fields)

    def reportProxySuccess(self) -> None:
        """Tell tor that the proxy will be used.

        :raises RuntimeError: there is no proxy, or tor was told already.
        """
        self._proxyIsReportedOnce()
        self.emit("PROXY DONE")

    def reportProxyError(self, msg: str | None = None) -> None:
        """Tell tor that the proxy cannot be used. Then exit.

        :raises RuntimeError: there is no proxy, or tor was told already.
        """
        self._proxyIsReportedOnce()
        self.emit(f"PROXY-ERROR {msg}" if msg else "PROXY-ERROR")

    def _proxyIsReportedOnce(self) -> None:
        if self.config is None or self.config.proxy is None:
            raise RuntimeError("tor asked for no proxy")
        if self.reportedProxy:
            raise RuntimeError("the proxy was reported already")
        self.reportedProxy = True


def init(supported_transports: Iterable[str]) -> dict[str, object]:
    """Deprecated: use `ClientTransportPlugin.init`.

    :returns: {"state_loc": str, "transports": list of names}
    """
    client = ClientTransportPlugin()
    client.init(supported_transports)
    return {
        "state_loc": client.config.getStateLocation(),
        "transports": client.getTransports(),
    }


def reportSuccess(
    name: str,
    socksVersion: int | str,
    addrport: tuple[str, int],
    args: str | Iterable[str] | None = None,
    optArgs: str | Iterable[str] | None = None,
) -> None:
    """Deprecated: use `ClientTransportPlugin.reportMethodSuccess`. `socksVersion` is 4 or 5."""
    ClientTransportPlugin().reportMethodSuccess(
        name, f"socks{socksVersion}", addrport, args, optArgs
    )


def reportFailure(name: str, message: str) -> None:
    """Deprecated: use `ClientTransportPlugin.reportMethodError`."""
    ClientTransportPlugin().reportMethodError(name, message)


def reportEnd() -> None:
    """Deprecated: use `ClientTransportPlugin.reportMethodsEnd`."""
    ClientTransportPlugin().reportMethodsEnd()
