"""What is to be reached, and whether it is: the arithmetic between figures and the table.

Each round measures all pairs, one after the other. A ratio is taken within a round, between
neighbours in time, and the median of the rounds' ratios counts.
"""

from __future__ import annotations

import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

OURS = "websocket"


@dataclass
class Figures:
    """measure -> pair -> one number for each round."""

    values: dict[str, dict[str, list[float]]] = field(default_factory=dict)

    def add(self, measure: str, pair: str, value: float) -> None:
        self.values.setdefault(measure, {}).setdefault(pair, []).append(value)

    def of(self, measure: str, pair: str) -> Sequence[float]:
        """The rounds' numbers, none where nothing was measured."""
        return self.values.get(measure, {}).get(pair, [])

    def median(self, measure: str, pair: str) -> float | None:
        values = self.of(measure, pair)
        return statistics.median(values) if values else None

    def ratio(self, measure: str, pair: str, peer: str) -> float | None:
        """The median of the rounds' ratios; None where either was not measured."""
        rounds = zip(self.of(measure, pair), self.of(measure, peer), strict=False)
        ratios = [ours / theirs for ours, theirs in rounds if theirs]
        return statistics.median(ratios) if ratios else None


@dataclass(frozen=True)
class Goal:
    """A bound on a figure of `pair`, or on its ratio to that of `peer`."""

    measure: str
    bound: float
    at_least: bool
    peer: str | None = None
    pair: str = OURS

    def value(self, figures: Figures) -> float | None:
        if self.peer is None:
            return figures.median(self.measure, self.pair)
        return figures.ratio(self.measure, self.pair, self.peer)

    def is_met(self, value: float) -> bool:
        return value >= self.bound if self.at_least else value <= self.bound

    def describe(self, value: float) -> str:
        sign = ">=" if self.at_least else "<="
        what = f"{sign} {self.bound:g}" + (f" x {self.peer}" if self.peer else "")
        verdict = "reached" if self.is_met(value) else "**missed**"
        pair = "" if self.pair == OURS else f"{self.pair} "
        return f"{pair}{what}: {value:.3g} {verdict}"


def goals(streams: Sequence[int], links: Sequence[int]) -> list[Goal]:
    """All of them. `links` are rates in Mbit/s."""
    found = [
        Goal("round trip, median", 1.2, False, "obfs4proxy"),
        Goal("round trip, p99", 1.2, False, "obfs4proxy"),
        Goal("ping beside bulk, p99", 1, False, "obfs4proxy"),
        Goal("first byte, median", 1, False, "obfs4proxy"),
        Goal("connections a second", 1.5, True, "obfs4proxy"),
        Goal("idle, held", 1, True),
    ]
    for action in ("unrank", "rank"):
        found.append(Goal(f"{action}, manual-http", 100, True, "fte", "C"))
        found.append(Goal(f"{action}, all", 50, True, "fte", "C"))
    for half in ("client", "server"):
        found.append(Goal(f"idle, KB, {half}", 40, False))
        found.append(Goal(f"idle, CPU %, {half}", 2, False))
    for direction in ("down", "up"):
        for half in ("client", "server"):
            found.append(Goal(f"stream cover {direction}, {half}", 25, True, None, "base64"))
        for count in streams:
            found.extend(_bulk(direction, count))
    for rate in links:
        for count in streams:
            measure = f"link {rate} Mbit/s, {count}"
            found.append(Goal(measure, 0.95 if rate >= 1000 else 0.98, True, "direct"))
            if count >= 100:
                found.append(Goal(f"{measure}, spread %", 20, False))
    return found


def _bulk(direction: str, streams: int) -> Iterator[Goal]:
    measure = f"{direction}, {streams}"
    yield Goal(measure, 2.5, True, "obfs4proxy")
    yield Goal(measure, 5, True, "fteproxy")
    yield Goal(measure, 0.75, True, "haproxy")
    if direction == "down":
        yield Goal(measure, 1.5, True, "obfs4proxy", "http")
    for half in ("client", "server"):
        yield Goal(f"CPU {measure}, {half}", 0.4, False, "obfs4proxy")


def table(figures: Figures, wanted: Sequence[Goal], units: Mapping[str, str]) -> list[str]:
    """In Markdown: a row for each measure, with the pairs' medians and what became of its goals."""
    pairs = list(dict.fromkeys(pair for each in figures.values.values() for pair in each))
    rows = [["measure", "unit", *pairs, "goals"], ["---"] * (len(pairs) + 3)]
    for measure in figures.values:
        medians = (figures.median(measure, pair) for pair in pairs)
        said = [
            goal.describe(value)
            for goal in wanted
            if goal.measure == measure and (value := goal.value(figures)) is not None
        ]
        rows.append(
            [
                measure,
                _unit(measure, units),
                *("" if median is None else f"{median:.3g}" for median in medians),
                "; ".join(said),
            ]
        )
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    widths[-1] = 0
    padded = ([cell.ljust(widths[i]) for i, cell in enumerate(row)] for row in rows)
    return [f"| {' | '.join(row)} |" for row in padded]


def _unit(measure: str, units: Mapping[str, str]) -> str:
    if measure.endswith("%"):
        return "%"
    return next((text for start, text in units.items() if measure.startswith(start)), "")
