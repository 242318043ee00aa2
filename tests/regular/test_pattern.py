"""Patterns: what is refused and how, and what the minimal automata look like."""

import itertools
import re
import tracemalloc

import pytest

from obfsfte.errors import ConfigError
from obfsfte.regular import EmptyLanguage, Language, Pattern, PatternError, Prefix


@pytest.mark.parametrize(
    ("pattern", "name", "position"),
    [
        (rb"ab(?=c)", "a look-ahead", 2),
        (rb"ab(?!c)", "a look-ahead", 2),
        (rb"(?:ab(?<=c))", "a look-behind", 5),
        (rb"ab(?<!c)", "a look-behind", 2),
        (rb"(a|b)x\1", "a back reference", 6),
        (rb"(?P<n>a|b)x(?P=n)", "a back reference", 11),
        (rb"(?i)(a)\1", "a back reference", 7),
        (rb"(a)?(?(1)b|c)", "a conditional group", 4),
        (rb"a(?>bc|b)c", "an atomic group", 1),
        (rb"[a-z]*+b", "a possessive repeat", 5),
        (rb"[a-z]++b", "a possessive repeat", 5),
        (rb"[a-z]?+b", "a possessive repeat", 5),
        (rb"[a-z]{2,3}+b", "a possessive repeat", 5),
        (rb"(?L)a", "the flag L", 0),
        (rb"a(?iL:b)", "the flag L", 1),
        # The same text where it means itself, before the place where it does not.
        (rb"\(?=[(?=]\(?!a(?=b)", "a look-ahead", 14),
        (rb"(?#(?=a)b(?=c)", "a look-ahead", 9),
        (b"(?x)a # (?=\n (?=b)", "a look-ahead", 13),
        (rb"(a)\\1[\1]\101\1", "a back reference", 14),
        (rb"\*+[*+]a*+", "a possessive repeat", 8),
        # The first of several.
        (rb"(a)(?=b)\1", "a look-ahead", 3),
    ],
)
def test_refused_constructs_are_named_with_their_position(
    pattern: bytes, name: str, position: int
) -> None:
    re.compile(pattern)
    expected = f"^{name}.* at position {position} of the pattern"
    with pytest.raises(PatternError, match=expected):
        Pattern(pattern)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        (b"a(b", "position 1"),
        (b"ab[c", "position 2"),
        (b"*a", "position 0"),
        (b"ab\\", "position 2"),
        (b"\\q", r"bad escape \\q at position 0"),
        (b"ab(?i)", "position 2"),
        (b"(?u)a", "'u'"),
        (b"a{2,1}", "min repeat greater than max repeat"),
        (b"a{99999999999}", "too large"),
        (b"a{%b}" % (b"9" * 5000), "not a regular expression"),
        (b"(?aL)a", "incompatible"),
    ],
)
def test_malformed_patterns(pattern: bytes, message: str) -> None:
    with pytest.raises(PatternError, match=message):
        Pattern(pattern)


def test_patterns_in_text() -> None:
    assert Pattern("a+") == Pattern(b"a+")
    assert Pattern("a+").source == b"a+"
    with pytest.raises(PatternError, match=r"'é' at position 2 .* not ASCII"):
        Pattern("caé")


def test_a_pattern_error_is_one_line_for_the_operator() -> None:
    with pytest.raises(ConfigError) as caught:
        Pattern(b"(" * 3000 + b"a" + b")" * 3000)
    assert "nested too deeply" in str(caught.value)
    assert "\n" not in str(caught.value)


def test_what_python_warns_about_is_read_without_a_warning() -> None:
    assert Language(rb"[[a]--b", 4).unrank(0) == b"[--b"


@pytest.mark.parametrize(
    "pattern",
    [
        b"(a{1000}){1000}",
        b"((((a{1,99}){1,99}){1,99}){1,99}){1,99}",
        b"(?:){1000000000}",
        b"(?:a|b)*a(?:a|b){20}",
        b"(?:a|b)*a(?:a|b){9000}",
        b"a*a{9000}",
        b"(?:a?b?c?d?){4000}",
        b"(?s).*(?:%b)" % b"|".join(b".{%d}a.{%d}" % (n, n) for n in range(60)),
        b"((((((((((a+)+)+)+)+)+)+)+)+)+){20000}",
        b"(?:a?){9000}",
    ],
)
def test_patterns_that_grow_without_bound_are_refused(pattern: bytes) -> None:
    with pytest.raises(PatternError, match="more than 20000 states"):
        Pattern(pattern)


@pytest.mark.parametrize("pattern", [b"(a{1000}){1000}", b"a*a{1900}"])
def test_refusing_takes_little_memory(pattern: bytes) -> None:
    """The states of the second are fewer than the limit, but what they stand for grows."""
    tracemalloc.start()
    try:
        with pytest.raises(PatternError, match="more than 2000 states"):
            Pattern(pattern, max_states=2000)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 32 << 20


def test_the_limit_can_be_set() -> None:
    assert Pattern("a{100}", max_states=200) == Pattern("a{100}")
    with pytest.raises(PatternError, match="more than 50 states"):
        Pattern("a{100}", max_states=50)


def test_nested_repeats_do_not_multiply() -> None:
    assert len(Pattern(b"(" * 60 + b"a" + b"+)" * 60).automaton.moves) == 2


@pytest.mark.parametrize(
    ("pattern", "states"),
    [
        (b"", 1),
        (b"abc", 4),
        (b"abc|abd|abe", 4),
        (b"[a-z]*", 1),
        (b"[a-z]+", 2),
        (b"([a-z]+ )+[a-z]+", 4),
        (b"(a|b)*a(a|b){4}", 32),
        (b"(a*)*|a", 1),
        (b"a{3,5}", 6),
        (b"ax|bx|cx*x", 5),
        (b"(?s)^.*$", 1),
        (rb"(?s)\bw.*|\bw", 2),
        (b"a$b", 1),
        (b"(?:aa)*|(?:aaa)*", 6),
    ],
)
def test_automata_are_minimal(pattern: bytes, states: int) -> None:
    assert len(Pattern(pattern).automaton.moves) == states


@pytest.mark.parametrize(
    ("pattern", "matching"),
    [
        (rb"a$", [b"a"]),
        (rb"a$\n", [b"a\n"]),
        (rb"a$\n?b?", [b"a", b"a\n"]),
        (rb"(?m)a$\n^b$", [b"a\nb"]),
        (rb"a\Z\n?", [b"a"]),
        (rb"\b(?:a|b)\b(?: a)?", [b"a", b"a a", b"b", b"b a"]),
        (rb"a\B(?:b| b)", [b"ab"]),
        (rb"(?i)a[^B]", None),
    ],
)
def test_anchors_anywhere(pattern: bytes, matching: list[bytes] | None) -> None:
    lengths = range(1, 5) if matching else [2]
    found = []
    for length in lengths:
        try:
            language = Language(pattern, length)
        except ConfigError:
            continue
        found += [language.unrank(number) for number in range(language.size)]
    if matching is None:
        matching = [
            bytes([first, second])
            for first in range(256)
            for second in range(256)
            if re.fullmatch(pattern, bytes([first, second]))
        ]
    assert sorted(found) == matching


@pytest.mark.parametrize(
    "pattern",
    [
        rb"(?i)a(?-i:b)c",
        rb"(?i:a(?s-i:b.)c.)",
        rb"(?s)a.(?-s:.)",
        rb"(?m:a$\n^)b|a$\n^b",
        rb"(?x) a  b # c",
        rb"(?x)a(?-x: b)",
        rb"(?a)\w",
        rb"(?ims)^A.$",
        rb"(?i)[^A-Y]\x41",
    ],
)
def test_flags_hold_where_they_are_set(pattern: bytes) -> None:
    strings = [
        bytes(letters)
        for length in range(5)
        for letters in itertools.product(b"\n ABCabc", repeat=length)
    ]
    for length in range(5):
        expected = [s for s in strings if len(s) == length and re.fullmatch(pattern, s)]
        try:
            language = Language(pattern, length)
        except EmptyLanguage:
            assert expected == []
            continue
        assert all(language.unrank(language.rank(string)) == string for string in expected)
        for string in set(strings) - set(expected):
            if len(string) == length:
                assert language.test_prefix(string) is Prefix.IMPOSSIBLE
