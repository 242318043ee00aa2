"""How large messages are: random, so that they do not show what they carry.

Without padding, Tor's cells of 514 bytes would be counted from outside. What an application
wrote at once is one message, as far as it can be, since cutting it would cost time and show
the same sum.
"""

from __future__ import annotations

from obfsfte.covers.draws import Draws

_SHARE_SIZE = 2  # bytes
#: Steps of a drawn share.
_SHARES = 1 << 8 * _SHARE_SIZE
#: Up to so many bytes of padding go with a message of `_SMALL` bytes or less, fewer with a
#: larger one, in inverse proportion; but at least one in 128 of its own size.
_SMALL = 768
_MOST_PADDING = 680


class Sizes:
    """The sizes of one direction's messages, of at most `largest` bytes each."""

    def __init__(self, draws: Draws, largest: int) -> None:
        self._draws = draws
        self._largest = largest
        self.renew()

    def renew(self) -> None:
        """Draw for the next message."""
        self._share = int.from_bytes(self._draws.take(_SHARE_SIZE), "big")

    def size(self, wanted: int) -> int:
        """Bytes of the next message's record, when `wanted` would suit best."""
        most = max(_SMALL * _MOST_PADDING // max(wanted, _SMALL), wanted >> 7)
        size = max(wanted, 1) + most * self._share // _SHARES
        # A longer one is cut somewhere between 3/4 of the limit and the limit.
        return min(size, self._largest - (self._largest // 4) * self._share // _SHARES)
