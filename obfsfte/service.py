"""Options -> twisted.application services.

Everything that can be started (the commands, the twistd plugin, tor's managed proxy)
is put together here, so that they cannot differ. What a person wrote is checked when a
service is made and raises ConfigError with one line; a service that was made can only
still fail to listen, which raises ListenError.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.interfaces import (
    IAddress,
    IListeningPort,
    IProtocolFactory,
    IStreamClientEndpoint,
    IStreamServerEndpoint,
)
from twisted.logger import Logger
from twisted.python.failure import Failure

from obfsfte.channel import Channel, Opening
from obfsfte.errors import ConfigError
from obfsfte.places import client_endpoint, describe, leads_to, server_endpoint
from obfsfte.transport.client import Bridge, TunnelClientFactory
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.server import TunnelServerFactory
from obfsfte.transport.site import Site
from obfsfte.transport.visitor import NO_PROXIES, TrustedProxies

if TYPE_CHECKING:  # not every service has a wire from the beginning
    from obfsfte.wires import ServerWire

log = Logger()

#: How long a stopping service waits for its connections, in seconds.
DRAIN_SECONDS = 10.0

#: How long a stranger is listened to where there is no fallback, in seconds.
_PATIENCE = (30.0, 90.0)


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
        if self._fallback is not None and leads_to(self._fallback, host):
            port.stopListening()
            raise ConfigError(
                f"the fallback {self._fallback} is this server itself: one stranger would be "
                "sent round and round"
            )
        self._port = port
        log.info("{what} listening on {place}", what=self._what, place=describe(host))
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
