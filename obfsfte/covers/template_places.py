"""Where requests have what a server looks for, whatever happened to the rest on the way.

One of a template's strings is a client's hello, in a *carrier*: a language whose strings are
hellos. Later requests can have a ticket instead. A server finds either by its *place*.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import attrs

from obfsfte.covers.embedding import Embedding
from obfsfte.covers.http_fields import Fields
from obfsfte.covers.schedule import opening_draw
from obfsfte.errors import NotOurs, WireError

#: The `source` of a place in the request's target; of others it is a field's name.
QUERY = "query"
_QUERY = QUERY.encode("ascii")

#: Strings of one request that the session is asked about at most: each costs it a key agreement.
_MAX_CANDIDATES = 8


@attrs.frozen
class Carrier:
    """The languages of a client's hello: one embedding per length, shortest first."""

    name: str
    pattern: str
    embeddings: Sequence[Embedding]
    _by_length: Mapping[int, Embedding] = attrs.field(init=False, eq=False, repr=False)

    @_by_length.default
    def _sort(self) -> Mapping[int, Embedding]:
        return {embedding.language.length: embedding for embedding in self.embeddings}

    @property
    def lengths(self) -> list[int]:
        """Bytes of its strings, ascending."""
        return list(self._by_length)

    def embedding_of(self, string: bytes) -> Embedding | None:
        """What a string of this length may be in."""
        return self._by_length.get(len(string))


@attrs.frozen(order=True)
class Place:
    """Where a request has the string of that name: after `prefix`, in one part of `source`.

    The parts of a query are what `&` joins, those of a Cookie field what `;` joins; any
    other field is one part.
    """

    source: str
    prefix: str
    name: str


class Places:
    """Some places, ready to be looked at in requests."""

    def __init__(self, places: Sequence[Place]) -> None:
        self._places = [
            (each.source.encode("ascii"), each.prefix.encode("ascii"), each.name) for each in places
        ]
        self._sources = {source for source, _, _ in self._places}

    def strings(self, target: bytes, fields: Fields) -> list[tuple[str, bytes]]:
        """What a request has in them: names and strings, in the places' order."""
        parts = {source: _parts(source, target, fields) for source in self._sources}
        return [
            (name, part[len(prefix) :])
            for source, prefix, name in self._places
            for part in parts[source]
            if part.startswith(prefix)
        ]


def _parts(source: bytes, target: bytes, fields: Fields) -> list[bytes]:
    if source == _QUERY:
        return target.partition(b"?")[2].split(b"&")
    found = fields.values(source)
    if source == b"cookie":
        return [part.strip(b" \t") for value in found for part in value.split(b";")]
    return found


@attrs.frozen
class Candidate:
    """What a string that may be a hello carries."""

    record: bytes
    _place: int  # in the carrier's language
    _embedding: Embedding

    def check(self, upstream: bytes) -> None:
        """Raise NotOurs unless it is the very string that this key makes of the record."""
        if self._place != self._embedding.place(self.record, opening_draw(upstream)):
            raise NotOurs("a hello was altered within the cover's language")


@attrs.frozen
class Hellos:
    """Where hellos are, and what they can be in."""

    places: Places
    carriers: Mapping[str, Carrier]

    def find(self, target: bytes, fields: Fields) -> Iterator[Candidate]:
        """What may be hellos in a request."""
        for name, string in self.places.strings(target, fields)[:_MAX_CANDIDATES]:
            embedding = self.carriers[name].embedding_of(string)
            if embedding is None:
                continue
            try:
                record, place = embedding.extract(string)
            except WireError:
                continue
            yield Candidate(record, place, embedding)
