"""Connecting through the proxy that TOR_PT_PROXY names.

A client that was told of a proxy must use it for every outgoing connection (pt-spec 3.2.2).
`ProxiedEndpoint` is an endpoint like any other, so nothing else changes with a proxy.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType

import attrs
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import (
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from obfsfte.transport.preface import Preface, connect_with_preface
from obfsfte.transport.proxy_client import HttpConnect, Socks4aConnect, Socks5Connect

#: What asks a proxy of each scheme for (host, port), with our credentials.
PREFACES: Mapping[str, Callable[[str, int, tuple[bytes, bytes] | None], Preface]] = (
    MappingProxyType({"http": HttpConnect, "socks4a": Socks4aConnect, "socks5": Socks5Connect})
)


@attrs.frozen
class ProxyAddress:
    """A proxy: how to talk to it (a key of `PREFACES`), where it is, and our login there."""

    scheme: str = attrs.field(validator=attrs.validators.in_(PREFACES))
    host: str
    port: int
    credentials: tuple[bytes, bytes] | None = attrs.field(default=None, repr=False)


@implementer(IStreamClientEndpoint)
class ProxiedEndpoint:
    """Connects to `host`:`port` through `proxy`, which `proxy_endpoint` connects to.

    `connect` fires once the proxy has connected. It fails as connecting directly would,
    as far as the proxy tells why. Names are sent to the proxy and never looked up here;
    one that cannot be sent is a ValueError.
    """

    def __init__(
        self,
        clock: IReactorTime,
        proxy_endpoint: IStreamClientEndpoint,
        proxy: ProxyAddress,
        host: str,
        port: int,
        timeout: float = 30,
    ) -> None:
        self._clock = clock
        self._proxy_endpoint = proxy_endpoint
        self._proxy = proxy
        self._host = host
        self._port = port
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        ask = PREFACES[self._proxy.scheme]
        try:
            preface = ask(self._host, self._port, self._proxy.credentials)
        except ValueError:
            return fail()
        return connect_with_preface(
            self._proxy_endpoint, preface, protocolFactory, self._clock, self._timeout
        )
