"""The heads of messages in the `http` cover, and the tickets that requests show."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import attrs

from obfsfte.covers.http_messages import Framed
from obfsfte.covers.template_fields import Field, Strings, fresh
from obfsfte.covers.templates import Head


class Tickets:
    """What the requests of one session show, of what a definition's tickets can be."""

    def __init__(self, possible: Mapping[str, Strings], upstream: bytes) -> None:
        self._possible = possible
        self._key = upstream
        self.number = 0  # of the next request, from 0; the hello's does not count

    def string(self, name: str) -> bytes:
        """The next request's ticket of that name."""
        return self._possible[name].following(self._key, f"ticket {name} {self.number}")

    def strings(self) -> list[bytes]:
        """The next request's, of all names."""
        return [self.string(name) for name in self._possible]


@attrs.frozen
class Kept:
    """What a session shows in each of its messages, on whichever connection."""

    #: What is drawn once, and what follows from the session's keys.
    connection: Sequence[Field]
    session: Sequence[Field]

    def strings(self, random: Random, upstream: bytes) -> dict[str, bytes]:
        """Those of a new session."""
        known = {field.name: field.of_session(upstream) for field in self.session}
        return known | fresh(self.connection, random)


@attrs.frozen
class Requests:
    """The three sorts of requests of a client, and what they show for a ticket."""

    first: Head
    poll: Head | None
    send: Framed
    ticket: str

    @property
    def heads(self) -> list[Head]:
        return [self.first, *([self.poll] if self.poll else []), self.send.head]

    def filled(self, strings: Mapping[str, bytes]) -> Requests:
        """With these strings in their gaps."""
        poll = None if self.poll is None else self.poll.filled(strings)
        return Requests(self.first.filled(strings), poll, self.send.filled(strings), self.ticket)


@attrs.frozen
class Responses:
    """The two sorts of responses of a server."""

    first: Framed
    next: Framed

    @property
    def heads(self) -> list[Head]:
        return [self.first.head, self.next.head]

    def filled(self, strings: Mapping[str, bytes]) -> Responses:
        """With these strings in their gaps."""
        return Responses(self.first.filled(strings), self.next.filled(strings))
