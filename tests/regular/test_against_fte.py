"""Rank and unrank against `fte` 0.3.0, the library under fteproxy, string by string.

The languages here are written as both regex2dfa, fte's parser, and Python's `re` read them.
tests/classic compares all of fteproxy's own.
"""

import random

import pytest

from obfsfte.regular import Language, NotInLanguage
from tests.libraries import library

dfas = library("fte.dfa")
regex2dfa = library("regex2dfa")

pytestmark = pytest.mark.usefixtures("form")

SAME_IN_BOTH = [
    (r"GET /[a-zA-Z0-9./]* HTTP/1\.1\r\n\r\n", 256),
    (r"([a-z]+ )+[a-z]+", 256),
    (r"([A-Z][a-z]+ )+[a-z]+\.", 256),
    (r"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", 64),
    (r"/[a-z0-9]+(/[a-z0-9]+)*", 256),
    (r"[a-zA-Z0-9]+(,[a-zA-Z0-9]+)+", 256),
    (r"[0-9a-f]+", 256),
    (r"(a|b|cd)*(x|yy?z)+", 75),
    (r"([a-f][0-9])*[+-9A-z]*=[^a-z]*", 40),
]


@pytest.mark.parametrize(("pattern", "length"), SAME_IN_BOTH)
def test_rank_and_unrank_are_those_of_fte(pattern: str, length: int) -> None:
    theirs = dfas.DFA(regex2dfa.regex2dfa(pattern), length)
    ours = Language(pattern, length)
    assert ours.size == theirs.num_words_in_language(length, length)
    source = random.Random(pattern)
    numbers = [0, 1, ours.size - 2, ours.size - 1]
    numbers += [source.randrange(ours.size) for _ in range(50)]
    for number in numbers:
        string = theirs.unrank(number)
        assert ours.unrank(number) == string
        assert ours.rank(string) == number == theirs.rank(string)


@pytest.mark.parametrize(("pattern", "length"), SAME_IN_BOTH)
def test_both_refuse_the_same_strings(pattern: str, length: int) -> None:
    theirs = dfas.DFA(regex2dfa.regex2dfa(pattern), length)
    ours = Language(pattern, length)
    source = random.Random(pattern)
    for _ in range(100):
        altered = bytearray(ours.unrank(source.randrange(ours.size)))
        altered[source.randrange(length)] = source.choice(b"\x00aZ0/ .=\xff")
        try:
            expected = theirs.rank(bytes(altered))
        except dfas.InvalidRankInput:
            with pytest.raises(NotInLanguage):
                ours.rank(bytes(altered))
        else:
            assert ours.rank(bytes(altered)) == expected
