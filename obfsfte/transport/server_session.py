"""A conversation in turns, at the server: requests come on any connection, to one session.

```
 connection --- request --->
 connection <-- response ---   ServerSession <--> relay <--> target
 another    --- request --->
```

Behind an intermediary with a pool of connections the requests of a client come on several, each of
which also carries those of others. A session lives on between requests, until both streams
have ended or its client has been silent for too long (`obfsfte.covers.turns`).
"""

from __future__ import annotations

from collections.abc import Iterable, MutableMapping
from typing import TYPE_CHECKING, Protocol

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from obfsfte.channel import Buffers
from obfsfte.transport.context import Context
from obfsfte.transport.dial import connect_side, warn_unreached
from obfsfte.transport.side import Side
from obfsfte.transport.turn_relay import TurnRelay
from obfsfte.transport.turn_wire import TurnWire

if TYPE_CHECKING:
    from obfsfte.turn_server import TurnServer

    #: The sessions of one service, by their channels.
    Sessions = MutableMapping[TurnServer, "ServerSession"]


class Carrier(Protocol):
    """A connection that has brought a request, as its session sees it."""

    def respond(self, buffers: list[bytes]) -> None:
        """Write a response, or part of one."""

    def close_after_response(self) -> None:
        """The peer wants no further response on it."""

    def cut(self, session: ServerSession) -> None:
        """Abort it, if that session was the last to use it."""


class ServerSession(TurnWire):
    """A session's life. It is the transport of its relay's wire side, as well."""

    _channel: TurnServer

    def __init__(self, channel: TurnServer, sessions: Sessions, context: Context) -> None:
        super().__init__(channel, self)
        self._sessions = sessions
        self._context = context
        self._carrier: Carrier | None = None
        self._dialling: Deferred[None] | None = None
        sessions[channel] = self
        self.side.hold()

    def is_asked_on(self, carrier: Carrier) -> bool:
        """Whether what comes on that connection belongs to a request that it has begun."""
        return self._carrier is carrier and not self.side.is_lost and not self._channel.is_idle

    def start(self, target: IStreamClientEndpoint, from_wire: Buffers) -> None:
        """Connect to the target, and relay."""
        self._context.connections.add(self)
        self._dialling = Deferred.fromCoroutine(self._reach(target, from_wire))
        self._dialling.addErrback(self._unreachable)

    async def _reach(self, target: IStreamClientEndpoint, from_wire: Buffers) -> None:
        plain = Side(self)
        await connect_side(target, plain, self._context)
        relay = TurnRelay(self.side, self._channel, plain, self._context)
        self._context.connections.discard(self)
        relay.start(from_wire)

    def _unreachable(self, failure: Failure) -> None:
        self._context.connections.discard(self)
        if failure.check(CancelledError) is None:
            warn_unreached("target", failure)
        self.abortConnection()

    def abort(self) -> None:
        """Give up before the relay has started."""
        if self._dialling is not None:
            self._dialling.cancel()

    def data_received(self, data: bytes) -> None:
        """Both sides are silent while the target is dialled: the wire is held."""

    def read_ended(self) -> None:
        pass

    def lost(self) -> None:
        """The client left before the target was reached."""
        self.abort()

    def carry(self, carrier: Carrier) -> None:
        """The next request is on that connection; the channel has taken what came of it."""
        if self.side.is_lost:  # its target has failed at once
            carrier.cut(self)
            return
        self._carrier = carrier
        self.deliver(b"")

    def carrier_ended(self, carrier: Carrier, *, clean: bool) -> None:
        """A connection is no more: the session's end, unless it may come on another."""
        if carrier is not self._carrier or self.side.is_lost:
            return
        self._carrier = None
        if clean:
            self.side.readConnectionLost()
        else:
            self.end(ConnectionLost())

    def writeSequence(self, buffers: Iterable[bytes]) -> None:
        """A response."""
        if self._carrier is not None:
            self._carrier.respond(list(buffers))
            if self._channel.is_idle and self._channel.closes_connection:
                self._carrier.close_after_response()

    def loseConnection(self) -> None:
        """The conversation is over. Its last connection stays as it is: others may use it."""
        self.end(ConnectionDone())

    def abortConnection(self) -> None:
        """The conversation is cut."""
        carrier, self._carrier = self._carrier, None
        self.end(ConnectionLost())
        if carrier is not None:
            carrier.cut(self)

    def end(self, error: Exception) -> None:
        self._channel.forget()
        self._sessions.pop(self._channel, None)
        super().end(error)
