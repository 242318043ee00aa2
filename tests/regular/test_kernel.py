"""The form in C beside the form in Python: the same numbers, strings and errors."""

import os
import random
import struct
import subprocess
import sys
import tracemalloc
from collections.abc import Callable
from contextlib import suppress

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from obfsfte.regular import Language, NotInLanguage, PatternError, forms, ranking
from tests.regular.patterns import patterns

if "C" not in forms.available():
    if os.environ.get("CI") == "true":
        raise RuntimeError("the C extension is not built")
    pytest.skip("the C extension is not built", allow_module_level=True)

from obfsfte.regular import kernel
from obfsfte.regular._kernel import Table


def outcome(rank: Callable[[bytes], int], data: bytes) -> int | str:
    try:
        return rank(data)
    except NotInLanguage as error:
        return str(error)


def mutated(string: bytes, source: random.Random) -> bytes:
    altered = bytearray(string)
    for _ in range(source.randrange(4)):
        at = source.randrange(len(altered) + 1)
        match source.randrange(4):
            case 0:
                altered[at : at + 1] = bytes([source.randrange(256)])
            case 1:
                altered[at : at + 1] = altered[source.randrange(at + 1) :][:1]
            case 2:
                end = source.randrange(len(altered) + 1)
                altered[at : at + 8] = altered[end : end + 8]
            case _:
                altered[at : at + 20] = source.randbytes(20)
    return bytes(altered[: len(string)]).ljust(len(string), b"a")


def assert_same(language: Language, source: random.Random, rounds: int) -> None:
    """For ranks at the edges and random ones, and for their strings with bytes altered."""
    table = kernel.lay_out({language.length: language.root})[language.length]
    size = language.size
    numbers = {0, 1, size - 1, size // 2}
    for edge in range(64, min(size.bit_length(), 1000), 64):
        numbers |= {1 << edge, (1 << edge) - 1}
    for offset, *_ in language.root.arcs[:5]:
        numbers |= {offset - 1, offset, offset + 1}
    numbers |= {source.randrange(size) for _ in range(rounds)}
    for number in sorted(numbers):
        if not 0 <= number < size:
            continue
        string = ranking.unrank(language.root, number)
        assert table.unrank(number) == string
        assert table.rank(string) == number
        altered = mutated(string, source)
        expected = outcome(lambda data: ranking.rank(language.root, data), altered)
        assert outcome(table.rank, altered) == expected


@given(patterns, st.integers(0, 40), st.randoms(use_true_random=False))
def test_random_patterns(pattern: bytes, length: int, source: random.Random) -> None:
    try:
        language = Language(b"(?:%b)*[ab]*" % pattern, length)
    except PatternError:  # two groups of one name
        assume(False)
    assert_same(language, source, 8)


@st.composite
def products(draw: st.DrawFn) -> tuple[bytes, int]:
    """Sets, repeated, in a row, some behind a choice: boxes and weights of any size."""
    parts = []
    length = 0
    for _ in range(draw(st.integers(1, 5))):
        radix = draw(st.sampled_from([1, 2, 3, 4, 10, 16, 26, 64, 85, 128, 255, 256]))
        count = draw(st.integers(1, 70))
        first = draw(st.integers(0, 256 - radix))
        symbols = b"[\\x%02x-\\x%02x]" % (first, first + radix - 1)
        parts.append(b"%b{%d}" % (symbols, count))
        length += count
    pattern = b"".join(parts)
    if draw(st.booleans()):
        pattern = b"[ac]{%d}|" % length + pattern
    if draw(st.booleans()):
        count = draw(st.integers(1, 20))
        pattern = b"[+-9]*(?:%b)?[a-z]*" % pattern
        length += count
    return pattern, length


@settings(max_examples=50)
@given(products(), st.randoms(use_true_random=False))
def test_products(product: tuple[bytes, int], source: random.Random) -> None:
    try:
        language = Language(*product)
    except PatternError:  # the automaton would be too large
        assume(False)
    assert_same(language, source, 10)


@pytest.mark.parametrize("radix", [*range(1, 20), 26, 62, 64, 65, 85, 127, 128, 129, 255, 256])
def test_every_radix_around_whole_limbs(radix: int) -> None:
    """The lengths where the strings of one alphabet come to need another limb, or another chunk."""
    symbols = b"[\\x00-\\x%02x]" % (radix - 1)
    source = random.Random(radix)
    bits = max(1, (radix - 1).bit_length())
    for edge in (60, 64, 120, 128, 192, 1024):
        for length in range(edge // bits - 1, edge // bits + 3):
            assert_same(Language(b"%b{%d}" % (symbols, length), length), source, 5)


@pytest.mark.parametrize(
    "pattern",
    [
        # Sizes just below and above powers of two, and weights whose first limb is all ones.
        rb"(?s)" + b"|".join(b"\xff{%d}[^\xff].{%d}" % (n, 31 - n) for n in range(32)),
        rb"(?s).{31}[^\xff]|[^\x00].{31}",
        rb"(?s)[ab](?:%b)" % b"|".join(b"\xff{%d}[^\xff].{%d}" % (n, 30 - n) for n in range(31)),
    ],
)
def test_weights_next_to_a_power_of_two(pattern: bytes) -> None:
    assert_same(Language(pattern, 32), random.Random(32), 300)


@pytest.mark.parametrize("length", [1000, 8192])
@pytest.mark.parametrize("pattern", [b"[a-z]*", rb"(?s)SSH-2\.0.*", rb"(?:[a-z]{9} )*[a-z]*"])
def test_long_strings(pattern: bytes, length: int) -> None:
    assert_same(Language(pattern, length), random.Random(length), 1)


def test_what_is_no_number_of_the_language() -> None:
    table = kernel.lay_out({3: Language(b"[a-z]{3}", 3).root})[3]
    assert table.unrank(26**3 - 1) == b"zzz"
    for number in (26**3, 1 << 64, 1 << 5000, -1):
        with pytest.raises(OverflowError):
            table.unrank(number)
    with pytest.raises(TypeError):
        table.unrank("0")  # type: ignore[arg-type]


@pytest.mark.parametrize("buffer", [bytes, bytearray, memoryview])
def test_rank_takes_any_buffer(buffer: Callable[[bytes], bytes]) -> None:
    table = kernel.lay_out({3: Language(b"[a-z]{3}", 3).root})[3]
    assert table.rank(buffer(b"aba")) == 26
    with pytest.raises(NotInLanguage, match="2 bytes where the strings have 3"):
        table.rank(buffer(b"ab"))
    with pytest.raises(TypeError):
        table.rank("aba")  # type: ignore[arg-type]


def test_a_layout_that_was_damaged() -> None:
    """No word of a layout can lead the kernel outside it: it is refused, or it does no harm."""
    language = Language(rb"(?:[a-z]{1,20}\.){1,5}(?:com|org|net)[0-9]{20}", 60)
    layout = kernel._Layout([language.root]).packed()
    strings = [language.unrank(number) for number in (0, language.size // 3, language.size - 1)]
    source = random.Random(5)
    refused = 0
    for _ in range(2000):
        damaged = bytearray(layout)
        at = 8 * source.randrange(len(layout) // 8)
        if source.random() < 0.5:
            at = 8 * source.randrange(200)
        (word,) = struct.unpack_from("=Q", layout, at)
        other = source.choice([0, 1, word + 1, word - 1, 2 * word, source.getrandbits(64), -1])
        struct.pack_into("=Q", damaged, at, other & (1 << 64) - 1)
        try:
            table = Table(60, damaged)
        except (ValueError, MemoryError):
            refused += 1
            continue
        with suppress(ValueError):
            table = table.language(source.randrange(3), source.choice([60, 60, 59, 61, 0]))
        for string in strings:
            for action, argument in ((table.rank, string), (table.unrank, language.size // 5)):
                with suppress(ValueError, OverflowError, SystemError, MemoryError):
                    action(argument)  # type: ignore[operator]
    assert refused > 100


def test_languages_in_one_layout() -> None:
    languages = Language.several(rb"(?:[a-z]{1,20}\.){1,5}(?:com|org|net)", range(20, 61))
    tables = kernel.lay_out({language.length: language.root for language in languages})
    alone = sum(len(kernel._Layout([language.root]).packed()) for language in languages)
    together = len(kernel._Layout([language.root for language in languages]).packed())
    assert together * 10 < alone
    source = random.Random(7)
    longest = tables.pop(60)  # it may go before the others
    del longest
    for language in languages[:-1]:
        table = tables[language.length]
        for number in (0, language.size - 1, source.randrange(language.size)):
            string = ranking.unrank(language.root, number)
            assert table.unrank(number) == string
            assert table.rank(string) == number
        with pytest.raises(OverflowError):
            table.unrank(language.size)
        with pytest.raises(NotInLanguage):
            table.rank(string + b"m")
        with pytest.raises(NotInLanguage):
            table.rank(string[:-1])


@pytest.mark.parametrize(("root", "length"), [(-1, 3), (3, 3), (1 << 40, 3), (0, -1)])
def test_no_language_of_a_layout(root: int, length: int) -> None:
    table = kernel.lay_out({3: Language(b"[a-z]{3}", 3).root})[3]
    with pytest.raises(ValueError, match="no language of this layout"):
        table.language(root, length)


@pytest.mark.parametrize("layout", [b"", bytes(7), bytes(80), bytes(88), b"\xff" * 80])
def test_what_is_no_layout(layout: bytes) -> None:
    with pytest.raises(ValueError, match="not the layout"):
        Table(3, layout)


def test_nothing_is_leaked() -> None:
    language = Language(rb"(?:[a-z]{1,20}\.){1,5}(?:com|org|net)", 60)
    layout = kernel._Layout([language.root]).packed()
    table = Table(60, layout)
    number = language.size // 3
    string = table.unrank(number)
    strings = [string, string[:-1], string[:-1] + b"!", b"." + string[1:], None]
    numbers = [number, language.size, -1, 1 << 1000, None]
    kept = [table, Table, layout, "little", NotInLanguage, number, string, None]

    def work(rounds: int) -> None:
        for _ in range(rounds):
            for action, arguments in ((table.rank, strings), (table.unrank, numbers)):
                for argument in arguments:
                    with suppress(NotInLanguage, OverflowError, TypeError):
                        action(argument)  # type: ignore[operator]
            for wrong in (layout, layout[:-8]):
                with suppress(ValueError):
                    Table(60, wrong).language(0, 60).language(0, 60)
            for root in (0, -1, "0"):
                with suppress(ValueError, TypeError):
                    table.language(root, 60)  # type: ignore[arg-type]

    work(10)
    tracemalloc.start()
    try:
        work(10)
        before, references = tracemalloc.get_traced_memory()[0], list(map(sys.getrefcount, kept))
        work(10_000)
        after, now = tracemalloc.get_traced_memory()[0], list(map(sys.getrefcount, kept))
    finally:
        tracemalloc.stop()
    assert after - before < 10_000  # one byte of each round
    assert all(abs(new - old) < 100 for new, old in zip(now, references, strict=True))


@pytest.mark.parametrize(("pure", "form"), [("", "C"), ("1", "Python")])
def test_the_version_says_which_form_runs(pure: str, form: str) -> None:
    result = subprocess.run(
        [sys.executable, "-m", "obfsfte.cli", "--version"],
        capture_output=True,
        text=True,
        env=os.environ | {"OBFSFTE_PURE_PYTHON": pure},
        check=True,
    )
    assert result.stdout.endswith(f"(ranking: {form})\n")
