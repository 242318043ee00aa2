"""The server half: covertext arrives, the target gets the application's bytes.

`ServerConnection` is the life of one connection: the gate reads until it knows who is
there; a client of ours is joined to the target, anybody else to the fallback site.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from obfsfte.channel import Channel, Opening, PassThrough
from obfsfte.transport.context import Context
from obfsfte.transport.dial import connect_side, describe
from obfsfte.transport.gate import Gate, Swallow
from obfsfte.transport.relay import Relay
from obfsfte.transport.side import Side

log = Logger()


@attrs.frozen
class Site:
    """What a server half is there for.

    `openings` makes, for one connection, what the enabled wires expect first. `target`
    gives the way to the target for a client's address (tor's ExtORPort is told it).
    `fallback` is where strangers go; None: they are swallowed for a while drawn from
    `patience` (seconds).
    """

    openings: Callable[[], Sequence[Opening]]
    target: Callable[[IAddress], IStreamClientEndpoint]
    fallback: IStreamClientEndpoint | None
    patience: Callable[[], float]


class ServerConnection:
    """One accepted connection, until its relay has started."""

    def __init__(self, wire: Side, site: Site, context: Context) -> None:
        self._wire = wire
        self._site = site
        self._context = context
        self._plain = Side(self)
        self._dialling: Deferred[None] | None = None

    def start(self) -> None:
        self._context.connections.add(self)
        self._gate = Gate(
            self._wire,
            self._site.openings(),
            deadlines=self._context.deadlines,
            seconds=self._context.timeouts.handshake,
            on_client=self._welcome,
            on_stranger=self._turn_away,
            on_lost=self._discard,
        )

    def _welcome(self, channel: Channel, from_wire: list[bytes]) -> None:
        address = self._wire.transport.getPeer()
        self._join(self._site.target(address), channel, from_wire, "target")

    def _turn_away(self, seen: list[bytes]) -> None:
        if self._site.fallback is None:
            self._swallow()
        else:
            self._join(self._site.fallback, PassThrough(), seen, "fallback")

    def _swallow(self) -> None:
        Swallow(
            self._wire,
            deadlines=self._context.deadlines,
            seconds=self._site.patience(),
            on_lost=self._discard,
        )

    def _join(
        self,
        endpoint: IStreamClientEndpoint,
        channel: Channel,
        from_wire: list[bytes],
        name: str,
    ) -> None:
        self._wire.handler = self
        self._wire.transport.pauseProducing()
        self._dialling = Deferred.fromCoroutine(self._relay(endpoint, channel, from_wire))
        self._dialling.addErrback(self._unreachable, name)

    async def _relay(
        self, endpoint: IStreamClientEndpoint, channel: Channel, from_wire: list[bytes]
    ) -> None:
        try:
            await connect_side(endpoint, self._plain, self._context)
            relay = Relay(self._wire, channel, self._plain, self._context)
        finally:
            self._discard()
        self._wire.transport.resumeProducing()
        relay.start(from_wire)

    def _unreachable(self, failure: Failure, name: str) -> None:
        if failure.check(CancelledError) is None:
            log.warn("no connection to the {name}: {reason}", name=name, reason=describe(failure))
        if not self._wire.is_lost:
            self._wire.abort()

    def _discard(self) -> None:
        self._context.connections.discard(self)

    def abort(self) -> None:
        """End it in whatever phase it is."""
        if self._dialling is not None:
            self._dialling.cancel()
        if not self._wire.is_lost:
            self._wire.abort()

    def data_received(self, data: bytes) -> None:
        """Both sides are silent while the target is dialled: the wire is paused."""

    def read_ended(self) -> None:
        pass

    def lost(self) -> None:
        """The client left before the target was reached."""
        self.abort()


class TunnelServerFactory(Factory):
    """Listens on the wire; each connection is for the target, or for the fallback."""

    noisy = False

    def __init__(self, site: Site, context: Context) -> None:
        self._site = site
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> Side:
        return _Accepted(self._site, self._context)


class _Accepted(Side):
    def __init__(self, site: Site, context: Context) -> None:
        super().__init__()
        self._site = site
        self._context = context

    def connectionMade(self) -> None:
        super().connectionMade()
        ServerConnection(self, self._site, self._context).start()
