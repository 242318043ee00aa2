"""Embedding: every record of its size in every language, and every string used."""

import re
from collections import Counter
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.covers.embedding import Embedding
from obfsfte.errors import WireError
from obfsfte.regular import Language

PATTERNS = [
    (rb"[a-z]{2,9}( [a-z]{2,9})*\n", 80),
    (rb"[0-9a-f]*", 40),
    (rb"(aa|b|cde)+", 50),
    (rb"[\x00-\xff]*", 9),
    (rb"[0-9]{12}", 12),
]


@settings(deadline=None, max_examples=60)
@given(st.sampled_from(PATTERNS), st.data(), st.integers(min_value=0, max_value=2**128 - 1))
def test_round_trip(pattern: tuple[bytes, int], data: st.DataObject, draw: int) -> None:
    embedding = Embedding(Language(*pattern))
    record = data.draw(st.binary(min_size=embedding.size, max_size=embedding.size))
    string = embedding.embed(record, draw)
    assert len(string) == pattern[1]
    assert re.fullmatch(pattern[0], string)
    assert embedding.extract(string) == (record, embedding.place(record, draw))


@pytest.mark.parametrize(("pattern", "length"), PATTERNS)
def test_every_string_carries_something(pattern: bytes, length: int) -> None:
    """From any string: its record and place make the same string again."""
    embedding = Embedding(language := Language(pattern, length))
    random = Random(length)
    for rank in [0, language.size - 1, *(random.randrange(language.size) for _ in range(50))]:
        string = language.unrank(rank)
        record, place = embedding.extract(string)
        assert len(record) == embedding.size
        # `place` itself is a draw that gives this place.
        assert embedding.place(record, place) == place
        assert embedding.embed(record, place) == string


def test_the_size_leaves_a_byte_to_the_place() -> None:
    assert Embedding(Language(rb"[\x00-\xff]*", 9)).size == 8
    assert Embedding(Language(rb"[0-9a-f]*", 40)).size == 19
    assert Embedding(Language(rb"[01]*", 15)).size == 0
    assert Embedding(Language(rb"[01]*", 24)).size == 2


def test_places_are_used_alike() -> None:
    """10**5 strings, M = 256: 390 places for all records, and one more for 160 of them."""
    embedding = Embedding(Language(rb"[0-9]*", 5))
    assert embedding.size == 1
    assert {embedding.place(b"\x00", draw) for draw in range(1000)} == set(range(391))
    assert {embedding.place(b"\x9f", draw) for draw in range(1000)} == set(range(391))
    assert {embedding.place(b"\xa0", draw) for draw in range(1000)} == set(range(390))


def test_every_possible_first_byte_occurs_as_often_as_in_the_language() -> None:
    """With all records at place 0 every string would begin with one of the first letters."""
    pattern, length = PATTERNS[0]
    embedding = Embedding(language := Language(pattern, length))
    random = Random(1)
    seen = Counter(
        embedding.embed(random.randbytes(embedding.size), random.getrandbits(128))[0]
        for _ in range(2600)
    )
    assert set(seen) == language.bytes_at(0) == set(b"abcdefghijklmnopqrstuvwxyz")
    # By symmetry 100 each. Chi-square with 25 degrees of freedom: 52.62 is its 0.999 quantile.
    assert sum((count - 100) ** 2 / 100 for count in seen.values()) < 52.62
    at_place_zero = {embedding.embed(random.randbytes(embedding.size), 0)[0] for _ in range(200)}
    assert at_place_zero == set(b"a")


@pytest.mark.parametrize("string", [b"", b"A" * 80, b"ab " * 26 + b"a\n", b"a" * 81])
def test_what_is_not_in_the_language_is_a_wire_error(string: bytes) -> None:
    with pytest.raises(WireError):
        Embedding(Language(*PATTERNS[0])).extract(string)


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_record_of_another_size_is_refused(difference: int) -> None:
    embedding = Embedding(Language(*PATTERNS[0]))
    with pytest.raises(ValueError, match=f"record of {embedding.size} bytes"):
        embedding.embed(bytes(embedding.size + difference), 0)
