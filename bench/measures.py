"""One measure each of a pair that runs: bulk, latency, connections, memory, fairness.

A figure is one number of one round, kept under the measure's name; whoever calls has all
pairs take their turns, so that what else the machine does hits all alike.
"""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from bench.load import ECHO, PING, SINK, SOURCE, Application, Target, ping
from bench.peers import Pair

_TICKS = os.sysconf("SC_CLK_TCK")
_MEGABYTE, _GIGABYTE = 1e6, 1e9
_MESSAGE = bytes(64)
_WARM_UP = 0.4  # seconds
_PATIENCE = 60.0  # seconds

Figures = Iterator[tuple[str, float]]


@dataclass(frozen=True)
class Bench:
    """What all measures need, and how long each may look, in seconds."""

    target: Target
    application: Application
    seconds: float


def bulk(bench: Bench, pair: Pair, direction: str, streams: int) -> Figures:
    """MB/s of all streams together, and CPU s/GB of each half.

    Sent is for some seconds; the time is until the last byte has arrived, so that nothing
    which is only on its way, in buffers as large as those of today, is counted or left out.
    """
    role, sender, receiver = {
        "down": (SOURCE, bench.target, bench.application),
        "up": (SINK, bench.application, bench.target),
    }[direction]
    with _streams(bench, pair, streams):
        for end in (sender, receiver):
            end.ask("stop")  # count from here
        cpu_before = cpu_seconds(pair.client), cpu_seconds(pair.server)
        start = bench.application.ask("begin", role)
        time.sleep(bench.seconds)
        sent = sender.ask("stop")
        deadline = time.perf_counter() + _PATIENCE
        while (received := receiver.ask("received"))[0] < sent:
            if time.perf_counter() > deadline:
                raise TimeoutError(f"{sent - received[0]} bytes of {sent} never came")
            time.sleep(0.01)
        cpu_after = cpu_seconds(pair.client), cpu_seconds(pair.server)
    yield f"{direction}, {streams}", sent / _MEGABYTE / (received[1] - start)
    for half, then, now in zip(("client", "server"), cpu_before, cpu_after, strict=True):
        yield f"CPU {direction}, {streams}, {half}", (now - then) / (sent / _GIGABYTE)


def round_trip(bench: Bench, pair: Pair) -> Figures:
    """Milliseconds for 64 bytes there and back, one after the other."""
    times = sorted(_pings(bench, pair))
    yield "round trip, median", statistics.median(times)
    yield "round trip, p99", percentile(times, 99)


def fairness(bench: Bench, pair: Pair, streams: int) -> Figures:
    """The same while others download as fast as they can."""
    with _streams(bench, pair, streams):
        bench.application.ask("begin", SOURCE)
        time.sleep(_WARM_UP)
        yield "ping beside bulk, p99", percentile(sorted(_pings(bench, pair)), 99)


def connections(bench: Bench, pair: Pair) -> Figures:
    """Fresh connections: milliseconds to the first byte back, and how many a second."""
    times = []
    end = time.perf_counter() + bench.seconds
    while time.perf_counter() < end:
        start = time.perf_counter()
        with pair.entrance.connect(PING) as connection:
            ping(connection, b"0")
            times.append(1e3 * (time.perf_counter() - start))
    yield "first byte, median", statistics.median(times)
    rate = bench.application.ask("connections_a_second", pair.entrance, bench.seconds)
    yield "connections a second", rate
    bench.target.settle()


def idle(bench: Bench, pair: Pair, count: int, seconds: float) -> Figures:
    """Connections that do nothing: held, KB of memory each, and what they cost the CPU."""
    bench.application.ask("hold", pair.entrance, 50)  # loads and compiles what all share
    bench.application.ask("close")
    bench.target.settle()
    before = _memory(pair.client), _memory(pair.server)
    held = bench.application.ask("hold", pair.entrance, count)
    time.sleep(min(1, seconds))
    memory = _memory(pair.client), _memory(pair.server)
    cpu_before = cpu_seconds(pair.client), cpu_seconds(pair.server)
    time.sleep(seconds)
    cpu_after = cpu_seconds(pair.client), cpu_seconds(pair.server)
    answering = bench.application.ask("answering", held)
    yield "idle, number", held
    yield "idle, held", answering / count
    for number, half in enumerate(("client", "server")):
        yield f"idle, KB, {half}", (memory[number] - before[number]) / 1e3 / max(held, 1)
        yield f"idle, CPU %, {half}", 100 * (cpu_after[number] - cpu_before[number]) / seconds
    bench.application.ask("close")
    bench.target.settle()


@contextlib.contextmanager
def _streams(bench: Bench, pair: Pair, count: int) -> Iterator[None]:
    opened = bench.application.ask("open", pair.entrance, count)
    if opened != count:
        raise ConnectionError(f"of {count} connections only {opened} could be opened")
    try:
        yield
    finally:
        bench.application.ask("close")
        bench.target.settle()


def _pings(bench: Bench, pair: Pair) -> Iterator[float]:
    with pair.entrance.connect(ECHO) as connection:
        for _ in range(20):
            ping(connection, _MESSAGE)
        end = time.perf_counter() + bench.seconds
        while time.perf_counter() < end:
            yield 1e3 * ping(connection, _MESSAGE)


def percentile(ordered: Sequence[float], percent: int) -> float:
    """The value that `percent` of the ordered values do not exceed (nearest rank)."""
    return ordered[max(0, -(-len(ordered) * percent // 100) - 1)]


def cpu_seconds(process: int) -> float:
    """User and system time of all threads (proc(5), /proc/PID/stat)."""
    fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _memory(process: int) -> int:
    """Bytes of resident memory."""
    status = Path(f"/proc/{process}/status").read_text()
    found = re.search(r"^VmRSS:\s+(\d+) kB$", status, re.MULTILINE)
    assert found is not None
    return int(found[1]) * 1024
