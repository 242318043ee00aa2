"""What the first bytes of a string say of it, as they come in."""

from __future__ import annotations

from collections.abc import Iterator
from enum import Enum, auto

from obfsfte.regular.table import Node


class Prefix(Enum):
    """What the bytes so far are to a language."""

    IN = auto()  # a string of the language
    POSSIBLE = auto()  # the beginning of one
    IMPOSSIBLE = auto()  # no string of the language begins so


class Matcher:
    """Follows a string from node to node (see table.py), looking at each byte once.

    All nodes lie on some string, so a string that has not left them is possible.
    """

    def __init__(self, root: Node, length: int) -> None:
        self._possible = True
        self._remaining = length
        self._node = root  # where the box ends that is being read
        self._sets: Iterator[tuple[bytes, int]] = iter(())  # what follows in that box
        self._symbols, self._count = b"", 0  # what comes next: so many bytes of these

    def feed(self, data: bytes) -> Prefix:
        """Take the next bytes; say what all bytes so far are.

        More bytes than the strings of the language have are IMPOSSIBLE, as is anything after
        bytes that were.
        """
        self._remaining -= len(data)
        self._possible = self._possible and self._follow(data)
        if not self._possible:
            return Prefix.IMPOSSIBLE
        return Prefix.POSSIBLE if self._remaining else Prefix.IN

    def _follow(self, data: bytes) -> bool:
        at = 0
        while at < len(data):
            if not self._count:
                following = next(self._sets, None)
                if following is None:
                    if data[at] not in self._node.first:
                        return False
                    which, _ = self._node.first[data[at]]
                    *_, box, self._node = self._node.arcs[which]
                    self._sets = box.sets()
                    following = next(self._sets)
                self._symbols, self._count = following
            part = data[at : at + self._count]
            if part.strip(self._symbols):
                return False
            self._count -= len(part)
            at += len(part)
        return True
