"""What a server does with a new connection before it knows who is there.

The gate reads, and says nothing, until the bytes verify as the opening of one of the
enabled wires, or cannot be any of them; bounded in bytes and in time. Whoever does not
verify is a stranger, however he failed: there is one way out for all of them, so what
a prober sees does not depend on how close he came.

Bytes that do not verify when they arrive are passed on at once, not kept until all is
decided: half a hello is answered by the fallback site as the site answers it.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from twisted.internet.interfaces import IReactorTime

from obfsfte.channel import Channel, Opening
from obfsfte.errors import NotOurs
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.side import Side

#: No opening is longer; what is still undecided by then is a stranger's. Bytes.
MAX_OPENING = 1 << 16


class Gate:
    """Decides for one connection, then calls one of its three ways out, once.

    `on_client(channel)`; `on_stranger()`; `on_lost()`, when the peer
    reset the connection before it was decided. Until then each piece of data that leaves
    it open, or decides against him, is given to `on_unproven(data)`.
    """

    def __init__(
        self,
        wire: Side,
        openings: Sequence[Opening],
        *,
        deadlines: Deadlines,
        seconds: float,
        on_client: Callable[[Channel], None],
        on_unproven: Callable[[bytes], None],
        on_stranger: Callable[[], None],
        on_lost: Callable[[], None],
    ) -> None:
        self._openings = list(openings)
        self._seen = 0
        self._decided = False
        self._on_client = on_client
        self._on_unproven = on_unproven
        self._on_stranger = on_stranger
        self._on_lost = on_lost
        self._deadline = deadlines.add(seconds, self.give_up)
        self._wire = wire
        wire.handler = self

    def data_received(self, data: bytes) -> None:
        self._seen += len(data)
        for opening in tuple(self._openings):
            try:
                channel = opening.feed(data)
            except NotOurs:
                self._openings.remove(opening)
                continue
            if channel is not None:
                self._client(channel)
                return
        self._on_unproven(data)
        if not self._openings or self._seen > MAX_OPENING:
            self.give_up()

    def read_ended(self) -> None:
        self.give_up()

    def lost(self) -> None:
        self._decided = True
        self._deadline.cancel()
        self._on_lost()

    def _client(self, channel: Channel) -> None:
        self._decided = True
        self._deadline.cancel()
        self._on_client(channel)

    def give_up(self) -> None:
        """Decide for a stranger now. Harmless once it is decided."""
        if not self._decided:
            self._decided = True
            self._deadline.cancel()
            self._on_stranger()


class Swallow:
    """Where strangers go when there is no fallback: read, never answered, closed late."""

    def __init__(
        self, wire: Side, *, clock: IReactorTime, seconds: float, on_lost: Callable[[], None]
    ) -> None:
        self._wire = wire
        self._on_lost = on_lost
        # Not with all other deadlines: they pass at the same fraction of a second.
        self._end = clock.callLater(seconds, wire.abort)
        wire.handler = self

    def data_received(self, data: bytes) -> None:
        """Dropped."""

    def read_ended(self) -> None:
        """His FIN changes nothing."""

    def lost(self) -> None:
        if self._end.active():
            self._end.cancel()
        self._on_lost()
