"""Options -> twisted.application services.

Everything that can be started (the commands, the twistd plugin, tor's managed proxy)
is put together here, so that they cannot differ. What a person wrote is checked when a
service is made and raises ConfigError with one line; a service that was made can only
still fail to listen, which raises ListenError.
"""

from __future__ import annotations

import contextlib
import random
import re
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from obfsfte.bridge_line import UNKNOWN_HOST, BridgeLine, parse_address
from obfsfte.channel import Channel, Opening
from obfsfte.errors import ConfigError, plain, quoted
from obfsfte.transport.address_endpoint import tcp_endpoint
from obfsfte.transport.client import Bridge, TunnelClientFactory
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.server import Site, TunnelServerFactory
from obfsfte.transport.visitor import NO_PROXIES, TrustedProxies
from obfsfte.way import Way, way_to

if TYPE_CHECKING:  # not every service has a wire from the beginning
    from obfsfte.wires import ServerWire

log = Logger()

#: Where the two halves listen and deliver unless told otherwise; fteproxy's own ports.
DEFAULT_CLIENT_LISTEN = "tcp:8079:interface=127.0.0.1"
DEFAULT_SERVER_LISTEN = "tcp:8080"
DEFAULT_TARGET = "tcp:127.0.0.1:8081"

#: How many connections may wait to be accepted unless an endpoint string says it. Beyond
#: Twisted's own 50 the kernel drops the SYN, and a client of a burst waits a second.
BACKLOG = 1024

#: How long a stopping service waits for its connections, in seconds.
DRAIN_SECONDS = 10.0

#: How long a stranger is listened to where there is no fallback, in seconds.
_PATIENCE = (30.0, 90.0)

# What Twisted notices only when it connects: a port, or a name, that cannot be one.
_HOST_AND_PORT = re.compile(r"(tcp|tls):(host=)?(?P<host>[^:=\\]*):(port=)?(?P<port>[^:]*)")

_EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104

_LISTENS_ON_TCP = re.compile("(tcp|tcp6|ssl):")


class ListenError(Exception):
    """The address cannot be listened on; the message is one line for the operator."""


class TunnelService(Service):
    """One listening endpoint and the connections that it brought."""

    def __init__(
        self,
        name: str,
        endpoint: IStreamServerEndpoint,
        listen_text: str,
        factory: IProtocolFactory,
        context: Context,
        drain_seconds: float = DRAIN_SECONDS,
        on_listening: Callable[[int], None] | None = None,
        fallback: str | None = None,
    ) -> None:
        self._what = name
        self._endpoint = endpoint
        self._listen_text = listen_text
        self._factory = factory
        self._context = context
        self._drain_seconds = drain_seconds
        self._on_listening = on_listening
        self._fallback = fallback
        self._port: IListeningPort | None = None

    async def listen(self) -> IListeningPort:
        """Start to listen; `startService` does the same for twistd.

        Raises ListenError, the ConfigError of `on_listening`, or that of a fallback which is
        this very place.
        """
        try:
            port = await self._endpoint.listen(self._factory)
            if not IListeningPort.providedBy(port):  # stdio:
                raise ValueError("it is one connection, not a place to listen")
        except Exception as error:  # endpoints of plugins raise what they like
            reason = getattr(error, "socketError", None) or error
            raise ListenError(f"cannot listen on {self._listen_text}: {reason}") from None
        host = port.getHost()
        if self._fallback is not None and _leads_to(self._fallback, host):
            port.stopListening()
            raise ConfigError(
                f"the fallback {self._fallback} is this server itself: one stranger would be "
                "sent round and round"
            )
        self._port = port
        log.info("{what} listening on {place}", what=self._what, place=_describe(host))
        if self._on_listening is not None:
            self._on_listening(getattr(host, "port", 0))
        return port

    def startService(self) -> None:
        """For twistd: raises SystemExit, its way to end with one line, if it cannot listen."""
        super().startService()
        failures: list[Failure] = []
        listening: Deferred[Any] = Deferred.fromCoroutine(self.listen())
        listening.addErrback(failures.append)
        if failures:
            raise SystemExit(f"obfsfte: {failures[0].getErrorMessage()}")

    def stopService(self) -> Deferred[None]:
        """Stop listening, let connections end by themselves for a while, then end them."""
        super().stopService()
        return Deferred.fromCoroutine(self._drain())

    async def _drain(self) -> None:
        await self.stop_listening()
        if count := len(self._context.connections):
            log.info("waiting for {count} connections to end", count=count)
        drained = self.drained()
        limit = self._context.deadlines.add(self._drain_seconds, self.abort)
        await drained
        limit.cancel()

    async def stop_listening(self) -> None:
        """Take no further connections; the ones there go on."""
        port, self._port = self._port, None
        if port is not None:
            await maybeDeferred(port.stopListening)

    def drained(self) -> Deferred[None]:
        """Fires once no connection is left."""
        return self._context.connections.drained()

    def abort(self) -> None:
        """End every connection at once."""
        self._context.connections.abort_all()


def _leads_to(place: str, address: object) -> bool:
    """Whether who connects to an endpoint string's place on this machine arrives at `address`."""
    named = _HOST_AND_PORT.match(place)
    if named is None or not isinstance(address, (IPv4Address, IPv6Address)):
        return False
    host = named["host"].replace("localhost", "127.0.0.1")
    hosts = (address.host, "127.0.0.1") if address.host in _EVERY_INTERFACE else (address.host,)
    return host in hosts and named["port"] == str(address.port)


def _describe(address: object) -> str:
    """A listening address as a person writes it."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{host}:{address.port}"
    return str(address)


def server_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """A listening place. Raises ConfigError."""
    if text.startswith("haproxy:"):
        # It believes whoever connects, and does not know half-closed connections.
        raise ConfigError(
            f"cannot listen on {quoted(text)}: leave haproxy: out; obfsfte server reads such "
            "headers itself, with --proxy-protocol"
        )
    try:
        endpoint = serverFromString(reactor, text)
    except Exception as error:  # parsers of endpoint plugins raise what they like
        raise ConfigError(f"cannot listen on {quoted(text)}: {_endpoint_fault(error)}") from None
    if _LISTENS_ON_TCP.match(text) and ":backlog=" not in text:
        with contextlib.suppress(TypeError):  # said by its position
            endpoint = serverFromString(reactor, f"{text}:backlog={BACKLOG}")
    return endpoint


def client_endpoint(reactor: Any, text: str) -> IStreamClientEndpoint:
    """A place to connect to. Raises ConfigError."""
    try:
        endpoint = clientFromString(reactor, text)
        if named := _HOST_AND_PORT.match(text):
            parse_address(f"{named['host']}:{named['port']}")
        return endpoint
    except Exception as error:
        raise ConfigError(f"cannot connect to {quoted(text)}: {_endpoint_fault(error)}") from None


def _endpoint_fault(error: Exception) -> str:
    reason = " ".join(str(error).split())
    is_vague = isinstance(error, (TypeError, LookupError, RuntimeError)) or "int()" in reason
    if is_vague or plain(reason) != reason:
        return "its parts are not those of an endpoint; it reads like tcp:127.0.0.1:8080"
    return reason


def client_service(
    reactor: Any,
    *,
    listen: str,
    connect: IStreamClientEndpoint,
    open_channel: Callable[[], Channel],
    timeouts: Timeouts | None = None,
    drain_seconds: float = DRAIN_SECONDS,
) -> TunnelService:
    """The client half: applications connect to `listen`, covertext leaves by `connect`."""
    context = make_context(reactor, timeouts)
    factory = TunnelClientFactory(Bridge(connect, open_channel), context)
    endpoint = server_endpoint(reactor, listen)
    return TunnelService("client half", endpoint, listen, factory, context, drain_seconds)


def bridge_endpoint(
    reactor: Any,
    line: BridgeLine,
    connect: IStreamClientEndpoint | None = None,
    authorities: str | None = None,
) -> IStreamClientEndpoint:
    """The way to a bridge that its line names, TLS included.

    `connect` is where to find it instead, and `authorities` a file with those to believe
    in place of the system's. Raises ConfigError.
    """
    way = way_to(line.host, line.port, line.arguments)
    if connect is None and way.host == UNKNOWN_HOST:
        raise ConfigError(
            f"the bridge line still says {UNKNOWN_HOST}: write the server's address in its place"
        )
    host = way.host.encode("idna").decode("ascii")
    endpoint = connect or tcp_endpoint(reactor, host, way.port)
    return secured(endpoint, way, authorities)


def secured(
    endpoint: IStreamClientEndpoint, way: Way, authorities: str | None = None
) -> IStreamClientEndpoint:
    """`endpoint`, with the TLS that the way wants. Raises ConfigError for the file."""
    if way.tls is None:
        return endpoint
    from obfsfte.transport.tls import over_tls  # not every way has TLS, which is slow to load

    return over_tls(endpoint, way.tls, authorities)


def server_service(
    reactor: Any,
    *,
    listen: str,
    target: str,
    wires: Sequence[ServerWire],
    fallback: str | None = None,
    proxies: TrustedProxies = NO_PROXIES,
    timeouts: Timeouts | None = None,
    drain_seconds: float = DRAIN_SECONDS,
    on_listening: Callable[[int], None] | None = None,
) -> TunnelService:
    """The server half: covertext arrives at `listen`, `target` gets what it carried."""
    context = make_context(reactor, timeouts)
    target_endpoint = client_endpoint(reactor, target)
    fallback_endpoint = None if fallback is None else client_endpoint(reactor, fallback)
    site = make_site(wires, lambda _address: target_endpoint, fallback_endpoint, proxies)
    endpoint = server_endpoint(reactor, listen)
    factory = TunnelServerFactory(site, context)
    return TunnelService(
        "server half", endpoint, listen, factory, context, drain_seconds, on_listening, fallback
    )


def make_site(
    wires: Sequence[ServerWire],
    target: Callable[[IAddress], IStreamClientEndpoint],
    fallback: IStreamClientEndpoint | None,
    proxies: TrustedProxies = NO_PROXIES,
) -> Site:
    """A server's site. Compiles the languages of its wires, before a connection needs them."""

    def openings() -> list[Opening]:
        return [wire.opening() for wire in wires]

    openings()
    patience = random.SystemRandom()
    follower = None
    if any(wire.speaks_http for wire in wires):
        from obfsfte.covers.http_messages import RequestFollower

        follower = RequestFollower
    return Site(openings, target, fallback, lambda: patience.uniform(*_PATIENCE), proxies, follower)


def make_context(reactor: Any, timeouts: Timeouts | None = None) -> Context:
    """What one service's connections share."""
    return Context(Deadlines(reactor), Connections(), timeouts or Timeouts())
