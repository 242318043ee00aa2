"""From what a server half costs to how many users it can serve."""

from __future__ import annotations

import attrs
import pytest

from obfsfte.capacity import PIECE, Costs, Limits, Users, report, users

COSTS = Costs(connection=0.001, piece=20e-6, byte_down=1e-9, byte_up=2e-9, memory=10_000)
LIMITS = Limits(open_files=20_100, memory=1_000_000_000)


def test_the_processor_is_the_limit_of_busy_users() -> None:
    """5 Mbit/s are 152.6 pieces a second: 3 ms of each, and three quarters of it are planned."""
    assert users(COSTS, LIMITS, 5) == Users(245, "the processor")
    assert 245 * 5e6 / 8 / PIECE * COSTS.piece == pytest.approx(0.75, rel=0.01)


def test_open_files_are_the_limit_of_quiet_users() -> None:
    assert users(COSTS, LIMITS, 0.1) == Users(6_666, "open files")
    assert users(COSTS, Limits(64, 10**9), 0.1) == Users(0, "open files")


def test_memory_is_the_limit_of_a_small_machine() -> None:
    assert users(COSTS, Limits(20_100, 10_000_000), 0.1) == Users(750, "memory")


def test_the_report_says_it_in_words() -> None:
    text = "\n".join(report(COSTS, LIMITS, cores=2))
    for said in (
        "1,000 MB/s down, or 500 MB/s up",
        "205 MB/s, in pieces of 4096 bytes",
        "1,000 connections a second",
        "10 KB of memory",
        "0.1 Mbit/s (mail, chat)        6,666      667 Mbit/s   open files",
        "5 Mbit/s (video)                 245    1,225 Mbit/s   the processor",
        "2 cores",
        "LimitNOFILE=",
    ):
        assert said in text, text


def test_a_slow_machine_with_one_core_gets_a_report_as_well() -> None:
    slow = attrs.evolve(COSTS, connection=2.0, piece=0.1, memory=1.0)
    text = "\n".join(report(slow, Limits(256, 0), cores=1))
    assert "5 Mbit/s (video)                   0" in text
    assert "< 1 KB" in text
    assert "cores" not in text
