"""The heads of a session's messages in the `http` cover, and the tickets that they show."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random

import attrs

from obfsfte.covers.templates import AnyField, Field, Filled, Template, drawn
from obfsfte.regular import Language


@attrs.frozen
class Head:
    """The head of messages of one sort: a template, and the strings that are the same in all."""

    filled: Filled
    #: What each message has anew.
    changing: Mapping[str, Field]

    @classmethod
    def of(
        cls,
        template: Template,
        fields: Mapping[str, AnyField],
        value: Callable[[AnyField], str],
        more: Mapping[str, str],
    ) -> Head:
        """`value` gives the fields' strings that do not change, `more` are others."""
        mine = {name: fields[name] for name in template.placeholders if name in fields}
        changing = {
            name: field
            for name, field in mine.items()
            if isinstance(field, Field) and field.per == "message"
        }
        strings = {name: value(field) for name, field in mine.items() if name not in changing}
        return cls(Filled(template, {**more, **strings}), changing)

    def fresh(self, random: Random) -> dict[str, str]:
        """Strings for what changes."""
        return {name: field.fresh(random) for name, field in self.changing.items()}


class Tickets:
    """What the requests of one session show; the languages are those of a definition's tickets."""

    def __init__(self, languages: Mapping[str, Sequence[Language]], upstream: bytes) -> None:
        self._languages = languages
        self._key = upstream
        self.number = 0  # of the next request, from 0; the hello's does not count

    def string(self, name: str) -> bytes:
        """The next request's ticket of that name."""
        return drawn(self._languages[name], self._key, f"ticket {name} {self.number}")

    def strings(self) -> list[bytes]:
        """The next request's, of all names."""
        return [self.string(name) for name in self._languages]


@attrs.frozen
class Requests:
    """The three sorts of requests of a client, and what they show for a ticket."""

    first: Head
    poll: Head | None
    send: Head
    ticket: str


@attrs.frozen
class Responses:
    """The two sorts of responses of a server."""

    first: Head
    next: Head
