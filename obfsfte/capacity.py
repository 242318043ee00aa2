"""How many users a server can serve: from what was measured to what an operator asks.

A user is one connection, as tor's clients have. His bytes come in small pieces, since they
come over a real network: what a server spends on him is counted in pieces, and what it can
do in bulk is only shown beside it. docs/capacity.md explains the model.
"""

from __future__ import annotations

from collections.abc import Sequence

import attrs

#: Bytes of one piece: some three segments of TCP, or eight of tor's cells.
PIECE = 4096
#: The share of one core, and of the free memory, that is planned with.
SHARE = 0.75
#: Open files of one connection at most: wire, target, and the fallback while it opens.
FILES = 3
#: Mbit/s that a user takes on average while he is online, both ways together, and for what.
RATES = ((0.1, "mail, chat"), (1.0, "web pages"), (5.0, "video"))


@attrs.frozen
class Costs:
    """What a server half spends, in seconds of a core, and bytes."""

    connection: float  # to open one
    piece: float  # to carry one piece
    byte_down: float  # to carry a byte in bulk
    byte_up: float
    memory: float  # bytes of an idle connection


@attrs.frozen
class Limits:
    """What a server process can have."""

    open_files: int
    memory: int  # bytes that are free


@attrs.frozen
class Users:
    """How many, and what keeps them from being more."""

    count: int
    limit: str


def users(costs: Costs, limits: Limits, rate: float) -> Users:
    """How many users of `rate` Mbit/s one process, on one core, can serve."""
    pieces_a_second = rate * 1e6 / 8 / PIECE
    found = [
        Users(int(SHARE / (pieces_a_second * costs.piece)), "the processor"),
        Users(max(limits.open_files - 100, 0) // FILES, "open files"),
        Users(int(SHARE * limits.memory / max(costs.memory, 1)), "memory"),
    ]
    return min(found, key=lambda each: each.count)


def report(costs: Costs, limits: Limits, cores: int) -> list[str]:
    """All of it in words."""
    # Few connections may fit into what the process has already.
    kilobytes = "< 1" if costs.memory < 1e3 else f"{costs.memory / 1e3:,.0f}"
    lines = [
        "One server process, which uses one core of this machine,",
        f"  carries in bulk     {1e-6 / costs.byte_down:>7,.0f} MB/s down, "
        f"or {1e-6 / costs.byte_up:,.0f} MB/s up",
        f"  carries piecewise   {1e-6 * PIECE / costs.piece:>7,.0f} MB/s, in pieces of {PIECE} "
        "bytes as they come over a network",
        f"  opens               {1 / costs.connection:>7,.0f} connections a second",
        f"  needs               {kilobytes:>7} KB of memory for an idle connection",
        "",
        f"It can serve, with {1 - SHARE:.0%} of the core and of the memory in reserve:",
        f"  {'users who take, each':<28}{'users':>8}{'all together':>16}   the limit is",
    ]
    for rate, what in RATES:
        found = users(costs, limits, rate)
        who = f"{rate:g} Mbit/s ({what})"
        together = f"{found.count * rate:,.0f} Mbit/s"
        lines.append(f"  {who:<28}{found.count:>8,}{together:>16}   {found.limit}")
    lines += ["", *_advice(costs, limits, cores)]
    return lines


def _advice(costs: Costs, limits: Limits, cores: int) -> Sequence[str]:
    lines = [
        "The measure is of the server half; the client half and what stands for an application",
        "ran beside it. Your network, and what is behind the server, may well end before it.",
    ]
    if cores > 1:
        lines.append(
            f"This machine has {cores} cores: several processes can serve one address, "
            "see docs/capacity.md."
        )
    if users(costs, limits, RATES[0][0]).limit == "open files":
        lines.append(
            f"{limits.open_files} open files are allowed to it; LimitNOFILE= (systemd) or "
            "ulimit -Hn raise that."
        )
    return lines
