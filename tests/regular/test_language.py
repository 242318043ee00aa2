"""Languages against `re.fullmatch`, against counting by hand, and against hostile strings."""

import functools
import itertools
import random
import re
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from obfsfte.errors import ConfigError
from obfsfte.regular import (
    EmptyLanguage,
    Language,
    NotInLanguage,
    Pattern,
    PatternError,
    Prefix,
    RankOutOfRange,
    forms,
)
from tests.regular.patterns import ALPHABET, patterns, spelled_patterns

pytestmark = pytest.mark.usefixtures("form")


def strings_of(length: int, alphabet: bytes = ALPHABET) -> list[bytes]:
    """All strings of a length, in lexicographic order."""
    return [bytes(letters) for letters in itertools.product(sorted(alphabet), repeat=length)]


def compile_both(pattern: bytes) -> tuple[Pattern, re.Pattern[bytes]]:
    try:
        reference = re.compile(pattern)
    except re.error:
        assume(False)
    return Pattern(pattern), reference


@settings(deadline=None, max_examples=300)
@given(patterns, st.integers(0, 4))
def test_the_strings_are_those_that_re_matches(source: bytes, length: int) -> None:
    pattern, reference = compile_both(source)
    expected = [string for string in strings_of(length) if reference.fullmatch(string)]
    try:
        language = Language(pattern, length)
    except EmptyLanguage:
        assert expected == []
        return
    ranks = []
    for string in strings_of(length):
        try:
            ranks.append(language.rank(string))
        except NotInLanguage:
            assert string not in expected
            assert language.test_prefix(string) is Prefix.IMPOSSIBLE
        else:
            assert string in expected
            assert language.test_prefix(string) is Prefix.IN
            assert language.unrank(ranks[-1]) == string
    assert ranks == sorted(ranks)
    for number in {0, language.size // 2, language.size - 1}:
        string = language.unrank(number)
        assert reference.fullmatch(string)
        assert language.rank(string) == number


@settings(deadline=None, max_examples=200)
@given(patterns)
def test_strings_of_one_byte_of_all_256(source: bytes) -> None:
    pattern, reference = compile_both(source)
    expected = [
        string for string in strings_of(1, bytes(range(256))) if reference.fullmatch(string)
    ]
    try:
        language = Language(pattern, 1)
    except EmptyLanguage:
        assert expected == []
    else:
        assert [language.unrank(number) for number in range(language.size)] == expected
        assert language.bytes_at(0) == {string[0] for string in expected}


@settings(deadline=None, max_examples=200)
@given(spelled_patterns, st.integers(1, 4))
def test_size_order_prefixes_and_positions(source: bytes, length: int) -> None:
    pattern, reference = compile_both(source)
    matching = [string for string in strings_of(length) if reference.fullmatch(string)]
    assume(matching)
    language = Language(pattern, length)
    assert language.size == len(matching)
    assert language.capacity == len(bin(len(matching))) - 3
    assert [language.unrank(number) for number in range(language.size)] == matching
    for position in range(length):
        assert language.bytes_at(position) == {string[position] for string in matching}
    beginnings = {string[:end] for string in matching for end in range(length)}
    for prefix in itertools.chain.from_iterable(strings_of(end) for end in range(length)):
        expected = Prefix.POSSIBLE if prefix in beginnings else Prefix.IMPOSSIBLE
        assert language.test_prefix(prefix) is expected


LONG = [
    (rb"GET /[a-zA-Z0-9.\\/]* HTTP/1\.1\r\n\r\n", 256),
    (rb"([a-z]+ )+[a-z]+", 256),
    (rb"([A-Z][a-z]+ )+[a-z]+\.", 333),
    (rb"(?s)SSH-2\.0.*", 1000),
    (rb"[0-9]{1,3}(\.[0-9]{1,3}){3}", 12),
    (rb"([a-z][0-9])*", 640),
    (rb"([0-9a-f]{2}:)*[0-9a-f]{2}", 299),
    (rb"(?:[a-z]{1,20}\.){1,5}(?:com|org|net)", 60),
    (rb"(a|ab|abc)*", 500),
    (rb"[+-9A-z]*=[+-9A-z]*", 200),
    (rb"(?s).*needle.*", 100),
    (rb"(?i)[a-f]+x?[g-z0]+", 129),
    (rb"[^\n]{100}\n[^\n]{27}", 128),
    # No choice once there was one, for longer than a box is; and for longer than a way.
    (rb"[a-z]*(?:[0-9][a-f])*", 700),
    (rb"[a-z]*(?:[0-9][a-f]){20}[a-z]*", 90),
    # Base64 with what its last characters may be, and 40 byte sets after it.
    (rb"(?:[\w-]{4})*(?:[\w-]{2}[AEIM]|[\w-][AQgw])?=(?:[a-f][0-9]){20}", 207),
    # Text that begins before a choice and that is put together of parts, which are long.
    (rb"x{0,300}(?:xy){0,200}[yz]*", 600),
]


@functools.cache
def compiled_for(form: str, pattern: bytes, length: int) -> Language:
    return Language(pattern, length)


def compiled(pattern: bytes, length: int) -> Language:
    return compiled_for(forms.NAME, pattern, length)


@pytest.mark.parametrize(("pattern", "length"), LONG)
def test_long_strings(pattern: bytes, length: int) -> None:
    language = Language(pattern, length)
    reference = re.compile(pattern)
    source = random.Random(1)
    numbers = [0, 1, language.size // 3, language.size - 1]
    numbers += [source.randrange(language.size) for _ in range(20)]
    strings = {}
    for number in numbers:
        string = strings[number] = language.unrank(number)
        assert len(string) == length
        assert reference.fullmatch(string)
        assert language.rank(string) == number
        assert all(string[at] in language.bytes_at(at) for at in range(0, length, 7))
    assert sorted(strings.values()) == [strings[number] for number in sorted(strings)]


@pytest.mark.parametrize(("pattern", "length"), LONG)
def test_neighbours(pattern: bytes, length: int) -> None:
    """From one string to the next: they share what comes before the byte that grows."""
    language = Language(pattern, length)
    source = random.Random(2)
    for _ in range(20):
        number = source.randrange(language.size - 1)
        assert language.unrank(number) < language.unrank(number + 1)


@pytest.mark.parametrize(("pattern", "length"), LONG)
def test_altered_strings(pattern: bytes, length: int) -> None:
    language = Language(pattern, length)
    reference = re.compile(pattern)
    source = random.Random(3)
    for _ in range(200):
        altered = bytearray(language.unrank(source.randrange(language.size)))
        altered[source.randrange(length)] = source.randrange(256)
        string = bytes(altered)
        if reference.fullmatch(string):
            assert language.unrank(language.rank(string)) == string
        else:
            with pytest.raises(NotInLanguage):
                language.rank(string)
            assert language.test_prefix(string) is Prefix.IMPOSSIBLE


@settings(deadline=None, max_examples=200)
@given(st.sampled_from(LONG), st.binary(max_size=300))
def test_hostile_strings(definition: tuple[bytes, int], string: bytes) -> None:
    pattern, length = definition
    language = compiled(pattern, length)
    for data in (string, string.ljust(length, b"a"), string * length):
        if len(data) != length or not re.fullmatch(pattern, data):
            with pytest.raises(NotInLanguage):
                language.rank(data)


@pytest.mark.parametrize("length", [0, 255, 257])
def test_rank_of_another_length(length: int) -> None:
    language = Language(rb"[a-z]*", 256)
    with pytest.raises(NotInLanguage, match=f"{length} bytes where the strings have 256"):
        language.rank(b"a" * length)


@pytest.mark.parametrize(("pattern", "length"), LONG)
def test_rank_tells_where_a_string_leaves_the_language(pattern: bytes, length: int) -> None:
    language = Language(pattern, length)
    source = random.Random(4)
    for _ in range(100):
        altered = bytearray(language.unrank(source.randrange(language.size)))
        for _ in range(3):
            altered[source.randrange(length)] = source.randrange(256)
        string = bytes(altered)
        try:
            language.rank(string)
        except NotInLanguage as error:
            at = int(str(error).rpartition(" ")[2])
            assert language.test_prefix(string[:at]) is Prefix.POSSIBLE
            assert language.test_prefix(string[: at + 1]) is Prefix.IMPOSSIBLE


@pytest.mark.parametrize("number", [-1, 26**3, pytest.param(1 << 100_000, id="huge")])
def test_unrank_out_of_range(number: int) -> None:
    language = Language(rb"[a-z]{3}", 3)
    with pytest.raises(RankOutOfRange):
        language.unrank(number)


def test_the_errors_are_value_errors() -> None:
    assert issubclass(NotInLanguage, ValueError)
    assert issubclass(RankOutOfRange, ValueError)
    assert issubclass(EmptyLanguage, ConfigError)
    assert issubclass(PatternError, ConfigError)


def test_capacity_is_exact_around_a_power_of_two() -> None:
    # Floating point takes these three sizes for the same.
    everything = Language(rb"(?s).{128}", 128)
    but_one = Language(
        rb"(?s)" + b"|".join(b"\xff{%d}[^\xff].{%d}" % (n, 127 - n) for n in range(128)), 128
    )
    assert (everything.size, everything.capacity) == (2**1024, 1024)
    assert (but_one.size, but_one.capacity) == (2**1024 - 1, 1023)


def test_one_string_has_no_capacity() -> None:
    language = Language("only this", 9)
    assert (language.size, language.capacity) == (1, 0)
    assert language.unrank(0) == b"only this"
    assert language.rank(b"only this") == 0


def test_the_empty_string() -> None:
    language = Language("a*", 0)
    assert language.unrank(0) == b""
    assert language.rank(b"") == 0
    assert language.test_prefix(b"") is Prefix.IN
    assert language.test_prefix(b"a") is Prefix.IMPOSSIBLE


@pytest.mark.parametrize(
    ("pattern", "length", "hint"),
    [
        ("abc", 5, "but some of 3$"),
        ("abc", 0, "but some of 3$"),
        ("(ab){3,}", 7, "but some of 6 and 8$"),
        ("a{3}b|a{70}", 5, "but some of 4 and 70$"),
        ("a$b", 2, "nor near that"),
    ],
)
def test_empty_languages(pattern: str, length: int, hint: str) -> None:
    with pytest.raises(EmptyLanguage, match=f"no string of {length} bytes.*{hint}"):
        Language(pattern, length)


def test_all_that_has_bytes_has_a_rank_and_nothing_else() -> None:
    language = Language(bytearray(b"(GET|PUT) /[a-z]{3}"), 8)
    string = language.unrank(12345)
    for data in (string, bytearray(string), memoryview(string)):
        assert language.rank(data) == 12345
    for other in (string.decode(), list(string), None, 8):
        with pytest.raises(TypeError):
            language.rank(other)
    for pattern in (None, 5, ["a"]):
        with pytest.raises(TypeError):
            Pattern(pattern)
    for number in (1.0, "1", None):
        with pytest.raises(TypeError):
            language.unrank(number)


def test_a_negative_length_is_refused() -> None:
    with pytest.raises(ConfigError, match="-1"):
        Language("a*", -1)


@settings(deadline=None, max_examples=150)
@given(patterns, st.sets(st.integers(0, 5), min_size=1))
def test_several_lengths_at_once_are_as_each_by_itself(source: bytes, lengths: set[int]) -> None:
    pattern, _ = compile_both(source)
    alone: dict[int, Language] = {}
    for length in lengths:
        with suppress(EmptyLanguage):
            alone[length] = Language(pattern, length)
    if len(alone) < len(lengths):
        with pytest.raises(EmptyLanguage):
            Language.several(pattern, sorted(lengths))
    if alone:
        together = Language.several(pattern, sorted(alone))
        assert together == [alone[length] for length in sorted(alone)]
        for language in together:
            same = alone[language.length]
            assert language.size == same.size
            for number in {0, 1 % same.size, same.size // 3, same.size - 1}:
                string = same.unrank(number)
                assert language.unrank(number) == string
                assert language.rank(string) == number
                assert language.test_prefix(string[:-1]) is same.test_prefix(string[:-1])


def test_several_lengths_cost_hardly_more_than_the_longest() -> None:
    def nodes_of(languages: list[Language]) -> int:
        seen = {language.root for language in languages}
        waiting = list(seen)
        while waiting:
            targets = {target for *_, target in waiting.pop().arcs}
            waiting += targets - seen
            seen |= targets
        return len(seen)

    pattern = Pattern("[a-z]{2,8}( [a-z]{2,8})*")
    longest = nodes_of([Language(pattern, 300)])
    assert nodes_of(Language.several(pattern, list(range(200, 301)))) < 2 * longest


@pytest.mark.parametrize(
    ("pattern", "length"),
    [
        ("([a-z]+ )+[a-z]+", 50_000),
        ("[a-z]{1,2000}[0-9]{1,2000}", 3000),
        ("a*b*c*d*", 40_000),
        ("(?s).*", 10**9),
    ],
)
def test_a_table_that_takes_too_much_memory_is_refused(pattern: str, length: int) -> None:
    with pytest.raises(PatternError, match=f"too much memory with a length of {length} bytes"):
        Language(pattern, length)


def test_equality_is_by_pattern_and_length() -> None:
    language = Language("[a-z]*", 8)
    assert language == Language(Pattern(b"[a-z]*"), 8)
    assert hash(language) == hash(Language(b"[a-z]*", 8))
    assert language != Language("[a-z]*", 9)
    assert repr(language) == "Language(pattern=Pattern(b'[a-z]*'), length=8)"


@pytest.mark.parametrize("position", [-1, 8])
def test_positions_outside_the_strings(position: int) -> None:
    with pytest.raises(IndexError):
        Language("[a-z]*", 8).bytes_at(position)


@settings(deadline=None, max_examples=100)
@given(st.sampled_from(LONG), st.data())
def test_a_matcher_sees_the_same_however_the_bytes_are_split(
    definition: tuple[bytes, int], data: st.DataObject
) -> None:
    language = compiled(*definition)
    string = language.unrank(data.draw(st.integers(0, language.size - 1)))
    if data.draw(st.booleans()):
        at = data.draw(st.integers(0, language.length - 1))
        string = string[:at] + data.draw(st.binary(min_size=1, max_size=3)) + string[at:]
    matcher = language.matcher()
    cuts = data.draw(st.lists(st.integers(0, len(string)), max_size=6))
    for start, end in itertools.pairwise([0, *sorted(cuts), len(string)]):
        seen = matcher.feed(string[start:end])
        assert seen is language.test_prefix(string[:end])
        if end == language.length:
            assert (seen is Prefix.IN) == bool(re.fullmatch(definition[0], string[:end]))


def test_a_matcher_stays_with_impossible() -> None:
    matcher = Language("abc", 3).matcher()
    assert matcher.feed(b"ab") is Prefix.POSSIBLE
    assert matcher.feed(b"x") is Prefix.IMPOSSIBLE
    assert matcher.feed(b"c") is Prefix.IMPOSSIBLE
    assert matcher.feed(b"") is Prefix.IMPOSSIBLE


def test_more_bytes_than_the_length_are_impossible() -> None:
    matcher = Language("a*", 3).matcher()
    assert matcher.feed(b"aaa") is Prefix.IN
    assert matcher.feed(b"") is Prefix.IN
    assert matcher.feed(b"a") is Prefix.IMPOSSIBLE
