"""Saying a thing seldom: what strangers can cause as often as they like must not fill a log."""

from __future__ import annotations

import math

#: How long to be silent after it was said, in seconds.
SILENCE = 60.0


class Seldom:
    """One thing to say. Times are in seconds, on any clock."""

    def __init__(self) -> None:
        self._last = -math.inf

    def is_due(self, now: float) -> bool:
        """Whether to say it; whoever asks does so then."""
        if abs(now - self._last) < SILENCE:  # a clock that was set back is no reason to wait
            return False
        self._last = now
        return True
