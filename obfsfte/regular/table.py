"""The sparse form of a language: the nodes (hub, remaining length) that lie on some string.

A string passes through a node when it stands at that hub with that many bytes to come. Only
nodes that are reachable from the start and that can reach acceptance are kept: a literal prefix
of 300 bytes is part of one box of one node, whatever the length of the strings. Where only one
byte set goes on, its like after it are joined to it (`[a-z]*` with 90 bytes to fill is one box
of 90), and the nodes in between are dropped too. What is left:

```
 node --- arc 0: box, weight = count of its target, offset = 0               ---> target
      |-- arc 1: box, weight,                       offset = size * weight of arc 0 ---> target
      `-- ...    in the order of the first bytes; together they make the count of the node
```

The strings through an arc come after the `offset` strings through the arcs before it. They are
`weight` strings for each string of the box.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from itertools import groupby

import attrs

from obfsfte.regular.boxes import Blocks, Box, Hubs

#: The largest table: of nodes, and of bytes in their counts.
MAX_NODES = 1_000_000
MAX_COUNT_BYTES = 64 << 20


class TableTooLarge(Exception):
    """The counts of this language would not fit in the memory that is allowed for them."""


@attrs.frozen(eq=False)
class Branching:
    """The ways on from a node: boxes in order, and their target hubs.

    `first` tells of a byte which box begins with it, and its place in the first set of that box.
    """

    boxes: Sequence[Box]
    targets: Sequence[int]
    first: Mapping[int, tuple[int, int]]


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


def count_strings(hubs: Hubs, length: int) -> Node | None:
    """The first node of the strings of `length` bytes, or None if there is no string.

    Raises TableTooLarge.
    """
    builder = _Builder(hubs, length)
    builder.find_live()
    return builder.make_nodes() if 0 in builder.live[length] else None


class _Builder:
    def __init__(self, hubs: Hubs, length: int) -> None:
        self._hubs = hubs
        self._length = length
        self._boxes: dict[Blocks, Box] = {}
        self._branchings: dict[tuple[int, tuple[int, ...]], Branching] = {}
        # By remaining length, then by hub. The second is the length and the end of each run.
        self.live: list[dict[int, Branching]] = [{} for _ in range(length + 1)]
        self._runs: list[dict[int, tuple[int, int]]] = [{} for _ in range(length + 1)]

    def find_live(self) -> None:
        hubs = self._hubs
        reached: list[set[int]] = [set() for _ in range(self._length + 1)]
        reached[self._length].add(0)
        ways = [{(step.length, step.target) for step in steps} for steps in hubs.steps]
        nodes = 0
        for remaining in range(self._length, 0, -1):
            nodes += len(reached[remaining])
            if nodes > MAX_NODES:
                raise TableTooLarge
            for hub in reached[remaining]:
                for length, target in ways[hub]:
                    if length <= remaining:
                        reached[remaining - length].add(target)

        live = self.live
        nothing = self._branching(0, ())
        live[0] = dict.fromkeys(reached[0] & hubs.finals, nothing)
        for remaining in range(1, self._length + 1):
            for hub in reached[remaining]:
                alive = tuple(
                    number
                    for number, step in enumerate(hubs.steps[hub])
                    if step.length <= remaining and step.target in live[remaining - step.length]
                )
                if alive:
                    live[remaining][hub] = self._branching(hub, alive)
                    self._extend_run(hub, remaining)

    def _branching(self, hub: int, alive: tuple[int, ...]) -> Branching:
        """The ways on from a hub by those of its steps alone, neighbours alike made one."""
        branching = self._branchings.get((hub, alive))
        if branching is None:
            steps = [self._hubs.steps[hub][number] for number in alive]
            boxes: list[Box] = []
            targets = []
            first: dict[int, tuple[int, int]] = {}
            for (target, blocks), group in groupby(steps, lambda step: (step.target, step.blocks)):
                symbols = b"".join(step.symbols for step in group)
                for place, symbol in enumerate(symbols):
                    first[symbol] = (len(boxes), place)
                boxes.append(self._box(((symbols, 1), *blocks)))
                targets.append(target)
            branching = self._branchings[hub, alive] = Branching(boxes, targets, first)
        return branching

    def _box(self, blocks: Blocks) -> Box:
        box = self._boxes.get(blocks)
        if box is None:
            box = self._boxes[blocks] = Box(blocks)
        return box

    def _extend_run(self, hub: int, remaining: int) -> None:
        """Note how many nodes in a row, from this one, have no choice but the same one byte."""
        branching = self.live[remaining][hub]
        if len(branching.boxes) != 1 or branching.boxes[0].length != 1:
            return
        box, target = branching.boxes[0], branching.targets[0]
        count, end = 1, target
        following = self._runs[remaining - 1].get(target)
        if following and self.live[remaining - 1][target].boxes[0] is box:
            count, end = following[0] + 1, following[1]
        self._runs[remaining][hub] = (count, end)

    def make_nodes(self) -> Node:
        needed: list[set[int]] = [set() for _ in range(self._length + 1)]
        needed[self._length].add(0)
        for remaining in range(self._length, 0, -1):
            for hub in needed[remaining]:
                run = self._runs[remaining].get(hub)
                if run:
                    needed[remaining - run[0]].add(run[1])
                else:
                    branching = self.live[remaining][hub]
                    for box, target in zip(branching.boxes, branching.targets, strict=True):
                        needed[remaining - box.length].add(target)

        nodes: list[dict[int, Node]] = [{} for _ in range(self._length + 1)]
        nodes[0] = dict.fromkeys(needed[0], Node((), {}))
        count_bytes = 0
        for remaining in range(1, self._length + 1):
            for hub in needed[remaining]:
                branching = self.live[remaining][hub]
                if run := self._runs[remaining].get(hub):
                    count, target = run
                    ((symbols, _),) = branching.boxes[0].blocks
                    ways = [(self._box(((symbols, count),)), nodes[remaining - count][target])]
                else:
                    ways = [
                        (box, nodes[remaining - box.length][target])
                        for box, target in zip(branching.boxes, branching.targets, strict=True)
                    ]
                node = nodes[remaining][hub] = Node(ways, branching.first)
                count_bytes += len(ways) * (node.count.bit_length() // 8)
                if count_bytes > MAX_COUNT_BYTES:
                    raise TableTooLarge
        return nodes[self._length][0]
