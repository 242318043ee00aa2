from __future__ import annotations

import pytest

from obfsfte.classic.negotiation import Negotiation
from obfsfte.errors import NotOurs

# 64 bytes as fteproxy 0.3.2 writes them: the text at the end, zeros before it.
CELL = bytes(64 - 19) + b"20260110" + b"manual-http"


def test_the_cell_is_as_fteproxy_writes_it():
    assert Negotiation("20260110", "manual-http").to_bytes() == CELL


def test_the_cell_is_read_back():
    assert Negotiation.from_bytes(CELL) == Negotiation("20260110", "manual-http")


@pytest.mark.parametrize(
    "cell",
    [
        b"",
        CELL[1:],
        bytes(1) + CELL,
        bytes(31) + b"x" + CELL[32:],
        b"x" + CELL[1:],
    ],
)
def test_other_plaintext_is_no_negotiation(cell: bytes):
    with pytest.raises(NotOurs):
        Negotiation.from_bytes(cell)


@pytest.mark.parametrize("text", [b"", b"2026", b"\xff" * 32, b"20260110"])
def test_strange_names_are_read_without_failing(text: bytes):
    negotiation = Negotiation.from_bytes(text.rjust(64, b"\0"))
    assert (negotiation.release + negotiation.name).encode("latin-1") == text
