"""The server's end of a channel in turns, and how a request finds it.

A server knows by a *ticket* which session a request belongs to: a string in it that follows from
the session's keys, good for one request. What is sent twice is a stranger's the second time.
"""

from __future__ import annotations

from collections.abc import Callable, MutableMapping, Sequence
from random import Random
from typing import cast

from obfsfte.channel import Channel
from obfsfte.covers.cover import ServerCover, TurnOpening
from obfsfte.covers.turns import ServerTurns
from obfsfte.session.keys import BridgeKeys, NewKey, new_key
from obfsfte.session.records import RecordType
from obfsfte.session.replay import ReplayCheck
from obfsfte.session_channel import Accepted, BridgeCover, SessionOpening
from obfsfte.turn_channel import TurnChannel

#: The servers' channels by the tickets that they wait for.
Tickets = MutableMapping[bytes, "TurnServer"]


class TurnServer(TurnChannel):
    """The server's end. Its hello is in the first message, which is due."""

    __slots__ = ("_hello", "_tickets", "_waits_for", "forwarded_for")

    _cover: ServerCover
    _turns: ServerTurns

    def __init__(
        self,
        accepted: Accepted,
        tickets: Tickets,
        now: Callable[[], int],
        random: Random,
    ) -> None:
        super().__init__(cast(ServerCover, accepted.cover), ServerTurns(random), now)
        self.forwarded_for = accepted.forwarded_for
        self._tickets = tickets
        self._waits_for: Sequence[bytes] = ()
        self._hello, session = accepted.answer()
        self._establish(session)

    def resume(self, opening: TurnOpening) -> None:
        """Go on with the request that the opening has read."""
        self.forget()
        self._cover.resume(opening)
        self._turns.hears()

    def receive_eof(self) -> None:
        """As `TurnChannel.receive_eof`. Whoever is behind a proxy need not be the one who left."""
        super().receive_eof()
        if not self.forwarded_for and not self._cover.closes_connection:
            self._turns.client_left()

    def forget(self) -> None:
        """Wait for no request any more."""
        for ticket in self._waits_for:
            self._tickets.pop(ticket, None)
        self._waits_for = ()

    def _open(self, records: list[bytes]) -> list[memoryview]:
        plain = super()._open(records)
        if self._hello:
            self._turns.hurry()
        return plain

    def _message(self) -> list[bytes]:
        buffers = super()._message()
        if not self.finished:
            self._waits_for = self._cover.next_tickets()
            self._tickets.update(dict.fromkeys(self._waits_for, self))
        return buffers

    def _seal(self, content: Sequence[tuple[RecordType, bytes | memoryview]]) -> list[bytes]:
        hello, self._hello = self._hello, b""
        return [hello, *super()._seal(content)] if hello else super()._seal(content)


class SessionTurnOpening(SessionOpening):
    """As `SessionOpening`; a request can also be the next one of a session that is there."""

    def __init__(
        self,
        bridge: BridgeCover,
        keys: BridgeKeys,
        seen: ReplayCheck,
        now: Callable[[], int],
        tickets: Tickets,
        random: Random,
        make_key: NewKey = new_key,
    ) -> None:
        super().__init__(bridge, keys, seen, now, random, make_key)
        self._tickets = tickets
        self._random = random

    def feed(self, data: bytes) -> Channel | None:
        """A new session's channel, or that of the session whose request it is."""
        hellos = self._opening.feed(data)
        opening = cast(TurnOpening, self._opening)
        for ticket in opening.tickets():
            if ticket in self._tickets:
                channel = self._tickets[ticket]
                channel.resume(opening)
                return channel
        accepted = self._verify(hellos)
        if accepted is None:
            return None
        return TurnServer(accepted, self._tickets, self._now, self._random)
