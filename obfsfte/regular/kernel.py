"""The layout of languages' nodes that the C form of rank and unrank works on.

One buffer of 64-bit words, in the machine's byte order. It begins with the number of records in
each section; the sections follow, in this order. `_kernel.c` names the fields of the records.

```
 limbs      all large numbers, least significant word first
 nodes      the roots first, in order -> a first, arcs, limbs of the count
 arcs       -> a box, a node, limbs of the offset
 boxes      -> runs, limbs of the inverse
 runs       -> a chunk, repeated
 chunks     -> spans: bytes in a row whose radices have a product of at most 2**60
 spans      -> text, if literal; or else an alphabet
 texts      bytes
 alphabets  256 bytes from digits to symbols, 256 from symbols to digits
 firsts     256 arcs by first byte, of 2 bytes each; 256 places in them
```

A layout takes hardly more memory than the nodes do, whose size is limited (see table.py).

The inverse of a box of S strings. With P < 2**64L for every place P, and K limbs for a fraction F
of 2**64K, it is 2**(64K + 64L) / S, rounded up, so that P * inverse / 2**64L is between P / S
and that and one. The kernel loses less than two by leaving out what is below, and adds two: F
is too large by less than 3. It would give wrong digits from 2**64K / S on, which is above 2**15.
"""

from __future__ import annotations

import sys
from array import array
from collections.abc import Iterable, Iterator, Mapping
from itertools import groupby

from obfsfte.regular._kernel import Table
from obfsfte.regular.boxes import Box
from obfsfte.regular.table import Node

_LITERAL = (1 << 64) - 1
_MAX_RADIX = 1 << 60
_SPARE_BITS = 16

# The bytes of a chunk: texts, and alphabets with a number of places.
_Spans = tuple[tuple[bytes, int], ...]


def lay_out(roots: Mapping[int, Node]) -> dict[int, Table]:
    """The strings of each length that are counted from its node, for the kernel, in one layout."""
    table = Table(max(roots), _Layout(roots.values()).packed())
    return {length: table.language(number, length) for number, length in enumerate(roots)}


def _limbs(number: int) -> int:
    return max(1, -(-number.bit_length() // 64))


class _Layout:
    def __init__(self, roots: Iterable[Node]) -> None:
        self._limbs = array("Q")
        self._nodes = array("Q")
        self._arcs = array("Q")
        self._boxes = array("Q")
        self._runs = array("Q")
        self._chunks = array("Q")
        self._spans = array("Q")
        self._texts = bytearray()
        self._alphabets = bytearray()
        self._firsts = bytearray()
        self._box_numbers: dict[Box, int] = {}
        self._chunk_numbers: dict[_Spans, int] = {}
        self._alphabet_numbers: dict[bytes, int] = {}
        self._first_numbers: dict[int, int] = {}  # by identity: they are shared between nodes
        self._add_nodes(roots)

    def packed(self) -> bytes:
        self._texts += bytes(-len(self._texts) % 8)
        sections = [
            (self._limbs, 1),
            (self._nodes, 7),
            (self._arcs, 3),
            (self._boxes, 7),
            (self._runs, 2),
            (self._chunks, 7),
            (self._spans, 3),
            (array("Q", bytes(self._texts)), 1),
            (array("Q", bytes(self._alphabets)), 65),
            (array("Q", bytes(self._firsts)), 96),
        ]
        header = array("Q", [len(section) // words for section, words in sections])
        return b"".join([header, *(section for section, _ in sections)])

    def _number(self, number: int, limbs: int) -> int:
        """Store a large number; where."""
        start = len(self._limbs)
        words = array("Q", number.to_bytes(8 * limbs, "little"))
        if sys.byteorder == "big":
            words.byteswap()
        self._limbs += words
        return start

    def _add_nodes(self, roots: Iterable[Node]) -> None:
        nodes = list(roots)
        numbers = {node: number for number, node in enumerate(nodes)}
        for node in nodes:  # which grows meanwhile
            limbs = _limbs(node.count)
            shift = -node.count.bit_length() % 64
            top = node.count << shift >> 64 * (limbs - 1)
            self._nodes.extend(
                (
                    self._first(node.first) if node.arcs else 0,
                    len(self._arcs) // 3,
                    len(node.arcs),
                    self._number(node.count, limbs),
                    limbs,
                    (1 << 127) // (top + 1),
                    shift,
                )
            )
            for offset, _, _, box, target in node.arcs:
                if target not in numbers:
                    numbers[target] = len(nodes)
                    nodes.append(target)
                at = self._number(offset, limbs) if offset else 0
                self._arcs.extend((self._box(box), numbers[target], at))

    def _first(self, first: Mapping[int, tuple[int, int]]) -> int:
        if id(first) not in self._first_numbers:
            self._first_numbers[id(first)] = len(self._first_numbers)
            arcs = array("H", [0xFFFF] * 256)
            places = bytearray(256)
            for symbol, (arc, place) in first.items():
                arcs[symbol] = arc
                places[symbol] = place
            self._firsts += arcs.tobytes() + places
        return self._first_numbers[id(first)]

    def _box(self, box: Box) -> int:
        number = self._box_numbers.get(box)
        if number is None:
            number = self._box_numbers[box] = len(self._box_numbers)
            runs = [
                (chunk, sum(repeat for _, repeat in group))
                for chunk, group in groupby(_chunks(box), lambda run: run[0])
            ]
            size = _limbs(box.size - 1)
            bits = box.size.bit_length()
            fraction = inverse = 0
            if box.size & (box.size - 1) == 0:
                bits -= 1
            else:
                fraction = -(-(bits + _SPARE_BITS) // 64)
                scale = 1 << 64 * (fraction + size)
                inverse = self._number(-(-scale // box.size), fraction + 1)
            self._boxes.extend(
                (box.length, len(self._runs) // 2, len(runs), size, bits, fraction, inverse)
            )
            for chunk, repeat in runs:
                self._runs.extend((self._chunk(chunk), repeat))
        return number

    def _chunk(self, spans: _Spans) -> int:
        number = self._chunk_numbers.get(spans)
        if number is None:
            number = self._chunk_numbers[spans] = len(self._chunk_numbers)
            length, radix = 0, 1
            start = len(self._spans) // 3
            for symbols, count in spans:
                if count:
                    self._spans.extend((self._alphabet(symbols), 0, count))
                    radix *= len(symbols) ** count
                    length += count
                else:
                    self._spans.extend((_LITERAL, len(self._texts), len(symbols)))
                    self._texts += symbols
                    length += len(symbols)
            bits = radix.bit_length() - 1
            shift = max(0, bits - 1)
            inverse = -(-(1 << 64 + shift) // radix) if radix > 1 else 0
            self._chunks.extend((length, start, len(spans), radix, bits, inverse, shift))
        return number

    def _alphabet(self, symbols: bytes) -> int:
        number = self._alphabet_numbers.get(symbols)
        if number is None:
            number = self._alphabet_numbers[symbols] = len(self._alphabet_numbers)
            digits = bytearray(b"\xff" * 256)
            for digit, symbol in enumerate(symbols):
                digits[symbol] = digit
            self._alphabets += array("Q", [len(symbols)]).tobytes()
            self._alphabets += symbols.ljust(256, b"\0") + digits
        return number


def _chunks(box: Box) -> Iterator[tuple[_Spans, int]]:
    """A box in chunks, each with how often it comes in a row. A text is a span with count 0."""
    spans: list[tuple[bytes, int]] = []
    radix = 1
    for symbols, count in box.blocks:
        if not count:
            spans.append((symbols, 0))
            continue
        whole = _places_below(_MAX_RADIX, len(symbols))
        while count:
            fitting = min(count, _places_below(_MAX_RADIX // radix, len(symbols)))
            if fitting == 0:
                yield tuple(spans), 1
                spans, radix = [], 1
            elif fitting == whole and not spans:
                yield ((symbols, whole),), count // whole
                count %= whole
            else:
                spans.append((symbols, fitting))
                radix *= len(symbols) ** fitting
                count -= fitting
    if spans:
        yield tuple(spans), 1


def _places_below(limit: int, radix: int) -> int:
    """How many digits of that radix have no more than `limit` values."""
    places = 0
    while (limit := limit // radix) > 0:
        places += 1
    return places
