"""The automaton with its unbranched paths taken as one step: hubs joined by boxes.

A box is a product of byte sets, one to a place: the strings whose i-th byte is in the i-th set.
Ranking in a box is positional notation with a radix to each place. Literal text and runs over one
alphabet, the most of any protocol's message, are boxes; where the automaton has a choice is a hub.

```
 GET /([a-z]+)( HTTP/1.0| HTTP/1.1)    (start) --[GET /][a-z]--> (hub) --[ HTTP/1.][01]--> (end)
                                                                  ^ [a-z] |
                                                                  `-------'
```
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import lru_cache
from itertools import groupby
from math import prod

import attrs

from obfsfte.regular.automaton import Automaton
from obfsfte.regular.digits import digits_of, number_of
from obfsfte.regular.nfa import members_of

Blocks = tuple[tuple[bytes, int], ...]


class NotInBox(Exception):
    """The string is not one of the box."""


@lru_cache(maxsize=1024)
def _translations(symbols: bytes) -> tuple[bytes, bytes]:
    """Tables from digits to symbols and back. What is no symbol becomes 255, which is no digit."""
    back = bytearray(b"\xff" * 256)
    for digit, symbol in enumerate(symbols):
        back[symbol] = digit
    return symbols.ljust(256, b"\0"), bytes(back)


class Field:
    """`count` bytes, each of the same `symbols`."""

    def __init__(self, symbols: bytes, count: int) -> None:
        self.length = count
        self._radix = len(symbols)
        self.size = self._radix**count
        self._encode, self._decode = _translations(symbols)

    def unrank(self, number: int) -> bytes:
        return digits_of(number, self._radix, self.length).translate(self._encode)

    def rank(self, data: bytes) -> int:
        digits = data.translate(self._decode)
        if self._radix < 256 and 255 in digits:
            raise NotInBox
        return number_of(digits, self._radix)


class Box:
    """A product of byte sets.

    `blocks` are (symbols, count) pairs: the alphabet of so many places in a row. A box of single
    bytes has them in `letters`, each a string, which spares the walk most of its calls.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = tuple(
            (symbols, sum(count for _, count in group))
            for symbols, group in groupby(blocks, lambda block: block[0])
        )
        self.length = sum(count for _, count in blocks)
        self._parts: list[bytes | Field] = []
        for literal, group in groupby(self.blocks, lambda block: len(block[0]) == 1):
            if literal:
                self._parts.append(b"".join(symbols * count for symbols, count in group))
            else:
                self._parts += [Field(symbols, count) for symbols, count in group]
        self.letters = [bytes([symbol]) for symbol in blocks[0][0]] if self.length == 1 else None
        self.size = prod(part.size for part in self._parts if isinstance(part, Field))

    def unrank(self, number: int) -> bytes:
        """The string of that number below `size`."""
        texts = []
        for part in reversed(self._parts):
            if isinstance(part, Field):
                number, place = divmod(number, part.size)
                texts.append(part.unrank(place))
            else:
                texts.append(part)
        texts.reverse()
        return b"".join(texts)

    def rank(self, data: bytes) -> int:
        """The number of a string of `length` bytes. Raises NotInBox."""
        number = at = 0
        for part in self._parts:
            if isinstance(part, Field):
                end = at + part.length
                number = number * part.size + part.rank(data[at:end])
                at = end
            else:
                if not data.startswith(part, at):
                    raise NotInBox
                at += len(part)
        return number

    def mismatch(self, data: bytes) -> int:
        """Where a string that is not of the box, but as long, first differs from all that are."""
        at = 0
        for symbols, count in self.blocks:
            rest = data[at : at + count].lstrip(symbols)
            at += count
            if rest:
                return at - len(rest)
        return at


@attrs.frozen(eq=False, repr=False)
class Step:
    """A way from a hub to the next: one byte of `symbols`, then `blocks` (see Box)."""

    symbols: bytes
    blocks: Blocks
    length: int
    target: int


@attrs.frozen(eq=False, repr=False)
class Hubs:
    """The hubs of an automaton, numbered, 0 the start.

    The `steps` from each hub are in the order of their symbols; several may have one target.
    """

    steps: Sequence[Sequence[Step]]
    finals: frozenset[int]


def find_hubs(automaton: Automaton) -> Hubs:
    """Hubs are the start, the accepting states, and those with a choice of next states."""
    moves = automaton.moves
    hubs = [
        state
        for state, row in enumerate(moves)
        if state == 0 or state in automaton.finals or len(row) != 1
    ]
    numbers = {state: number for number, state in enumerate(hubs)}
    alphabets = _Alphabets()
    paths: dict[int, tuple[Blocks, int, int]] = {}

    def path_from(state: int) -> tuple[Blocks, int, int]:
        """The blocks from a state to the next hub, their length with the byte before, the hub."""
        if state not in paths:
            places = []
            here = state
            while here not in numbers:
                ((byte_set, here),) = moves[here]
                places.append(alphabets[byte_set])
            blocks = tuple((symbols, len(list(run))) for symbols, run in groupby(places))
            paths[state] = (blocks, 1 + len(places), numbers[here])
        return paths[state]

    steps = []
    for state in hubs:
        target_of = {
            symbol: target for byte_set, target in moves[state] for symbol in alphabets[byte_set]
        }
        steps.append(
            [
                Step(bytes(symbols), *path_from(target))
                for target, symbols in groupby(sorted(target_of), target_of.__getitem__)
            ]
        )
    return Hubs(steps, frozenset(numbers[state] for state in automaton.finals))


class _Alphabets(dict[int, bytes]):
    """The members of sets of bytes, each found once."""

    def __missing__(self, byte_set: int) -> bytes:
        members = self[byte_set] = members_of(byte_set)
        return members
