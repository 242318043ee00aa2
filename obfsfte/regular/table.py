"""The sparse form of a language: the nodes that its strings pass through, as few as can be.

From each of its places a string has a way: the blocks that come next in any case, and the node that
they lead to, where the next byte decides, or the end. Ways that are equal are one, whatever hubs
(see boxes.py) they begin at: once the length is fixed, most of what an automaton must tell apart is
the same. So base64 of a fixed length is one box, whatever its last characters may be, and so are a
field and the text around it. Only places that the start leads to, and that can reach acceptance,
have ways.

```
 [a-z]*(?:=[0-9]*)?, 4 bytes    node --- [a-z] --> node --- [a-z] --> node --- [a-z][=a-z] --> end
                                  |                  |                  |
                                  '- = [0-9]{3} -.   '- = [0-9]{2} -.   '- = [0-9] -.
                                                 |                  |               |
                                                end                end             end
```

A node has an arc for each set of bytes in a row after which the way on is the same:

```
 node --- arc 0: box, weight = count of its target, offset = 0               ---> target
      |-- arc 1: box, weight,                       offset = size * weight of arc 0 ---> target
      `-- ...    in the order of the first bytes; together they make the count of the node
```

The strings through an arc come after the `offset` strings through the arcs before it. They are
`weight` strings for each string of the box.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache

from obfsfte.regular.boxes import Blocks, Box, Hubs, join, one_of

# Limits on memory, which together come to some 200 MB: more than any message needs.
_MAX_NODES = 200_000
_MAX_BYTES = 64 << 20
_BLOCK_BYTES = 16

# Blocks in a way, which are copied when more are put before them; and in a box.
_MAX_WAY = 32
_MAX_BOX = 256


class TableTooLarge(Exception):
    """This language would not fit in the memory that is allowed for its counts and boxes."""


@lru_cache(maxsize=1024)
def _places(alphabets: tuple[bytes, ...]) -> Mapping[int, tuple[int, int]]:
    """For each byte, the alphabet that it is in and its place there."""
    return {
        symbol: (number, place)
        for number, alphabet in enumerate(alphabets)
        for place, symbol in enumerate(alphabet)
    }


class Node:
    """A place in the walk through a language; one without arcs is the end of the string.

    Arcs are (offset, weight, letters of the box if it has them, box, target): plain tuples, which
    take the least time to open. `bounds` are the offsets of all arcs but the first.
    """

    __slots__ = ("arcs", "bounds", "count", "first")

    def __init__(self, ways: Iterable[tuple[Box, Node]], first: Mapping[int, tuple[int, int]]):
        self.first = first
        self.arcs: list[Arc] = []
        self.count = 0
        for box, target in ways:
            self.arcs.append((self.count, target.count, box.letters, box, target))
            self.count += box.size * target.count
        self.bounds = [offset for offset, *_ in self.arcs[1:]]
        if not self.arcs:
            self.count = 1


Arc = tuple[int, int, list[bytes] | None, Box, Node]

#: What comes next in any case, and the node that it leads to.
Way = tuple[Blocks, Node]


def count_strings(hubs: Hubs, lengths: Collection[int]) -> Mapping[int, Node]:
    """The first node of the strings of each length, but for lengths without a string.

    Raises TableTooLarge.
    """
    maker = _Maker()
    reached = _reached(hubs, lengths)
    # By remaining length, then by hub; from there, a string goes on so.
    ways: list[dict[int, Way]] = [dict.fromkeys(reached[0] & hubs.finals, ((), maker.end))]
    for remaining, here in enumerate(reached[1:], 1):
        ways.append({})
        for hub in here:
            choices: list[tuple[bytes, Way]] = []
            last = None
            for step in hubs.steps[hub]:
                if step.length > remaining or step.target not in ways[remaining - step.length]:
                    continue
                way = ways[remaining - step.length][step.target]
                if step.blocks:
                    way = maker.before(step.blocks, way)
                if way == last:
                    choices[-1] = (choices[-1][0] + step.symbols, way)
                else:
                    choices.append((step.symbols, way))
                last = way
            if choices:
                ways[remaining][hub] = maker.way(choices)
    return {length: maker.node(ways[length][0]) for length in lengths if 0 in ways[length]}


def _reached(hubs: Hubs, lengths: Collection[int]) -> list[set[int]]:
    """By remaining length, the hubs that the start leads to. Raises TableTooLarge."""
    longest = max(lengths)
    if longest > _MAX_NODES:
        raise TableTooLarge
    reached: list[set[int]] = [set() for _ in range(longest + 1)]
    for length in lengths:
        reached[length].add(0)
    steps = [{(step.length, step.target) for step in steps} for steps in hubs.steps]
    count = 0
    for remaining in range(longest, 0, -1):
        count += len(reached[remaining])
        if count > _MAX_NODES:
            raise TableTooLarge
        for hub in reached[remaining]:
            for length, target in steps[hub]:
                if length <= remaining:
                    reached[remaining - length].add(target)
    return reached


class _Maker:
    """Makes ways and nodes, from the end of the strings on. What is equal is the same node."""

    def __init__(self) -> None:
        self.end = Node((), {})
        self._choices: dict[tuple[tuple[Box, Node], ...], Node] = {}
        self._without_choice: dict[Way, Node] = {}
        self._boxes: dict[tuple[bytes, Blocks], Box] = {}
        self._bytes = 0

    def before(self, blocks: Blocks, way: Way) -> Way:
        """The way with these blocks before it."""
        following, node = way
        if not following or len(blocks) > _MAX_WAY:
            return blocks, self.node(way)
        for block in reversed(blocks):
            longer = join((block,), following)
            if len(longer) > _MAX_WAY:
                longer, node = (block,), self.node((following, node))
            following = longer
        return following, node

    def way(self, choices: Sequence[tuple[bytes, Way]]) -> Way:
        """The way from where the next byte can be of any of these sets, each with its way on."""
        if len(choices) == 1:
            ((symbols, way),) = choices
            return self.before(one_of(symbols), way)
        arcs = tuple([self._arc(symbols, *way) for symbols, way in choices])
        node = self._choices.get(arcs)
        if node is None:
            node = self._choices[arcs] = self._new_node(arcs)
        return (), node

    def node(self, way: Way) -> Node:
        """The node that a way begins at, which has no choice if the way has blocks."""
        if not way[0]:
            return way[1]
        node = self._without_choice.get(way)
        if node is None:
            blocks, target = _prolonged(*way)
            node = self._without_choice[way] = self._new_node([(self._new_box(blocks), target)])
        return node

    def _arc(self, symbols: bytes, blocks: Blocks, node: Node) -> tuple[Box, Node]:
        blocks, node = _prolonged(blocks, node)
        box = self._boxes.get((symbols, blocks))
        if box is None:
            box = self._boxes[symbols, blocks] = self._new_box(join(one_of(symbols), blocks))
        return box, node

    def _new_box(self, blocks: Blocks) -> Box:
        self._take(sum(_BLOCK_BYTES if count else len(symbols) for symbols, count in blocks))
        return Box(blocks)

    def _new_node(self, arcs: Sequence[tuple[Box, Node]]) -> Node:
        node = Node(arcs, _places(tuple([box.first for box, _ in arcs])))
        self._take(len(arcs) * (node.count.bit_length() // 8))
        return node

    def _take(self, size: int) -> None:
        self._bytes += size
        if self._bytes > _MAX_BYTES:
            raise TableTooLarge


def _prolonged(blocks: Blocks, node: Node) -> Way:
    """A way and what follows at a node without a choice, if that is not too much for a box."""
    if len(node.arcs) == 1:
        *_, box, target = node.arcs[0]
        if len(blocks) + len(box.blocks) <= _MAX_BOX:
            return join(blocks, box.blocks), target
    return blocks, node
