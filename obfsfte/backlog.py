"""Application bytes that wait for our turn, as they were written; given out in pieces."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator


class Backlog:
    """A queue of bytes. Nothing is copied but what is joined for a piece."""

    __slots__ = ("_parts", "size")

    def __init__(self) -> None:
        self._parts: deque[bytes | memoryview] = deque()
        #: Bytes that wait.
        self.size = 0

    def add(self, data: bytes) -> None:
        """Let these bytes wait behind what does."""
        if data:
            self._parts.append(data)
            self.size += len(data)

    def take(self, size: int, piece: int) -> Iterator[bytes | memoryview]:
        """The first `size` bytes, of which there must be as many, in pieces of `piece` at most."""
        self.size -= size
        while size:
            wanted = min(size, piece)
            size -= wanted
            yield self._take(wanted)

    def _take(self, wanted: int) -> bytes | memoryview:
        first = self._parts.popleft()
        if len(first) > wanted:
            view = memoryview(first)
            self._parts.appendleft(view[wanted:])
            return view[:wanted]
        parts = [first]
        wanted -= len(first)
        while wanted:
            part = self._parts.popleft()
            parts.append(part[:wanted])
            if len(part) > wanted:
                self._parts.appendleft(memoryview(part)[wanted:])
            wanted -= len(parts[-1])
        return parts[0] if len(parts) == 1 else b"".join(parts)
