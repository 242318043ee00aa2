"""Values that vary in templates: from language to language, by bridge, session or message."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping, Sequence
from random import Random
from typing import ClassVar, TypeVar

import attrs

from obfsfte.regular import Language

T = TypeVar("T")


class Seeded:
    """Choices that are the same for all connections of one bridge, and differ between bridges."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "surrogatepass")  # any text of a command line

    def draw(self, name: str) -> int:
        """A number that belongs to that name, 0 <= number < 2**512."""
        return int.from_bytes(hashlib.sha512(name.encode() + b"\0" + self._seed).digest(), "big")

    def choice(self, name: str, choices: Sequence[T]) -> T:
        return choices[self.draw(name) % len(choices)]


@attrs.frozen
class Strings:
    """Strings of some languages, each of which is as likely to be drawn from.

    A draw takes 8 bytes for the language's number, modulo their number, and 16 more than the
    largest language's capacity has, for the string's number in it, the same.
    """

    languages: Sequence[Language]
    _draw_size: int = attrs.field(init=False, eq=False, repr=False)

    @_draw_size.default
    def _choose_size(self) -> int:
        return 24 + max(language.capacity for language in self.languages) // 8

    def fresh(self, random: Random) -> bytes:
        """Any of them."""
        return self._drawn(random.randbytes(self._draw_size))

    def following(self, key: bytes, label: str) -> bytes:
        """The one that follows from the key: drawn with SHAKE256(key || label)."""
        return self._drawn(hashlib.shake_256(key + label.encode("ascii")).digest(self._draw_size))

    def _drawn(self, draw: bytes) -> bytes:
        language = self.languages[int.from_bytes(draw[:8], "big") % len(self.languages)]
        return language.unrank(int.from_bytes(draw[8:], "big") % language.size)


@attrs.frozen
class Field:
    """A value that varies."""

    name: str
    strings: Strings
    #: What has one value: a "bridge", a "session", a "connection", or a "message".
    per: str

    @property
    def longest(self) -> int:
        """Bytes of the longest strings."""
        return max(language.length for language in self.strings.languages)

    def of_bridge(self, seeded: Seeded) -> bytes:
        """The value that a bridge's seed chooses."""
        language = seeded.choice(f"length of {self.name}", self.strings.languages)
        return language.unrank(seeded.draw(self.name) % language.size)

    def of_session(self, key: bytes) -> bytes:
        """The value that both ends of a session know."""
        return self.strings.following(key, f"field {self.name}")

    def fresh(self, random: Random) -> bytes:
        """Another value each time."""
        return self.strings.fresh(random)


@attrs.frozen
class Follower:
    """A value that goes with another field's, which is per bridge: a browser's brands."""

    name: str
    leader: Field
    #: By the leader's strings.
    values: Mapping[bytes, bytes]
    per: ClassVar[str] = "bridge"

    @property
    def longest(self) -> int:
        """Bytes of the longest value."""
        return max(map(len, self.values.values()))

    def of_bridge(self, seeded: Seeded) -> bytes:
        """The value that goes with the one that a bridge's seed chooses."""
        return self.values[self.leader.of_bridge(seeded)]


AnyField = Field | Follower


def having(per: str, fields: Iterable[AnyField]) -> list[Field]:
    """Those of the fields that each `per` has a new value of."""
    return [field for field in fields if isinstance(field, Field) and field.per == per]


def fresh(fields: Iterable[Field], random: Random) -> dict[str, bytes]:
    """New strings for these fields, by their names."""
    return {field.name: field.fresh(random) for field in fields}
