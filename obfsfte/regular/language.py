"""Languages: the strings of one length that match a pattern, and their numbers."""

from __future__ import annotations

from bisect import bisect_right
from collections import defaultdict
from collections.abc import Iterator, Mapping
from enum import Enum, auto
from functools import cached_property

import attrs

from obfsfte.errors import ConfigError
from obfsfte.regular.automaton import nearest_lengths
from obfsfte.regular.boxes import Box, NotInBox, find_hubs
from obfsfte.regular.pattern import Pattern, PatternError
from obfsfte.regular.table import Node, TableTooLarge, count_strings


class EmptyLanguage(ConfigError):
    """No string of that length matches the pattern."""


class NotInLanguage(ValueError):
    """A string that is asked for its rank is not one of the language."""


class RankOutOfRange(ValueError):
    """No string of the language has this rank."""


class Prefix(Enum):
    """What the bytes so far say of a string that begins with them."""

    IN = auto()  # they are a string of the language
    POSSIBLE = auto()  # more bytes are needed, and some make it a string of the language
    IMPOSSIBLE = auto()  # no string of the language begins so


def _to_pattern(pattern: Pattern | bytes | str) -> Pattern:
    return pattern if isinstance(pattern, Pattern) else Pattern(pattern)


@attrs.frozen(slots=False)  # for the cached properties
class Language:
    """The strings of `length` bytes that match `pattern`, in lexicographic order.

    Raises EmptyLanguage if there is none, PatternError for a pattern that cannot be used, by
    itself or with this length.
    """

    pattern: Pattern = attrs.field(converter=_to_pattern)
    length: int
    #: The first of the nodes (see table.py) that the strings are counted in.
    root: Node = attrs.field(init=False, eq=False, repr=False)

    @root.default
    def _count(self) -> Node:
        if self.length < 0:
            raise ConfigError(f"a length of {self.length} bytes is negative")
        automaton = self.pattern.automaton
        try:
            root = count_strings(find_hubs(automaton), self.length)
        except TableTooLarge:
            raise PatternError(
                f"the pattern takes too much memory with a length of {self.length} bytes: "
                "use a shorter length, or fewer repeats"
            ) from None
        if root is None:
            lengths = nearest_lengths(automaton, self.length)
            hint = " and ".join(map(str, lengths)) or "no other length is near"
            raise EmptyLanguage(
                f"the pattern matches no string of {self.length} bytes (of nearest length: {hint})"
            )
        return root

    @property
    def size(self) -> int:
        """How many strings there are."""
        return self.root.count

    @property
    def capacity(self) -> int:
        """Whole bits that any string can carry: floor(log2(size))."""
        return self.size.bit_length() - 1

    def unrank(self, number: int) -> bytes:
        """The string that comes after `number` others. Raises RankOutOfRange."""
        if not 0 <= number < self.size:
            raise RankOutOfRange(f"the rank is not in 0..N-1, N of {self.size.bit_length()} bits")
        texts = []
        node = self.root
        while node.arcs:
            arc = node.arcs[bisect_right(node.bounds, number)]
            offset, weight, letters, box, node = arc
            place, number = divmod(number - offset, weight)
            texts.append(letters[place] if letters else box.unrank(place))
        return b"".join(texts)

    def rank(self, data: bytes) -> int:
        """How many strings come before this one. Raises NotInLanguage, after one pass at most."""
        if len(data) != self.length:
            raise NotInLanguage(f"{len(data)} bytes where the strings have {self.length}")
        terms = []
        node = self.root
        at = 0
        try:
            while node.arcs:
                which, place = node.first[data[at]]
                offset, weight, letters, box, node = node.arcs[which]
                if letters:
                    at += 1
                else:
                    end = at + box.length
                    place = box.rank(data[at:end])
                    at = end
                terms.append(offset + place * weight)
        except (KeyError, NotInBox):
            raise NotInLanguage(f"no string goes on so at byte {at}") from None
        # From the last, which are the smallest: so the sums stay short for longest.
        return sum(reversed(terms))

    def bytes_at(self, position: int) -> frozenset[int]:
        """The bytes that some string has at `position`, counted from 0. Raises IndexError."""
        if not 0 <= position < self.length:
            raise IndexError(f"position {position} of strings of {self.length} bytes")
        return frozenset(
            symbol
            for symbols, positions in self._positions.items()
            if positions >> position & 1
            for symbol in symbols
        )

    @cached_property
    def _positions(self) -> Mapping[bytes, int]:
        """Where each alphabet occurs, as a set of positions: bit i for position i."""
        places: defaultdict[int, set[Node]] = defaultdict(set)
        places[0].add(self.root)
        boxes: defaultdict[Box, int] = defaultdict(int)
        for position in range(self.length):
            for node in places.pop(position, ()):
                for *_, box, target in node.arcs:
                    boxes[box] |= 1 << position
                    places[position + box.length].add(target)
        positions: defaultdict[bytes, int] = defaultdict(int)
        for box, starts in boxes.items():
            for symbols, count in box.blocks:
                span, width = starts, 1
                while width < count:
                    shift = min(width, count - width)
                    span |= span << shift
                    width += shift
                positions[symbols] |= span
                starts <<= count
        return positions

    def matcher(self) -> Matcher:
        """A matcher that has seen nothing yet."""
        return Matcher(self)

    def test_prefix(self, data: bytes) -> Prefix:
        """What `data` says of a string that begins with it."""
        return self.matcher().feed(data)


class Matcher:
    """Follows a string as it comes in, each byte once."""

    def __init__(self, language: Language) -> None:
        self._possible = True
        self._remaining = language.length
        self._node = language.root  # where the box ends that is being read
        self._blocks: Iterator[tuple[bytes, int]] = iter(())  # what follows in the box
        self._symbols, self._count = b"", 0  # what comes next: so many of these symbols

    def feed(self, data: bytes) -> Prefix:
        """Take the next bytes; say what all bytes so far are.

        More bytes than the strings of the language have are IMPOSSIBLE.
        """
        self._remaining -= len(data)
        self._possible = self._possible and self._remaining >= 0 and self._follow(data)
        if not self._possible:
            return Prefix.IMPOSSIBLE
        return Prefix.POSSIBLE if self._remaining else Prefix.IN

    def _follow(self, data: bytes) -> bool:
        at = 0
        while at < len(data):
            if not self._count:
                block = next(self._blocks, None)
                if block is None:
                    if data[at] not in self._node.first:
                        return False
                    which, _ = self._node.first[data[at]]
                    *_, box, self._node = self._node.arcs[which]
                    self._blocks = iter(box.blocks)
                    block = next(self._blocks)
                self._symbols, self._count = block
            part = data[at : at + self._count]
            if part.strip(self._symbols):
                return False
            self._count -= len(part)
            at += len(part)
        return True
