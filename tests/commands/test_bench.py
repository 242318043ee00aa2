"""`obfsfte bench capacity` on this machine. What it finds is not looked at."""

from __future__ import annotations

import re
import signal
from pathlib import Path

import pytest

from tests.commands.shell import COMMAND, obfsfte
from tests.e2e.halves import Process
from tests.e2e.waiting import wait_for

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("cover", ["websocket", "base64"])
def test_capacity(cover: str) -> None:
    finished = obfsfte("bench", "capacity", "--quick", "--cover", cover)
    assert (finished.status, finished.stderr) == (0, "")
    said = finished.stdout.decode()
    assert said.startswith(f"Cover {cover}, on one of ")
    rows = re.findall(r"^  \S+ Mbit/s \(.*\) +([0-9,]+) +[0-9,]+ Mbit/s   \S", said, re.M)
    assert len(rows) == 3


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGHUP])
def test_an_interrupted_measure_leaves_nothing(number: signal.Signals, tmp_path: Path) -> None:
    def halves(parent: int) -> list[str]:
        children = f"/proc/{parent}/task/{parent}/children"
        with open(children) as file:
            return file.read().split()

    def alive(pid: str) -> bool:
        try:
            with open(f"/proc/{pid}/stat") as file:
                return file.read().rpartition(") ")[2][0] != "Z"
        except FileNotFoundError:
            return False

    environment = {"TMPDIR": str(tmp_path)}
    with Process(COMMAND, "bench", "capacity", env=environment) as bench:
        started = wait_for(lambda: found if len(found := halves(bench.pid)) == 2 else [], "halves")
        bench.signal(number)
        assert bench.wait() == 128 + number
        wait_for(lambda: not any(map(alive, started)), "end of the halves")
        assert bench.stderr == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("open_files", "status", "said"),
    [(64, 1, "64 open files are allowed, and the measure needs 200: ulimit -Hn"), (210, 0, "")],
)
def test_few_open_files(open_files: int, status: int, said: str) -> None:
    limited = f'ulimit -n {open_files} && exec "$0" "$@"'
    with Process("sh", "-c", limited, COMMAND, "bench", "capacity", "--quick") as bench:
        assert bench.wait() == status
        assert said in bench.stderr


@pytest.mark.parametrize(
    ("arguments", "complaint"),
    [
        ([], "bench: needs what to measure: capacity"),
        (["capacity", "--cover", "none"], "bench: no cover is named 'none'"),
    ],
)
def test_what_cannot_be_measured(arguments: list[str], complaint: str) -> None:
    assert obfsfte("bench", *arguments).complaint.startswith(complaint)
