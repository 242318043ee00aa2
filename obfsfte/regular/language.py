"""Languages: the strings of one length that match a pattern, and what can be asked of them."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Mapping, Sequence
from functools import cached_property

import attrs

from obfsfte.errors import ConfigError
from obfsfte.regular import forms
from obfsfte.regular.automaton import nearest_lengths
from obfsfte.regular.boxes import Box, find_hubs
from obfsfte.regular.pattern import Pattern, PatternError
from obfsfte.regular.prefix import Matcher, Prefix
from obfsfte.regular.ranking import NotInLanguage
from obfsfte.regular.table import Node, TableTooLarge, count_strings


class EmptyLanguage(ConfigError):
    """No string of that length matches the pattern."""


class RankOutOfRange(ValueError):
    """No string of the language has this rank."""


def _to_pattern(pattern: Pattern | bytes | str) -> Pattern:
    return pattern if isinstance(pattern, Pattern) else Pattern(pattern)


class _Family:
    """Languages of one pattern: their nodes, which they share, and what walks those.

    Raises as Language does.
    """

    def __init__(self, pattern: Pattern, lengths: Sequence[int]) -> None:
        for length in lengths:
            if length < 0:
                raise ConfigError(f"a length of {length} bytes is negative")
        automaton = pattern.automaton
        try:
            #: By length: the first of the nodes (see table.py) that the strings are counted in.
            self.roots = count_strings(find_hubs(automaton), lengths)
        except TableTooLarge:
            raise PatternError(
                f"the pattern takes too much memory with a length of {max(lengths)} bytes: "
                "use a shorter length, or fewer repeats"
            ) from None
        for length in lengths:
            if length not in self.roots:
                near = nearest_lengths(automaton, length)
                raise EmptyLanguage(
                    f"the pattern matches no string of {length} bytes, "
                    + (f"but some of {' and '.join(map(str, near))}" if near else "nor near that")
                )

    @cached_property
    def walks(self) -> Mapping[int, forms.Walks]:
        """Made when one is first needed: the kernel's layout takes time and memory."""
        return forms.make_walks(self.roots)


@attrs.frozen(slots=False)  # for the cached properties
class Language:
    """The strings of `length` bytes that match `pattern`, in lexicographic order.

    Raises EmptyLanguage if there is none, PatternError for a pattern that cannot be used, by
    itself or with this length.
    """

    pattern: Pattern = attrs.field(converter=_to_pattern)
    length: int
    _family: _Family = attrs.field(kw_only=True, eq=False, repr=False)

    #: The first of the nodes (see table.py) that the strings are counted in.
    root: Node = attrs.field(init=False, eq=False, repr=False)

    @_family.default
    def _alone(self) -> _Family:
        return _Family(self.pattern, [self.length])

    @root.default
    def _find_root(self) -> Node:
        return self._family.roots[self.length]

    @classmethod
    def several(cls, pattern: Pattern | bytes | str, lengths: Sequence[int]) -> list[Language]:
        """The languages of these lengths, which take time and memory as the longest by itself.

        Raises what the first raises that cannot be.
        """
        pattern = _to_pattern(pattern)
        family = _Family(pattern, lengths)
        return [cls(pattern, length, family=family) for length in lengths]

    @property
    def size(self) -> int:
        """How many strings there are."""
        return self.root.count

    @property
    def capacity(self) -> int:
        """Whole bits that any string can carry: floor(log2(size))."""
        return self.size.bit_length() - 1

    @cached_property
    def _walks(self) -> forms.Walks:
        return self._family.walks[self.length]

    def unrank(self, number: int) -> bytes:
        """The string that comes after `number` others. Raises RankOutOfRange."""
        if not 0 <= number < self.size:
            raise RankOutOfRange(f"the rank is not in 0..N-1, N of {self.size.bit_length()} bits")
        return self._walks.unrank(number)

    def rank(self, data: bytes | bytearray | memoryview) -> int:
        """How many strings come before this one, of anything that has bytes.

        Raises NotInLanguage, after one pass at most.
        """
        if not isinstance(data, bytes):
            data = bytes(memoryview(data))
        if len(data) != self.length:
            raise NotInLanguage(f"{len(data)} bytes where the strings have {self.length}")
        return self._walks.rank(data)

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
            for symbols, count in box.sets():
                span, width = starts, 1
                while width < count:
                    shift = min(width, count - width)
                    span |= span << shift
                    width += shift
                positions[symbols] |= span
                starts <<= count
        return positions

    def matcher(self) -> Matcher:
        """What follows one string from its first byte."""
        return Matcher(self.root, self.length)

    def test_prefix(self, data: bytes) -> Prefix:
        """What `data` says of a string that begins with it."""
        return self.matcher().feed(data)
