"""What messages repeat of a person's words."""

from __future__ import annotations

from random import Random

import pytest

from obfsfte.errors import plain, quoted
from obfsfte.session.keys import BridgeKeys

CERT = BridgeKeys.generate(Random(1).randbytes).cert.encode()


@pytest.mark.parametrize(
    "text", ["", "no such", "tcp:127.0.0.1:80", "/home/a/path/that/is/long/" * 3]
)
def test_words_are_repeated(text: str) -> None:
    assert plain(text) == text
    assert quoted(text) == repr(text)


@pytest.mark.parametrize("text", [CERT, CERT[:43], f"cert={CERT}", "0123abcd" * 8])
def test_what_may_be_a_key_is_not(text: str) -> None:
    assert plain(text) == quoted(text) == f"({len(text)} characters)"
