"""The first cell of a connection, which names the format that the client speaks.

```
 0                                             64 - 8 - k    64 - k        64
 | zero bytes, 32 or more                      | release     | name        |
                                                 8 digits      k bytes
```
The client sends it at once, as a cell of its own, already in its request language. The
server takes the response language from the name and sends no such cell itself.
"""

from __future__ import annotations

import attrs

from obfsfte.errors import NotOurs

NEGOTIATION_LENGTH = 64
_ZEROS = bytes(32)
_RELEASE_LENGTH = 8


@attrs.frozen
class Negotiation:
    """What the client says of itself: `release` (YYYYMMDD) and `name` (`manual-http`)."""

    release: str
    name: str

    def to_bytes(self) -> bytes:
        """The plaintext of the cell, 64 bytes."""
        return (self.release + self.name).encode("ascii").rjust(NEGOTIATION_LENGTH, b"\0")

    @classmethod
    def from_bytes(cls, cell: bytes) -> Negotiation:
        """Read a cell's plaintext. Raises NotOurs if it is no negotiation."""
        if len(cell) != NEGOTIATION_LENGTH or not cell.startswith(_ZEROS):
            raise NotOurs("the first cell is no negotiation")
        text = cell.lstrip(b"\0").decode("latin-1")
        return cls(text[:_RELEASE_LENGTH], text[_RELEASE_LENGTH:])
