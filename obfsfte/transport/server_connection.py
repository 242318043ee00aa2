"""The life of one connection at the server half.

The gate reads until it knows who is there; a client of ours is joined to the target, anybody
else to the fallback site.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, cast

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.python.failure import Failure

from obfsfte.channel import Buffers, Channel
from obfsfte.errors import WireError
from obfsfte.transport.context import Context
from obfsfte.transport.deadlines import Deadline
from obfsfte.transport.dial import connect_side, warn_unreached
from obfsfte.transport.fallback import FallbackVisit, was_reset
from obfsfte.transport.gate import Gate, Swallow
from obfsfte.transport.relay import Relay, Splice
from obfsfte.transport.server_session import ServerSession
from obfsfte.transport.side import Side
from obfsfte.transport.site import Site
from obfsfte.transport.stranger import FollowedSplice

if TYPE_CHECKING:  # tor waits for no wire
    from obfsfte.turn_server import TurnServer


class ServerConnection:
    """One accepted connection: until a relay has it, or, for sessions in turns, to its end.

    Such a session's request leaves the connection free for the next one, which may be anybody's.
    """

    def __init__(self, wire: Side, peer: IAddress, site: Site, context: Context) -> None:
        self._wire = wire
        self._peer = peer
        self._site = site
        self._context = context
        self._dialling: Deferred[None] | None = None
        self._visit: FallbackVisit | None = None
        self._session: ServerSession | None = None
        self._idle: Deadline | None = None
        self._swallow_until = 0.0  # on the reactor's clock

    def start(self) -> None:
        self._open_gate()
        self._begin_visit()

    def _open_gate(self) -> None:
        self._visit = None
        make_follower = self._site.follower
        self._follower = None if make_follower is None else make_follower()
        self._context.connections.add(self)
        patience = self._site.patience()
        self._swallow_until = self._context.deadlines.clock.seconds() + patience
        self._gate = Gate(
            self._wire,
            self._site.openings(),
            deadlines=self._context.deadlines,
            seconds=min(self._context.timeouts.handshake, patience),
            on_client=self._welcome,
            on_unproven=self._pass_on,
            on_stranger=self._turn_away,
            on_lost=self._left,
        )

    def _welcome(self, channel: Channel) -> None:
        self._end_visit()
        if channel.takes_turns:
            self._serve(cast("TurnServer", channel))
            return
        self._end_idleness()
        from_wire = self._first_bytes(channel)
        if from_wire is None:
            return
        self._hold()
        # Not when the target is reached: meanwhile the client verifies it, and its application
        # hears of it.
        self._wire.write_all(channel.data_to_send())
        plain = Side(self)
        self._dialling = connect_side(self._target_for(channel), plain, self._context)
        self._dialling.addCallback(
            lambda _: self._join(Relay(self._wire, channel, plain, self._context), from_wire)
        )
        self._dialling.addErrback(self._unreachable, "target")

    def _target_for(self, channel: Channel) -> IStreamClientEndpoint:
        visitor = self._site.proxies.visitor(self._peer, channel.forwarded_for)
        return self._site.target(visitor)

    def _first_bytes(self, channel: Channel) -> Buffers | None:
        """The application's bytes that came with a hello; None: the connection had to be cut."""
        try:
            return channel.receive(b"")
        except WireError:
            # The opening was good, what came with it was not: cut, as a relay would.
            self._discard()
            self._wire.abort()
            return None

    def _serve(self, channel: TurnServer) -> None:
        """A request of a session in turns has begun, its first or a later one."""
        session = self._site.sessions.get(channel)
        if session is None:
            from_wire = self._first_bytes(channel)
            if from_wire is None:
                return
            session = ServerSession(channel, self._site.sessions, self._context)
            session.start(self._target_for(channel), from_wire)
            self._wire.read_much()
        self._discard()
        self._wire.handler = self
        self._session = session
        if self._idle is None:
            seconds = self._context.timeouts.idle
            self._idle = self._context.deadlines.add(seconds, self._wire.close)
        session.carry(self)

    def _pass_on(self, data: bytes) -> None:
        if self._follower is not None and not self._follower.feed(data):
            self._follower = None
        visit = self._begin_visit()
        if visit is not None:
            visit.hear(data)

    def _begin_visit(self) -> FallbackVisit | None:
        """The visit to the fallback site, begun unless it has; None: there is no site."""
        if self._visit is None and self._site.fallback is not None:
            self._visit = FallbackVisit(self._fallback_speaks, self._context)
            self._visit.start(self._site.fallback)
        return self._visit

    def _fallback_speaks(self) -> None:
        """A site that speaks or hangs up before the visitor is known does it to a stranger."""
        self._gate.give_up()

    def _turn_away(self) -> None:
        self._end_idleness()
        visit = self._begin_visit()
        if visit is None:
            self._swallow()
            return
        self._hold()
        self._dialling = visit.reached
        self._dialling.addCallback(lambda _: self._join_fallback(visit))
        self._dialling.addErrback(self._no_fallback, visit)

    def _join_fallback(self, visit: FallbackVisit) -> None:
        splice: Splice
        if self._follower is None:
            splice = Splice(self._wire, visit.side, self._context)
        else:
            splice = FollowedSplice(
                self._wire,
                visit.side,
                self._context,
                self._follower,
                self._site.openings,
                self._welcome,
            )
        self._join(splice, visit.take_unheard(), visit.said)

    def _no_fallback(self, failure: Failure, visit: FallbackVisit) -> None:
        """As if there were none: to be cut at once would show that the gate has decided."""
        is_down = failure.check(CancelledError) is None and not was_reset(failure)
        if is_down and not self._wire.is_lost:
            self._warn("fallback", failure)
            visit.take_unheard()
            self._swallow()
            self._wire.release()
        else:
            self._unreachable(failure, "fallback")

    def _swallow(self) -> None:
        clock = self._context.deadlines.clock
        Swallow(
            self._wire,
            clock=clock,
            # From when he came: the longer the gate needed, the nearer he was to being a client.
            seconds=max(0.0, self._swallow_until - clock.seconds()),
            on_lost=self._discard,
        )

    def _hold(self) -> None:
        """Read nothing from the wire until there is somewhere to put it."""
        self._wire.handler = self
        self._wire.hold()

    def _join(self, relay: Relay, from_wire: Buffers, from_plain: bytes = b"") -> None:
        self._discard()
        relay.start(from_wire, from_plain)

    def _unreachable(self, failure: Failure, name: str) -> None:
        self._discard()
        if failure.check(CancelledError) is None:
            self._warn(name, failure)
        if not self._wire.is_lost:
            self._wire.abort()

    def _warn(self, name: str, failure: Failure) -> None:
        # Whoever gets as far as the target has our key.
        now = self._context.deadlines.clock.seconds()
        if name == "target" or self._site.complaints.is_due(now):
            warn_unreached(name, failure)

    def _left(self) -> None:
        self._end_idleness()
        self._end_visit()
        self._discard()

    def _end_visit(self) -> None:
        if self._visit is not None:
            self._visit.end()

    def _discard(self) -> None:
        self._context.connections.discard(self)

    def _end_idleness(self) -> None:
        if self._idle is not None:
            self._idle.cancel()
            self._idle = None

    def abort(self) -> None:
        """End it in whatever phase it is."""
        self._end_visit()
        if self._dialling is not None:
            self._dialling.cancel()
        if not self._wire.is_lost:
            self._wire.abort()

    def data_received(self, data: bytes) -> None:
        """Of a session's request. Else both sides are silent: the wire is held."""
        if self._session is None or self._idle is None:
            return
        if self._session.is_asked_on(self):
            self._session.deliver(data)
            return
        self._session = None
        self._idle.extend(self._context.timeouts.idle)
        self._open_gate()
        self._gate.data_received(data)

    def read_ended(self) -> None:
        """The end of a connection that sessions use; one that is held is told later."""
        if self._session is not None:
            self._session.carrier_ended(self, clean=True)
            self._wire.close()

    def lost(self) -> None:
        """The client left, before the target was reached or between requests."""
        self._end_idleness()
        if self._session is not None:
            self._session.carrier_ended(self, clean=False)
        else:
            self.abort()

    def respond(self, buffers: list[bytes]) -> None:
        """A session's response, or part of it."""
        if not self._wire.is_lost:
            self._wire.write_all(buffers)

    def close_after_response(self) -> None:
        """No further request may come here."""
        self._wire.close()

    def cut(self, session: ServerSession) -> None:
        """End it with a session that is cut, if that was its last user."""
        if session is self._session and not self._wire.is_lost:
            self._wire.abort()
