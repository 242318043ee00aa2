"""Ways to cut a byte string into the pieces that TCP may deliver it in."""

from __future__ import annotations

import itertools

from hypothesis import strategies as st


def splits_of(data: bytes) -> st.SearchStrategy[list[bytes]]:
    """Lists of non-empty pieces that make up `data`."""
    places = st.sets(st.integers(1, max(len(data) - 1, 1)), max_size=12)
    return places.map(lambda cuts: _cut(data, sorted(cuts)))


def _cut(data: bytes, cuts: list[int]) -> list[bytes]:
    bounds = [0, *cuts, len(data)]
    pieces = [data[start:end] for start, end in itertools.pairwise(bounds)]
    return [piece for piece in pieces if piece]


def bytewise(data: bytes) -> list[bytes]:
    """`data`, one byte at a time."""
    return [bytes([byte]) for byte in data]
