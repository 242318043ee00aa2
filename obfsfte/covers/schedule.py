"""What both ends know about each message in advance, and a censor cannot.

Message number i of one direction (from 0) has two numbers that follow from that
direction's 32-byte key:

    HMAC-SHA256(key, i as 8 bytes, big-endian)  =  16 bytes: which  ||  16 bytes: place

`which` chooses among the lengths that the cover can use next (`which` modulo their number),
`place` says where in the language the record is put (see `embedding`). So a receiver knows
where the next message ends without any length field, and a censor sees lengths that do not
repeat. 128 bits make the bias of the modulo meaningless.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterator, Sequence
from itertools import count
from typing import TypeVar

from obfsfte.covers.cover import KEY_SIZE

T = TypeVar("T")


def schedule(choices: Sequence[T], key: bytes) -> Iterator[tuple[T, int]]:
    """For each message of one direction: the choice to use, and its place (0 <= place < 2**128)."""
    _check(key)
    return _draws(choices, key)


def opening_draw(upstream: bytes) -> int:
    """The number that decides about a hello's place, where it alone is put into a language."""
    _check(upstream)
    _, place = _numbers(upstream, 0)
    return place


def _check(key: bytes) -> None:
    if len(key) != KEY_SIZE:
        raise ValueError(f"a direction's key has {KEY_SIZE} bytes, not {len(key)}")


def _draws(choices: Sequence[T], key: bytes) -> Iterator[tuple[T, int]]:
    for number in count():
        which, place = _numbers(key, number)
        yield choices[which % len(choices)], place


def _numbers(key: bytes, message: int) -> tuple[int, int]:
    digest = hmac.digest(key, message.to_bytes(8, "big"), "sha256")
    return int.from_bytes(digest[:16], "big"), int.from_bytes(digest[16:], "big")
