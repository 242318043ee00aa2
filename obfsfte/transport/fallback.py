"""The fallback site's side of a connection, until it is known whose that is.

The fallback site is connected to at once, for every visitor, and hears what he says
while the gate still reads. So a stranger who says too little to be told meets the site's
own answers and timeouts, and the time to reach it is hidden in that of the visitor's first
bytes. If the site answers or hangs up before it is decided, he is a stranger.

A client's connection to the site is closed again, without a byte on it: a hello fits into
one segment. One that was cut in pieces on the way competes with the site's answer to the
first, as it has to: a bridge that waits where the site would not can be told by that. A
site of the web waits as well for the rest of a request, so an HTTP opening may come slowly.
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from obfsfte.transport.context import Context
from obfsfte.transport.dial import connect_side
from obfsfte.transport.side import Side


def was_reset(failure: Failure) -> bool:
    """Whether the site was reached, and reset the connection before that was noticed."""
    return getattr(failure.value, "osError", None) == errno.ECONNRESET


class FallbackVisit:
    """The fallback site's side of a connection before the gate has decided.

    `reached` fires when the site is connected. `said` is what it sent so far; `hear` gives
    it what the visitor said.
    """

    reached: Deferred[None]

    def __init__(self, on_event: Callable[[], None], context: Context) -> None:
        self.side = Side(self)
        self.said = b""
        self._context = context
        self._unheard: list[bytes] = []
        self._on_event = on_event
        self._ended = False

    def start(self, endpoint: IStreamClientEndpoint) -> None:
        """Connect to the site. It may fail at once, which is an event."""
        self.reached = connect_side(endpoint, self.side, self._context)
        self.reached.addErrback(self._failed)

    def _failed(self, failure: Failure) -> Failure:
        if was_reset(failure) and not self._ended:
            self._on_event()
        return failure

    def hear(self, data: bytes) -> None:
        """Pass it on, once the site is reached."""
        self._unheard.append(data)
        self.reached.addCallback(lambda _: self.side.write_all(self.take_unheard()))

    def take_unheard(self) -> list[bytes]:
        """What the visitor said and the site has not heard; whoever takes it passes it on."""
        unheard, self._unheard = self._unheard, []
        return unheard

    def end(self) -> None:
        """It was a client: leave as a visitor does who changed his mind."""
        if self._ended:
            return
        self._ended = True
        self.take_unheard()
        self.reached.addBoth(lambda _: self._leave())
        self.reached.cancel()

    def _leave(self) -> None:
        if self.side.transport is not None and not self.side.is_lost:
            self.side.close()

    def data_received(self, data: bytes) -> None:
        self.said += data
        self._on_event()

    def read_ended(self) -> None:
        self._on_event()

    def lost(self) -> None:
        if not self._ended:
            self._on_event()
