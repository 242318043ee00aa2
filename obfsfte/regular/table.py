"""The sparse form of a language: the nodes (hub, remaining length) that lie on some string.

A string passes through a node when it stands at that hub with that many bytes to come. Only
nodes that are reachable from the start and that can reach acceptance are kept: a literal prefix
of 300 bytes is part of one box of one node, whatever the length of the strings. Where only one
box goes on, its like after it are joined to it (`[a-z]*` with 90 bytes to fill is one field of
90), and the nodes in between are dropped too. What is left:

```
 node ---- offsets[0] = 0  boxes[0]  weights[0] = strings from targets[0]
      |--- offsets[1]      boxes[1]  weights[1] = strings from targets[1]
      `--- ...             in the order of their first bytes
```

The strings through boxes[i] come after the `offsets[i]` strings through the boxes before it, and
go on in `weights[i]` ways for each string of the box.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import groupby

import attrs

from obfsfte.regular.boxes import Box, Hubs

#: The largest table: of nodes, and of bytes in their counts.
MAX_NODES = 1_000_000
MAX_COUNT_BYTES = 64 << 20


class TableTooLarge(Exception):
    """The counts of this language would not fit in the memory that is allowed for them."""


@attrs.frozen(eq=False)
class Branching:
    """The ways on from a node: boxes in order, their target hubs, and the box of a first byte."""

    boxes: Sequence[Box]
    targets: Sequence[int]
    box_of: Mapping[int, int]


class Node:
    """A place in the walk through a language; one without boxes is the end of the string."""

    __slots__ = ("box_of", "boxes", "count", "offsets", "targets", "weights")

    def __init__(
        self, boxes: Sequence[Box], box_of: Mapping[int, int], targets: Sequence[Node]
    ) -> None:
        self.boxes = boxes
        self.box_of = box_of
        self.targets = targets
        self.count: int = 0
        self.offsets: list[int] = []
        self.weights = [target.count for target in targets]
        for box, weight in zip(boxes, self.weights, strict=True):
            self.offsets.append(self.count)
            self.count += box.size * weight
        if not boxes:
            self.count = 1


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
        self._boxes: dict[tuple[tuple[bytes, int], ...], Box] = {}
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
            box_of = {}
            for (target, blocks), group in groupby(steps, lambda step: (step.target, step.blocks)):
                symbols = b"".join(step.symbols for step in group)
                box_of.update(dict.fromkeys(symbols, len(boxes)))
                boxes.append(self._box(((symbols, 1), *blocks)))
                targets.append(target)
            branching = self._branchings[hub, alive] = Branching(boxes, targets, box_of)
        return branching

    def _box(self, blocks: tuple[tuple[bytes, int], ...]) -> Box:
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
        end = Node((), {}, ())
        nodes[0] = dict.fromkeys(needed[0], end)
        count_bytes = 0
        for remaining in range(1, self._length + 1):
            for hub in needed[remaining]:
                branching = self.live[remaining][hub]
                run = self._runs[remaining].get(hub)
                if run:
                    count, target = run
                    symbols = branching.boxes[0].blocks[0][0]
                    boxes: Sequence[Box] = [self._box(((symbols, count),))]
                    targets = [nodes[remaining - count][target]]
                else:
                    boxes = branching.boxes
                    targets = [
                        nodes[remaining - box.length][target]
                        for box, target in zip(boxes, branching.targets, strict=True)
                    ]
                node = nodes[remaining][hub] = Node(boxes, branching.box_of, targets)
                count_bytes += len(boxes) * (node.count.bit_length() // 8)
                if count_bytes > MAX_COUNT_BYTES:
                    raise TableTooLarge
        return nodes[self._length][0]
