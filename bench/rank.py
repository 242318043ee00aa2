"""How fast rank and unrank are beside fte 0.3.0, and what a language costs to compile.

Run `python bench/rank.py` where the extra `bench` is installed. It prints a line for every
definition of both of fteproxy's releases: the median over random ranks, in microseconds, of our
form in C and how many times faster than fte's it is, the same of our form in Python, and fte's. All
work on the same minimal automaton. Then, the same of our forms for the built-in stream covers.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from fte.dfa import DFA

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from obfsfte.classic.releases import RELEASES
from obfsfte.covers import Catalogue
from obfsfte.covers.stream_definition import StreamDefinition
from obfsfte.regular import Language, Pattern, forms
from obfsfte.regular.forms import Walks
from obfsfte.regular.nfa import members_of

RANKS = 100

# A request with 400 bytes of literal text around three fields whose lengths are free.
SPARSE = (
    rb"GET /[a-z0-9/]+ HTTP/1\.1\r\nHost: www\.example\.com\r\nX-Padding: %b\r\n"
    rb"Cookie: id=[a-zA-Z0-9]+\r\nX-Padding: %b\r\nUser-Agent: [!-~]+\r\n\r\n"
) % (b"x" * 150, b"y" * 159)
SPARSE_LENGTH = 700


def fte_automaton(pattern: Pattern) -> str:
    """A pattern's automaton as fte reads it: transitions, then accepting states, a line each."""
    automaton = pattern.automaton
    lines = [
        f"{state}\t{target}\t{symbol}\t{symbol}"
        for state, moves in enumerate(automaton.moves)
        for byte_set, target in moves
        for symbol in members_of(byte_set)
    ]
    return "\n".join([*lines, *map(str, automaton.finals)])


def median_us(action: Callable[[Any], object], arguments: Sequence[Any]) -> float:
    times = []
    for argument in arguments:
        start = time.perf_counter()
        action(argument)
        times.append(time.perf_counter() - start)
    return statistics.median(times) * 1e6


def times(language: Language, walks: Walks) -> tuple[float, float]:
    """Medians in microseconds of a form's unrank and rank."""
    ranks = [random.randrange(language.size) for _ in range(RANKS)]
    strings = [language.unrank(number) for number in ranks]
    return median_us(walks.unrank, ranks), median_us(walks.rank, strings)


def our_times(language: Language) -> dict[str, tuple[float, float]]:
    return {
        name: times(language, make({language.length: language.root})[language.length])
        for name, make in reversed(forms.available().items())
    }


def heading(title: str, *last: str) -> str:
    names = [*reversed(forms.available()), *last]
    columns = "".join(f"{name:>{9 if name in last else 16}}" for name in names)
    return f"{title:34}{'unrank:':>8}{columns}{'rank:':>9}{columns}"


def definition_times() -> Iterator[tuple[str, dict[str, tuple[float, float]]]]:
    """Of each definition of both releases: form -> medians of unrank and rank in microseconds."""
    for release in RELEASES.values():
        for name, definition in release.formats.items():
            language = definition.language()
            fte = times(language, DFA(fte_automaton(language.pattern), language.length))
            yield f"{release.name}  {name}", {**our_times(language), "fte": fte}


def compare_definitions() -> None:
    print(heading("definition", "fte"))
    ratios: dict[tuple[str, int], list[float]] = {}
    for name, figures in definition_times():
        fte = figures.pop("fte")
        line = f"{name:34}"
        for which in (0, 1):
            line += " " * (8 + which)
            for form, ours in figures.items():
                ratio = fte[which] / ours[which]
                ratios.setdefault((form, which), []).append(ratio)
                line += f"{ours[which]:9.2f}{ratio:6.0f}x"
            line += f"{fte[which]:9.1f}"
        print(line)
    for (form, which), values in ratios.items():
        action = ("unrank", "rank")[which]
        print(f"median of the ratios, {form}, {action}: {statistics.median(values):.0f}x")


def compare_covers() -> None:
    print("\n" + heading("cover, longest message"))
    catalogue = Catalogue()
    for name in catalogue.names:
        definition = catalogue.get(name)
        if isinstance(definition, StreamDefinition):
            language = definition.downstream.embeddings[-1].language
            line = f"{name:24}{language.length:5} bytes"
            for which in (0, 1):
                line += " " * (7 + 2 * which)
                line += "".join(f"{each[which]:16.2f}" for each in our_times(language).values())
            print(line)


def compile_sparse() -> None:
    start = time.perf_counter()
    language = Language(SPARSE, SPARSE_LENGTH)
    seconds = time.perf_counter() - start
    tracemalloc.start()
    Language(SPARSE, SPARSE_LENGTH)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    print(
        f"400 literal bytes and three fields in {SPARSE_LENGTH} bytes, {language.capacity} bits: "
        f"compiled in {seconds * 1e3:.1f} ms, {peak / 1e6:.2f} MB at the peak\n"
    )


if __name__ == "__main__":
    compile_sparse()
    compare_definitions()
    compare_covers()
