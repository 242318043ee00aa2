"""The client half: an application connects, its bytes leave in covertext.

`ClientConnection` is the life of one connection: the application waits, hardly read, while
the bridge is dialled and the handshake done; then a relay joins the two.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from obfsfte.channel import Channel
from obfsfte.transport.client_wire import ClientWire
from obfsfte.transport.context import Context
from obfsfte.transport.dial import Handshake, connect_side, warn_unreached
from obfsfte.transport.relay import Relay
from obfsfte.transport.side import Side
from obfsfte.transport.turn_relay import TurnRelay

if TYPE_CHECKING:
    from obfsfte.turn_channel import TurnChannel


@attrs.frozen
class Bridge:
    """A server half, as a client knows it: the way there and the wire to speak."""

    endpoint: IStreamClientEndpoint
    open_channel: Callable[[], Channel]


class ClientConnection:
    """One application connection. `established` fires when its relay has started."""

    def __init__(self, plain: Side, bridge: Bridge, context: Context) -> None:
        self._plain = plain
        self._bridge = bridge
        self._context = context
        self._wire = Side(self)
        self._dialling: Deferred[None] | None = None

    def start(
        self, before_relay: Callable[[], bytes] = bytes, half_closes: bool = True
    ) -> Deferred[None]:
        """Dial the bridge and relay.

        `before_relay` is called once the bridge answers, before anything is written to
        the application; it returns application bytes that were read already. Unless the
        application `half_closes`, its end of stream means that it has left. Fails with
        what `warn_unreached` can put in words; the plain side is then untouched, for the caller
        to answer on.
        """
        self._plain.handler = self
        self._plain.hold(None if half_closes else self.abort)
        self._context.connections.add(self)
        self._dialling = Deferred.fromCoroutine(self._dial(before_relay))
        return self._dialling

    async def _dial(self, before_relay: Callable[[], bytes]) -> None:
        context = self._context
        try:
            await connect_side(self._bridge.endpoint, self._wire, context)
            channel = self._bridge.open_channel()
            from_wire = await Handshake(self._wire, channel, context).start()
            from_plain = before_relay()
            relay = self._relay(channel)
        finally:
            context.connections.discard(self)
        relay.start(from_wire, from_plain)

    def _relay(self, channel: Channel) -> Relay:
        if not channel.takes_turns:
            return Relay(self._wire, channel, self._plain, self._context)
        turns = cast("TurnChannel", channel)
        wire = ClientWire(self._wire, turns, self._bridge.endpoint, self._context)
        return TurnRelay(wire.side, turns, self._plain, self._context)

    def abort(self) -> None:
        """Give up before the relay has started."""
        if self._dialling is not None:
            self._dialling.cancel()
        if not self._plain.is_lost:
            self._plain.abort()

    def data_received(self, data: bytes) -> None:
        """Both sides are silent in this phase: the plain one is held."""

    def read_ended(self) -> None:
        pass

    def lost(self) -> None:
        """The application left before the bridge was reached."""
        self.abort()


class TunnelClientFactory(Factory):
    """Listens for applications; each connection goes through the bridge."""

    noisy = False

    def __init__(self, bridge: Bridge, context: Context) -> None:
        self._bridge = bridge
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> Side:
        return _Accepted(self._bridge, self._context)


class _Accepted(Side):
    def __init__(self, bridge: Bridge, context: Context) -> None:
        super().__init__()
        self._bridge = bridge
        self._context = context

    def connectionMade(self) -> None:
        super().connectionMade()
        established = ClientConnection(self, self._bridge, self._context).start()
        established.addErrback(self._give_up)

    def _give_up(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            warn_unreached("bridge", failure)
        if not self.is_lost:
            self.abort()
