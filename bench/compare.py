"""obfsfte beside obfs4proxy, fteproxy, two haproxies in a row, and a bare Twisted: `make bench`.

Run `python bench/compare.py [--quick]` where the extra `bench` is installed, with Debian's
obfs4proxy, haproxy, iperf and iproute2, and as root for the links. A peer that is not there, or
fails, is left out, and said. It prints a table, and writes it with all figures and plots to
docs/figures; a run that is not whole goes to build/bench instead.

All pairs are on this machine and have their turns within each round, with the same
application and target; ratios are of neighbours in time, and the median of the rounds counts.
So it can be run on a machine that has something else to do, but a quiet one is better.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import platform
import re
import resource
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import TypeVar

import pytest
from tqdm import tqdm

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))  # for tests/e2e, which knows the peers

from bench import links, measures, plots
from bench.goals import Figures, goals, table
from bench.load import Application, Target
from bench.measures import Bench
from bench.peers import PEERS, Pair, Start, obfsfte, running
from obfsfte.covers import Catalogue
from tests.e2e.fteproxy_peer import VERSION as FTEPROXY_VERSION
from tests.e2e.fteproxy_peer import fteproxy_command

T = TypeVar("T")

#: Where the figures of a run go that is quick, of some pairs, or in which something failed.
NOT_WHOLE = ("build", "bench")

STREAM_COVER = "base64"
OUR_COVERS = ("websocket", "http", STREAM_COVER)

#: How the names of measures begin, and what their figures are in.
UNITS = {
    "down": "MB/s",
    "up": "MB/s",
    "CPU": "s/GB",
    "round trip": "ms",
    "ping": "ms",
    "first byte": "ms",
    "idle, held": "of 1",
    "stream cover": "MB/s a core",
    "link": "Mbit/s",
    "unrank": "calls/s",
    "rank": "calls/s",
}


@dataclass(frozen=True)
class Plan:
    """How much is done."""

    rounds: int
    seconds: float  # of one bulk or latency measure
    streams: Sequence[int]
    idle: int  # connections
    links: Sequence[int]  # Mbit/s
    link_streams: Sequence[int]
    link_seconds: int


FULL = Plan(3, 1.0, (1, 10, 100), 9000, (160, 380, 1000), (1, 10, 100), 8)
QUICK = Plan(1, 0.4, (1, 10, 100), 300, (380,), (10,), 2)
#: Whether it still runs; for the tests.
SMOKE = Plan(1, 0.1, (1, 2), 10, (), (), 0)

#: What a pair, or a program that is needed, may do wrong. What waits for it asserts that it comes.
FAULTS = (OSError, TimeoutError, AssertionError, EOFError)

#: fteproxy stops to accept at 508 connections, obfs4proxy needs longest for each, and in the `http`
#: cover somebody always asks: 9,000 of them are more than a core can do.
MOST_IDLE = {"fteproxy": 400, "obfs4proxy": 1000, "http": 1000}


class Comparison:
    """One run."""

    def __init__(
        self, plan: Plan, pairs: dict[str, Start], remarks: list[str], quiet: bool
    ) -> None:
        self.figures = Figures()
        self.remarks = remarks
        self._plan = plan
        self._pairs = pairs
        self._quiet = quiet

    def run(self, bench: Bench) -> None:
        plan = self._plan
        with ExitStack() as stack:
            # All at once: those that are not measured wait, and cost nothing.
            started = {}
            for name, start in self._pairs.items():
                with self._left_out_if_it_fails(name):
                    started[name] = stack.enter_context(running(start, bench.target.port))
            steps: list[tuple[str, measures.Figures]] = []

            def add(name: str, measure: Callable[..., measures.Figures], *options: object) -> None:
                steps.append((name, measure(bench, started[name], *options)))

            for _ in range(plan.rounds):
                for direction in ("down", "up"):
                    for count in plan.streams:
                        for name in started:
                            if name != STREAM_COVER:
                                add(name, measures.bulk, direction, count)
                    if STREAM_COVER in started:
                        add(STREAM_COVER, stream_cover, direction)
                for name in started:
                    if name != STREAM_COVER:
                        add(name, measures.round_trip)
                        add(name, measures.connections)
                        add(name, measures.fairness, 10)
            for name, figures in self._progress(steps, "streams"):
                self._take(name, figures)
        for name, start in self._progress(self._pairs.items(), "idle connections"):
            if name == STREAM_COVER:
                continue
            count = min(plan.idle, MOST_IDLE.get(name, plan.idle))
            # Anew, since memory that was used before would hide what connections need.
            with (
                self._left_out_if_it_fails(name),
                running(start, bench.target.port) as pair,
            ):
                self._take(name, measures.idle(bench, pair, count, 5 * plan.seconds))

    def run_links(self) -> None:
        plan = self._plan
        if not plan.links:
            return
        if shutil.which("iperf") is None:
            self.remarks.append("no links were measured: iperf is not installed")
            return
        ways = {
            name: way for name, way in links.WAYS.items() if name == "direct" or name in self._pairs
        }
        try:
            with links.shaped_link() as link:
                steps = [(rate, name) for rate in plan.links for name in ways]
                bar = self._progress(steps, "links")
                for rate, name in bar:
                    link.shape(rate)
                    with self._left_out_if_it_fails(name), ExitStack() as stack:
                        place = ways[name](stack, link)
                        for count in plan.link_streams:
                            found = links.goodput(link, place, count, plan.link_seconds)
                            self._take(name, found, f"link {rate} Mbit/s, ")
        except links.NotPermitted as error:
            self.remarks.append(f"no links were measured: {error}")

    def run_ranking(self) -> None:
        try:
            from bench import rank
        except ImportError:
            self.remarks.append("ranking was not compared: fte is not installed")
            return
        for name, forms in self._progress(rank.definition_times(), "rank"):
            for form, times in forms.items():
                for action, microseconds in zip(("unrank", "rank"), times, strict=True):
                    self.figures.add(f"{action}, all", form, 1e6 / microseconds)
                    if name == "20260110  manual-http-request":
                        self.figures.add(f"{action}, manual-http", form, 1e6 / microseconds)

    def _take(self, pair: str, figures: measures.Figures, prefix: str = "") -> None:
        with self._left_out_if_it_fails(pair):
            for name, value in figures:
                self.figures.add(prefix + name, pair, value)

    @contextlib.contextmanager
    def _left_out_if_it_fails(self, pair: str) -> Iterator[None]:
        try:
            yield
        except FAULTS as error:
            self.remarks.append(f"{pair}: {one_line(error)}")

    def _progress(self, steps: Iterable[T], what: str) -> Iterator[T]:
        return iter(tqdm(steps, what, leave=False, disable=self._quiet or None))


def stream_cover(bench: Bench, pair: Pair, direction: str) -> measures.Figures:
    """MB/s that one core of a half can carry where every byte on the wire is formatted."""
    for name, value in measures.bulk(bench, pair, direction, 1):
        if name.startswith("CPU"):
            half = name.rpartition(", ")[2]
            yield f"stream cover {direction}, {half}", 1e3 / value


def available(remarks: list[str]) -> dict[str, Start]:
    """The pairs that can be started here."""
    pairs = {cover: obfsfte(cover) for cover in Catalogue().names if cover in OUR_COVERS}
    for name, start in PEERS.items():
        if name in ("obfs4proxy", "haproxy") and shutil.which(name) is None:
            remarks.append(f"{name} is not installed")
            continue
        if name == "fteproxy":
            try:
                fteproxy_command()
            except (OSError, pytest.skip.Exception, pytest.fail.Exception) as error:
                remarks.append(one_line(error))
                continue
        pairs[name] = start
    return pairs


def one_line(error: BaseException) -> str:
    """What an error says, the first and the last line of it."""
    lines = [line.strip() for line in str(error).splitlines() if line.strip()]
    return " ... ".join(dict.fromkeys((lines[0], lines[-1]))) if lines else type(error).__name__


def chosen(names: str, pairs: dict[str, Start], remarks: list[str]) -> dict[str, Start]:
    """The pairs of these names. Raises SystemExit for a name that there is not."""
    wanted = names.split(",")
    for name in wanted:
        if name not in (*OUR_COVERS, *PEERS):
            raise SystemExit(f"--only: there is no {name}; {', '.join((*OUR_COVERS, *PEERS))}")
    if not any(name in pairs for name in wanted):
        raise SystemExit("\n".join(["--only: none of them is here", *remarks]))
    return {name: pairs[name] for name in wanted if name in pairs}


def machine() -> dict[str, str]:
    """What the figures were taken on."""
    model = re.search(r"^model name\s*: (.*)$", Path("/proc/cpuinfo").read_text(), re.MULTILINE)
    ours = {name: version(name) for name in ("obfsfte", "Twisted", "cryptography")}
    return {
        "processor": model[1] if model else platform.machine(),
        "cores": str(len(os.sched_getaffinity(0))),
        "kernel": platform.release().partition("-")[0],
        "Python": platform.python_version(),
        **ours,
        "fteproxy": FTEPROXY_VERSION,
        "obfs4proxy": _first_line("obfs4proxy", "-version"),
        "haproxy": _first_line("haproxy", "-v"),
    }


def _first_line(*command: str) -> str:
    with contextlib.suppress(FileNotFoundError):
        said = subprocess.run(command, capture_output=True, text=True, check=False).stdout
        found = re.search(r"\d+\.[\w.]*", said)
        return found[0] if found else "?"
    return "none"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    size = parser.add_mutually_exclusive_group()
    size.add_argument("--quick", action="store_true", help="one round: about two minutes")
    size.add_argument("--smoke", action="store_true", help="only see whether it runs")
    parser.add_argument("--output", type=Path, help="a directory for table, figures and plots")
    parser.add_argument("--only", default="", help="pairs, separated by commas")
    options = parser.parse_args()
    plan = QUICK if options.quick else SMOKE if options.smoke else FULL

    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    remarks: list[str] = []
    pairs = available(remarks)
    if options.only:
        pairs = chosen(options.only, pairs, remarks)
    with Target() as target, Application() as application:
        comparison = Comparison(plan, pairs, remarks, quiet=not sys.stderr.isatty())
        comparison.run(Bench(target, application, plan.seconds))
    comparison.run_links()
    if plan is not SMOKE:
        comparison.run_ranking()
    is_whole = plan is FULL and not options.only and not comparison.remarks
    directory = options.output or ROOT.joinpath(*("docs", "figures") if is_whole else NOT_WHOLE)
    report(comparison, plan, directory)
    print(f"\nwritten to {directory}", file=sys.stderr)


def report(comparison: Comparison, plan: Plan, directory: Path) -> None:
    """Print the table, and write all there is."""
    figures = comparison.figures
    wanted = goals(plan.streams, plan.links)
    about = machine()
    lines = [", ".join(f"{name} {text}" for name, text in about.items()), ""]
    lines += table(figures, wanted, UNITS)
    if comparison.remarks:
        lines += ["", *(f"- {remark}" for remark in dict.fromkeys(comparison.remarks))]
    print("\n".join(lines))
    directory.mkdir(parents=True, exist_ok=True)
    plots.draw(figures, directory, plan.streams, plan.links)
    (directory / "bench.md").write_text("\n".join(lines) + "\n")
    everything = {"machine": about, "remarks": comparison.remarks, "figures": figures.values}
    (directory / "bench.json").write_text(json.dumps(everything, indent=1) + "\n")


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        sys.exit("interrupted; nothing was written")
