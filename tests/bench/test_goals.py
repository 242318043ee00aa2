"""The arithmetic of the benchmark's table, and what becomes of what cannot be measured."""

from __future__ import annotations

from contextlib import ExitStack

import pytest

from bench.compare import SMOKE, Comparison, chosen, one_line
from bench.goals import Figures, Goal, goals, table
from bench.links import reported
from bench.load import Application, Target
from bench.measures import Bench, percentile
from bench.peers import Pair, obfs4proxy


@pytest.fixture
def figures() -> Figures:
    figures = Figures()
    for ours, theirs in ((100, 50), (300, 100), (90, 90)):
        figures.add("down, 1", "websocket", ours)
        figures.add("down, 1", "obfs4proxy", theirs)
    return figures


def test_the_ratio_is_the_median_of_the_rounds_ratios(figures: Figures) -> None:
    assert figures.ratio("down, 1", "websocket", "obfs4proxy") == 2


def test_no_ratio_where_one_was_not_measured(figures: Figures) -> None:
    assert figures.ratio("down, 1", "websocket", "haproxy") is None
    assert figures.ratio("up, 1", "websocket", "obfs4proxy") is None
    assert figures.median("down, 1", "haproxy") is None


def test_a_peer_that_measured_nothing_divides_nothing() -> None:
    figures = Figures({"idle": {"websocket": [1.0], "haproxy": [0.0]}})
    assert figures.ratio("idle", "websocket", "haproxy") is None


@pytest.mark.parametrize(("bound", "at_least", "met"), [(2, True, True), (2.1, True, False)])
def test_a_goal_on_a_ratio(figures: Figures, bound: float, at_least: bool, met: bool) -> None:
    goal = Goal("down, 1", bound, at_least, "obfs4proxy")
    value = goal.value(figures)
    assert value == 2
    assert goal.is_met(value) is met


def test_a_goal_on_a_figure(figures: Figures) -> None:
    assert Goal("down, 1", 100, False).value(figures) == 100
    assert Goal("down, 1", 100, False).is_met(100)
    assert not Goal("down, 1", 100, False).is_met(101)


def test_the_table_has_every_figure_and_says_what_was_missed(figures: Figures) -> None:
    head, _, row = table(figures, goals((1,), ()), {"down": "MB/s"})
    assert [cell.strip() for cell in head.split("|")[1:5]] == [
        *("measure", "unit", "websocket", "obfs4proxy")
    ]
    cells = [cell.strip() for cell in row.split("|")[1:6]]
    assert cells == ["down, 1", "MB/s", "100", "90", ">= 2.5 x obfs4proxy: 2 **missed**"]


def test_each_goal_is_said_once() -> None:
    found = goals((1, 10, 100), (160, 380, 1000))
    assert len({(goal.measure, goal.peer, goal.pair) for goal in found}) == len(found)


def test_percentiles_are_the_nearest_rank() -> None:
    assert percentile([1.0], 99) == 1
    assert percentile(list(range(1, 101)), 99) == 99
    assert percentile(list(range(1, 101)), 50) == 50
    assert percentile(list(range(1, 201)), 99) == 198


def test_iperf_is_read_by_stream_without_its_start_end_and_sums() -> None:
    line = "20260101000000,192.0.2.1,5,192.0.2.2,5001,{},{},{},0"
    report = [
        line.format(*fields)
        for fields in (
            (1, "0.0-1.0", 7),
            (1, "1.0-2.0", 10),
            (2, "1.0-2.0", 20),
            (-1, "1.0-2.0", 30),
            (1, "2.0-3.0", 11),
            (2, "2.0-3.0", 21),
            (1, "3.0-4.0", 9),
            (2, "0.0-3.2", 48),
        )
    ]
    assert reported(["no report", *report], 1, 3) == [21, 41]


def test_a_name_that_is_no_pair_is_one_line_and_a_missing_peer_is_left_out() -> None:
    pairs = {"websocket": obfs4proxy}
    assert list(chosen("websocket,fteproxy", pairs, [])) == ["websocket"]
    with pytest.raises(SystemExit, match="no telnet; websocket, "):
        chosen("websocket,telnet", pairs, [])
    with pytest.raises(SystemExit, match="none of them is here\nhaproxy is not installed"):
        chosen("haproxy", pairs, ["haproxy is not installed"])


def test_a_fault_is_one_line() -> None:
    assert one_line(OSError("pip said:\n\n  much\n  no network\n")) == "pip said: ... no network"
    assert one_line(AssertionError("once")) == "once"
    assert one_line(EOFError()) == "EOFError"


def test_a_pair_that_fails_is_left_out_and_said() -> None:
    def broken(stack: ExitStack, target: int) -> Pair:
        raise AssertionError("after 30 s still nobody who listens")

    comparison = Comparison(SMOKE, {"obfs4proxy": broken}, [], quiet=True)
    with Target() as target, Application() as application:
        comparison.run(Bench(target, application, 0.1))
    assert comparison.remarks == ["obfs4proxy: after 30 s still nobody who listens"] * 2
    assert comparison.figures.values == {}
