"""Bytes that wait come out as they went in, however they are cut."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from obfsfte.backlog import Backlog


@given(
    st.lists(st.binary(max_size=50), max_size=20),
    st.lists(st.tuples(st.integers(0, 200), st.integers(1, 60)), max_size=20),
)
def test_what_waits_comes_out_in_order(parts: list[bytes], takes: list[tuple[int, int]]) -> None:
    backlog = Backlog()
    for part in parts:
        backlog.add(part)
    expected = b"".join(parts)
    for wanted, piece in takes:
        size = min(wanted, backlog.size)
        pieces = list(backlog.take(size, piece))
        assert b"".join(pieces) == expected[:size]
        assert all(len(each) == piece for each in pieces[:-1])
        expected = expected[size:]
        assert backlog.size == len(expected)
        backlog.add(b"more")
        expected += b"more"
