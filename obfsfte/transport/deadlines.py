"""Every timeout of a process on one timer.

A timer per connection would be re-armed on every read; here a connection only moves
its own `deadline` and one sweep a second looks for those that have passed. No timeout
of ours needs to be finer than that. A sweep that finds none at all is the last until there are.
"""

from __future__ import annotations

from collections.abc import Callable

from twisted.internet.interfaces import IReactorTime

SWEEP_SECONDS = 1.0


class Deadline:
    """A point in time on the reactor's clock, and what to do when it has passed."""

    __slots__ = ("_deadlines", "at", "expire")

    def __init__(self, deadlines: Deadlines, at: float, expire: Callable[[], None]) -> None:
        self._deadlines = deadlines
        self.at = at
        self.expire = expire

    def extend(self, seconds: float) -> None:
        """Count `seconds` anew from now."""
        self.at = self._deadlines.clock.seconds() + seconds

    def cancel(self) -> None:
        """Forget it; harmless when it has expired or was cancelled before."""
        self._deadlines.discard(self)


class Deadlines:
    """All deadlines of one service."""

    def __init__(self, clock: IReactorTime) -> None:
        self.clock = clock
        self._pending: set[Deadline] = set()
        self._is_sweeping = False

    def add(self, seconds: float, expire: Callable[[], None]) -> Deadline:
        """Call `expire` once `seconds` have passed, unless extended or cancelled."""
        deadline = Deadline(self, self.clock.seconds() + seconds, expire)
        self._pending.add(deadline)
        if not self._is_sweeping:
            self._is_sweeping = True
            self.clock.callLater(SWEEP_SECONDS, self._sweep)
        return deadline

    def discard(self, deadline: Deadline) -> None:
        self._pending.discard(deadline)

    def _sweep(self) -> None:
        if not self._pending:
            self._is_sweeping = False
            return
        now = self.clock.seconds()
        self.clock.callLater(SWEEP_SECONDS, self._sweep)
        for deadline in [each for each in self._pending if each.at <= now]:
            # One that expired just now may have cancelled or extended this one.
            if deadline in self._pending and deadline.at <= now:
                self.discard(deadline)
                deadline.expire()
