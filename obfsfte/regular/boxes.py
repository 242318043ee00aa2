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

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from itertools import groupby
from math import prod

import attrs

from obfsfte.regular.automaton import Automaton
from obfsfte.regular.digits import digits_of, number_of
from obfsfte.regular.nfa import members_of

#: So many places in a row with one alphabet; or, with a count of 0, literal text.
Block = tuple[bytes, int]
Blocks = tuple[Block, ...]

# Each text that is put together is a copy.
_MAX_JOINED_TEXT = 256


class NotInBox(Exception):
    """The string is not one of the box."""


def one_of(symbols: bytes) -> Blocks:
    """One place."""
    return ((symbols, 1 if len(symbols) > 1 else 0),)


def join(blocks: Blocks, following: Blocks) -> Blocks:
    """Both in a row, with the last block and the first as one where they can be."""
    if not blocks or not following:
        return blocks or following
    (symbols, count), (others, more) = blocks[-1], following[0]
    if count and symbols == others:
        both = symbols, count + more
    elif not count and not more and len(symbols) + len(others) <= _MAX_JOINED_TEXT:
        both = symbols + others, 0
    else:
        return blocks + following
    return (*blocks[:-1], both, *following[1:])


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
    """A product of byte sets, given by its blocks.

    Its strings begin with the bytes of `first`. A box of single bytes has them in `letters`, each a
    string, which spares the walk most of its calls.
    """

    def __init__(self, blocks: Blocks) -> None:
        self.blocks = blocks
        symbols, count = blocks[0]
        self.first = symbols if count else symbols[:1]
        self.length = sum(count or len(symbols) for symbols, count in blocks)
        self.letters = [bytes([symbol]) for symbol in self.first] if self.length == 1 else None
        places: Counter[int] = Counter()
        for symbols, count in blocks:
            places[len(symbols)] += count
        self.size = prod(radix**count for radix, count in places.items())

    @cached_property
    def _parts(self) -> Sequence[bytes | Field]:
        """Only what walks in Python needs them."""
        return [Field(symbols, count) if count else symbols for symbols, count in self.blocks]

    def sets(self) -> Iterator[tuple[bytes, int]]:
        """The byte sets, each with how often it comes in a row."""
        for symbols, count in self.blocks:
            if count:
                yield symbols, count
            else:
                for symbol in symbols:
                    yield bytes([symbol]), 1

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
        for symbols, count in self.sets():
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
            paths[state] = (_blocks(places), 1 + len(places), numbers[here])
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


def _blocks(places: Sequence[bytes]) -> Blocks:
    """Places with these alphabets."""
    blocks: list[Block] = []
    for literal, group in groupby(places, lambda symbols: len(symbols) == 1):
        if literal:
            blocks.append((b"".join(group), 0))
        else:
            blocks += [(symbols, len(list(run))) for symbols, run in groupby(group)]
    return tuple(blocks)


class _Alphabets(dict[int, bytes]):
    """The members of sets of bytes, each found once."""

    def __missing__(self, byte_set: int) -> bytes:
        members = self[byte_set] = members_of(byte_set)
        return members
