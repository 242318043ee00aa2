"""Which hellos a server has answered before, and which are too old or too new to tell.

A censor can record a client's hello and send it again, to see whether something other than
a web server answers (active probing). So a server answers a hello only if its time is
within `WINDOW` seconds of the server's own, and its nonce is new. Only hellos that verify
get here: to fill this memory takes the bridge's secret and a public-key operation each.

The window is wide enough for a clock that is an hour off, as one is that ignores daylight
saving time, with half an hour to spare. A wider one would not bring many more clients
in, since tor itself refuses to work with a clock that is hours off, but would take memory.

Nonces are kept by the minute of their hello's time:

    minute   28301220   28301221   28301222   ...
             {nonces}   {nonces}    closed          a closed minute accepts nothing

Memory is bounded by `CAPACITY` nonces, at most 22 MB. Beyond it the minute farthest from the
present is closed and its nonces are forgotten: the window shrinks, and the promise holds. The
alternatives are worse: to forget the oldest nonces would let them be replayed, and to refuse
all new hellos would give whoever has the bridge line an off switch. This way he has to make
hellos as fast as the window shrinks, and clients with a right clock are hit last.

A minute whose nonces were forgotten, because it had left the window, stays refused when the
server's clock is set back, as long as the server runs; so do all before it. A clock that is
far ahead for a while, as some are until they are set after the start, forgets only what was
there: clients are welcome again a minute after the last hello of before.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Protocol

WINDOW = 5400
CAPACITY = 1 << 17

#: Takes the place of a nonce in `ReplayFilter.entries` to say that the minute is closed.
CLOSED = bytes(16)

_MINUTE = 60

#: No clock says so, nor any hello that was answered (it is the year 2242): a damaged entry.
_NEVER = 1 << 33


class ReplayCheck(Protocol):
    """What a handshake asks: a `ReplayFilter`, or one that several processes share."""

    def check_and_add(self, nonce: bytes, client_time: int, now: int) -> bool:
        """Whether a hello may be answered; each may be once. Times are unix time, in seconds."""


class ReplayFilter:
    """A `ReplayCheck` in memory."""

    def __init__(self, window: int = WINDOW, capacity: int = CAPACITY) -> None:
        self._window = window
        self._capacity = capacity
        self._minutes: dict[int, set[bytes] | None] = {}
        self._size = 0
        self._first_minute = 0  # of some earlier ones, nonces were forgotten
        self._kept_from = 0  # no minute before this is there

    @property
    def size(self) -> int:
        """How many nonces are remembered: never more than the capacity."""
        return self._size

    def check_and_add(self, nonce: bytes, client_time: int, now: int) -> bool:
        """Whether a hello may be answered; each may be once. Times are unix time, in seconds."""
        if abs(client_time - now) > self._window:
            return False
        self._expire(now)
        return self._add(nonce, client_time // _MINUTE, now)

    def restore(self, entries: Iterable[tuple[int, bytes]], now: int) -> None:
        """Remember what another filter's `entries` gave, or `check_and_add` accepted.

        What neither can have given is passed over.
        """
        self._expire(now)
        oldest = self._oldest(now)
        for client_time, nonce in entries:
            minute = client_time // _MINUTE
            if client_time >= _NEVER:
                continue
            if minute < oldest:
                self._first_minute = max(self._first_minute, minute + 1)
            elif nonce == CLOSED:
                self._close(minute)
            else:
                self._add(nonce, minute, now)

    def entries(self) -> Iterator[tuple[int, bytes]]:
        """All that is remembered, as (time, nonce); the time is right to the minute."""
        for minute, nonces in self._minutes.items():
            for nonce in (CLOSED,) if nonces is None else nonces:
                yield minute * _MINUTE, nonce

    def _add(self, nonce: bytes, minute: int, now: int) -> bool:
        if minute < self._first_minute:
            return False
        nonces = self._minutes.setdefault(minute, set())
        if nonces is None or nonce in nonces:
            return False
        nonces.add(nonce)
        self._size += 1
        if self._size > self._capacity:
            present = now // _MINUTE
            self._close(max(self._open_minutes(), key=lambda minute: abs(minute - present)))
        return True

    def _open_minutes(self) -> Iterator[int]:
        return (minute for minute, nonces in self._minutes.items() if nonces)

    def _close(self, minute: int) -> None:
        if minute >= self._first_minute:
            self._size -= len(self._minutes.get(minute) or ())
            self._minutes[minute] = None

    def _oldest(self, now: int) -> int:
        """The first minute of the window."""
        return (now - self._window) // _MINUTE

    def _expire(self, now: int) -> None:
        oldest = self._oldest(now)
        if oldest == self._kept_from:
            return
        self._kept_from = oldest
        for minute in [minute for minute in self._minutes if minute < oldest]:
            self._size -= len(self._minutes.pop(minute) or ())
            self._first_minute = max(self._first_minute, minute + 1)
