"""A stranger's requests on a connection that may carry a client's next.

An intermediary with a pool sends over one connection what comes from several of its own: a
visitor's request for the site, then a client's for us. So a stranger who is joined to the fallback
site is followed from request to request, as long as what he sends is plain HTTP, and what each
request begins with is shown to the openings. Nothing of his is held back meanwhile.

An intermediary sends a request when the response to the last one is complete. So nothing
of the site's is lost when a client's request takes its place; whoever sends both at once knows
the bridge line, and cuts only himself off.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from obfsfte.channel import Channel, Opening
from obfsfte.errors import NotOurs
from obfsfte.transport.context import Context
from obfsfte.transport.relay import Splice
from obfsfte.transport.side import Side

if TYPE_CHECKING:
    from obfsfte.covers.http_messages import RequestFollower


class FollowedSplice(Splice):
    """A `Splice` that ends when a client's request comes: then `on_client` gets its channel.

    `follower` has seen what the visitor said so far.
    """

    __slots__ = ("_follower", "_make_openings", "_on_client", "_openings")

    def __init__(
        self,
        wire: Side,
        plain: Side,
        context: Context,
        follower: RequestFollower,
        make_openings: Callable[[], Sequence[Opening]],
        on_client: Callable[[Channel], None],
    ) -> None:
        super().__init__(wire, plain, context)
        self._follower: RequestFollower | None = follower
        self._make_openings = make_openings
        self._on_client = on_client
        self._openings: list[Opening] = []

    def wire_received(self, data: bytes) -> None:
        channel = None if self._follower is None else self._client_of(data, self._follower)
        if channel is None:
            super().wire_received(data)
        elif not self._closing:
            self.part()
            self._on_client(channel)

    def _client_of(self, data: bytes, follower: RequestFollower) -> Channel | None:
        """Whose request begins with this data, if it is a client's."""
        if follower.at_boundary:
            self._openings = list(self._make_openings())
        for opening in tuple(self._openings):
            try:
                channel = opening.feed(data)
            except NotOurs:
                self._openings.remove(opening)
                continue
            if channel is not None:
                return channel
        if not follower.feed(data):
            self._follower = None
        return None
