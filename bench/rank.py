"""How fast rank and unrank are beside fte 0.3.0, and what a language costs to compile.

Run `python bench/rank.py` where the extra `bench` is installed. It prints a line for every
definition of both of fteproxy's releases: the median over random ranks, in microseconds, of ours
and of fte's, and how many times faster ours is. Both work on the same minimal automaton.
"""

from __future__ import annotations

import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from fte.dfa import DFA

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from obfsfte.classic.releases import RELEASES
from obfsfte.regular import Language, Pattern
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


def compare(language: Language) -> tuple[float, float, float, float]:
    """Medians in microseconds: our unrank, fte's, our rank, fte's."""
    theirs = DFA(fte_automaton(language.pattern), language.length)
    ranks = [random.randrange(language.size) for _ in range(RANKS)]
    strings = [language.unrank(number) for number in ranks]
    return (
        median_us(language.unrank, ranks),
        median_us(theirs.unrank, ranks),
        median_us(language.rank, strings),
        median_us(theirs.rank, strings),
    )


def compare_definitions() -> None:
    print(f"{'':40}unrank: ours     fte             rank: ours     fte")
    unrank_ratios, rank_ratios = [], []
    for release in RELEASES.values():
        for name, definition in release.formats.items():
            unrank, fte_unrank, rank, fte_rank = compare(definition.language())
            unrank_ratios.append(fte_unrank / unrank)
            rank_ratios.append(fte_rank / rank)
            print(
                f"{release.name}  {name:24}"
                f"{unrank:12.1f}{fte_unrank:10.1f}{unrank_ratios[-1]:6.0f}x"
                f"{rank:12.1f}{fte_rank:10.1f}{rank_ratios[-1]:6.0f}x"
            )
    print(
        f"{'median of the ratios':34}{statistics.median(unrank_ratios):28.0f}x"
        f"{statistics.median(rank_ratios):28.0f}x"
    )


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
