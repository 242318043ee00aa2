"""The sparse form of a language: the nodes (hub, remaining length) that lie on some string.

A string passes through a node when it stands at that hub with that many bytes to come. Only
nodes that are reachable from the start and that can reach acceptance are kept: a literal prefix
of 300 bytes is part of one box of one node, whatever the length of the strings. Where only one
byte set goes on, its like after it are joined to it (`[a-z]*` with 90 bytes to fill is one box
of 90), and the nodes in between are dropped too. So are nodes with one way in from a node without
another way on, and one way on: the boxes before and after them are one. What is left:

```
 node --- arc 0: box, weight = count of its target, offset = 0               ---> target
      |-- arc 1: box, weight,                       offset = size * weight of arc 0 ---> target
      `-- ...    in the order of the first bytes; together they make the count of the node
```

The strings through an arc come after the `offset` strings through the arcs before it. They are
`weight` strings for each string of the box.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from functools import lru_cache
from itertools import groupby
from typing import NamedTuple

import attrs

from obfsfte.regular.boxes import Blocks, Box, Hubs

# Limits on memory, which together come to some 200 MB: more than any message needs.
_MAX_NODES = 200_000
_MAX_COUNT_BYTES = 64 << 20


class TableTooLarge(Exception):
    """The counts of this language would not fit in the memory that is allowed for them."""


@attrs.frozen(eq=False, repr=False)
class Branching:
    """The ways on from a node: boxes in order, and their target hubs.

    `first` tells of a byte which box begins with it, and its place in the first set of that box.
    """

    boxes: Sequence[Box]
    targets: Sequence[int]
    first: Mapping[int, tuple[int, int]]


@lru_cache(maxsize=1024)
def _places(alphabets: tuple[bytes, ...]) -> Mapping[int, tuple[int, int]]:
    """For each byte, the alphabet that it is in and its place there."""
    return {
        symbol: (number, place)
        for number, alphabet in enumerate(alphabets)
        for place, symbol in enumerate(alphabet)
    }


class _Run(NamedTuple):
    """Nodes in a row that have no choice but one and the same byte set; what comes after them."""

    branching: Branching
    length: int
    end: int


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


def count_strings(hubs: Hubs, lengths: Collection[int]) -> Mapping[int, Node]:
    """The first node of the strings of each length, but for lengths without a string.

    Several lengths share their nodes: with as many bytes to come, it is the same node.
    Raises TableTooLarge.
    """
    if max(lengths) > _MAX_NODES:
        raise TableTooLarge
    builder = _Builder(hubs, lengths)
    builder.find_live()
    return builder.make_nodes()


class _Builder:
    def __init__(self, hubs: Hubs, lengths: Collection[int]) -> None:
        self._hubs = hubs
        self._lengths = lengths
        self._longest = max(lengths)
        self._boxes: dict[Blocks, Box] = {}
        self._branchings: dict[tuple[int, tuple[int, ...]], Branching] = {}
        # By remaining length, then by hub: where each live node leads.
        self.live: list[dict[int, Branching | _Run]] = []

    def find_live(self) -> None:
        """Fill `live` with the nodes between the start and acceptance."""
        reached: list[set[int]] = [set() for _ in range(self._longest + 1)]
        for length in self._lengths:
            reached[length].add(0)
        ways = [{(step.length, step.target) for step in steps} for steps in self._hubs.steps]
        nodes = 0
        for remaining in range(self._longest, 0, -1):
            nodes += len(reached[remaining])
            if nodes > _MAX_NODES:
                raise TableTooLarge
            for hub in reached[remaining]:
                for length, target in ways[hub]:
                    if length <= remaining:
                        reached[remaining - length].add(target)

        end = Branching((), (), {})
        self.live.append(dict.fromkeys(reached[0] & self._hubs.finals, end))
        for remaining in range(1, self._longest + 1):
            nodes_here: dict[int, Branching | _Run] = {}
            for hub in reached[remaining]:
                alive = tuple(
                    number
                    for number, step in enumerate(self._hubs.steps[hub])
                    if step.length <= remaining and step.target in self.live[-step.length]
                )
                if alive:
                    nodes_here[hub] = self._with_run(self._branching(hub, alive))
            self.live.append(nodes_here)

    def _branching(self, hub: int, alive: tuple[int, ...]) -> Branching:
        """The ways on from a hub by those of its steps alone, neighbours alike made one."""
        branching = self._branchings.get((hub, alive))
        if branching is None:
            steps = [self._hubs.steps[hub][number] for number in alive]
            boxes = []
            targets = []
            alphabets = []
            for (target, blocks), group in groupby(steps, lambda step: (step.target, step.blocks)):
                alphabets.append(b"".join(step.symbols for step in group))
                boxes.append(self._box(((alphabets[-1], 1), *blocks)))
                targets.append(target)
            first = _places(tuple(alphabets))
            branching = self._branchings[hub, alive] = Branching(boxes, targets, first)
        return branching

    def _with_run(self, branching: Branching) -> Branching | _Run:
        """The run that a node begins, at the length after those in `live`, if it has no choice."""
        if len(branching.boxes) != 1 or branching.boxes[0].length != 1:
            return branching
        (target,) = branching.targets
        following = self.live[-1][target]
        if isinstance(following, _Run) and following.branching.boxes[0] is branching.boxes[0]:
            return _Run(branching, following.length + 1, following.end)
        return _Run(branching, 1, target)

    def _box(self, blocks: Blocks) -> Box:
        box = self._boxes.get(blocks)
        if box is None:
            box = self._boxes[blocks] = Box(blocks)
        return box

    def make_nodes(self) -> Mapping[int, Node]:
        """Count the live nodes, but for those that are joined; the first of each length."""
        lengths = [length for length in self._lengths if 0 in self.live[length]]
        # For each node that is needed, the arcs to it. From a node with a choice, one counts as
        # two: so a 1 tells of a way in that cannot be missed.
        needed: list[defaultdict[int, int]] = [defaultdict(int) for _ in range(self._longest + 1)]
        for length in lengths:
            needed[length][0] = 2
        for remaining in range(self._longest, 0, -1):
            for hub in needed[remaining]:
                ways = list(self._ways(remaining, hub))
                for box, target in ways:
                    needed[remaining - box.length][target] += 1 if len(ways) == 1 else 2

        nodes: list[dict[int, Node]] = [dict.fromkeys(needed[0], Node((), {}))]
        joined: list[dict[int, tuple[Box, int]]] = [{}]
        count_bytes = 0
        for remaining in range(1, self._longest + 1):
            nodes.append({})
            joined.append({})
            for hub, entries in needed[remaining].items():
                ways = list(self._ways(remaining, hub))
                if len(ways) == 1:
                    if entries == 1:
                        joined[remaining][hub] = ways[0]
                        continue
                    ways = [self._join(remaining, ways[0], joined)]
                arcs = [(box, nodes[remaining - box.length][target]) for box, target in ways]
                live = self.live[remaining][hub]
                first = (live.branching if isinstance(live, _Run) else live).first
                node = nodes[remaining][hub] = Node(arcs, first)
                count_bytes += len(arcs) * (node.count.bit_length() // 8)
                if count_bytes > _MAX_COUNT_BYTES:
                    raise TableTooLarge
        return {length: nodes[length][0] for length in lengths}

    def _join(
        self, remaining: int, way: tuple[Box, int], joined: Sequence[Mapping[int, tuple[Box, int]]]
    ) -> tuple[Box, int]:
        """A node's only way on, through all joined nodes that follow."""
        box, target = way
        if target not in joined[remaining - box.length]:
            return way
        blocks = list(box.blocks)
        remaining -= box.length
        while target in joined[remaining]:
            box, target = joined[remaining][target]
            blocks += box.blocks
            remaining -= box.length
        return self._box(tuple(blocks)), target

    def _ways(self, remaining: int, hub: int) -> Iterable[tuple[Box, int]]:
        live = self.live[remaining][hub]
        if isinstance(live, _Run):
            ((symbols, _),) = live.branching.boxes[0].blocks
            return [(self._box(((symbols, live.length),)), live.end)]
        return zip(live.boxes, live.targets, strict=True)
