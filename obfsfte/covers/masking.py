"""XOR with a repeated key of four bytes, which masks and unmasks what a WebSocket client sends.

Two forms with the same results, as of ranking: the one in C (_mask.c) is taken where its
extension was built, unless the environment has OBFSFTE_PURE_PYTHON=1 when the process starts.
Of a gigabyte the C form takes a tenth of a second, the one in Python two.
"""

from __future__ import annotations

import os
from collections.abc import Callable

KEY_SIZE = 4

_BLOCK = 1 << 13  # bytes that are masked at once

Mask = Callable[[bytes | bytearray | memoryview, bytes | memoryview], bytes]


def python_mask(data: bytes | bytearray | memoryview, key: bytes | memoryview) -> bytes:
    """`data` XOR the repeated key. Raises ValueError unless the key has four bytes.

    XOR of long integers is the fastest that plain Python has. In blocks that stay in the
    processor's nearest cache, with the key made a number once, it is twice as fast as of
    the whole (64 KB: 550 MB/s, to 260; `bytes.translate` for each byte of the key: 390).
    """
    if len(key) != KEY_SIZE:
        raise ValueError("a masking key has four bytes")
    view, key = memoryview(data), bytes(key)
    rest = len(view) % _BLOCK
    blocks = []
    if rest < len(view):
        number = int.from_bytes(key * (_BLOCK // KEY_SIZE), "little")
        for start in range(0, len(view) - rest, _BLOCK):
            block = int.from_bytes(view[start : start + _BLOCK], "little")
            blocks.append((block ^ number).to_bytes(_BLOCK, "little"))
    if rest:
        repeated = (key * (rest // KEY_SIZE + 1))[:rest]
        last = int.from_bytes(view[-rest:], "little") ^ int.from_bytes(repeated, "little")
        blocks.append(last.to_bytes(rest, "little"))
    return b"".join(blocks)


def available() -> dict[str, Mask]:
    """All forms that can run here by name, the slowest first."""
    forms: dict[str, Mask] = {"Python": python_mask}
    try:
        from obfsfte.covers._mask import mask
    except ImportError:
        pass
    else:
        forms["C"] = mask
    return forms


def _choose() -> Mask:
    if os.environ.get("OBFSFTE_PURE_PYTHON") == "1":
        return python_mask
    *_, fastest = available().values()
    return fastest


#: The form that runs in this process.
mask = _choose()
