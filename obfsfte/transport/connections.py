"""The connections of one service, so that a stop can wait for them, or end them."""

from __future__ import annotations

from typing import Protocol

from twisted.internet.defer import Deferred, succeed


class Abortable(Protocol):
    """A connection in any phase: it can be ended at once."""

    def abort(self) -> None:
        """Close every transport of it without waiting for anything."""


class Connections:
    """Which connections are open. Those in a phase before the relay count as well."""

    def __init__(self) -> None:
        self._open: set[Abortable] = set()
        self._drained: list[Deferred[None]] = []

    def __len__(self) -> int:
        return len(self._open)

    def add(self, connection: Abortable) -> None:
        self._open.add(connection)

    def discard(self, connection: Abortable) -> None:
        self._open.discard(connection)
        if not self._open:
            waiting, self._drained = self._drained, []
            for deferred in waiting:
                deferred.callback(None)

    def drained(self) -> Deferred[None]:
        """Fires once no connection is open (at once when there is none)."""
        if not self._open:
            return succeed(None)
        deferred: Deferred[None] = Deferred()
        self._drained.append(deferred)
        return deferred

    def abort_all(self) -> None:
        for connection in list(self._open):
            connection.abort()
