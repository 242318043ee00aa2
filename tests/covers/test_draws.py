"""Random bytes are those of the source, in order, each given out once at most."""

from __future__ import annotations

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from obfsfte.covers.draws import Draws


@given(st.lists(st.integers(1, 8), max_size=200), st.integers(0, 1 << 32))
def test_every_byte_is_the_sources_and_given_once(sizes: list[int], seed: int) -> None:
    draws = Draws(Random(seed))
    left = Random(seed).randbytes(1 << 14)  # a multiple of what is drawn at once, and more
    for size in sizes:
        taken = draws.take(size)
        assert len(taken) == size
        at = left.find(taken)
        assert 0 <= at < 8  # what was too little for one piece is dropped
        left = left[at + size :]
