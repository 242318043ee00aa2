"""Random bytes for one connection, taken from the source many at once.

A call of the operating system for each number would cost a small message as much as its
encryption does.
"""

from __future__ import annotations

from random import Random

_DRAWN = 96  # bytes at once


class Draws:
    """Bytes that are given out once each, as `random` gives them."""

    __slots__ = ("_at", "_bytes", "_random")

    def __init__(self, random: Random) -> None:
        self._random = random
        self._bytes = b""
        self._at = 0

    def take(self, size: int) -> bytes:
        """The next bytes, of which there may be asked for `_DRAWN` at most."""
        start, self._at = self._at, self._at + size
        if self._at > len(self._bytes):
            self._bytes = self._random.randbytes(_DRAWN)
            start, self._at = 0, size
        return self._bytes[start : self._at]
