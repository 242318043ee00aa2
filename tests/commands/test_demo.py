"""`obfsfte demo`: what a newcomer sees first."""

from __future__ import annotations

import os
import re
import signal
import subprocess

import pytest

from tests.commands.shell import COMMAND, obfsfte
from tests.e2e.halves import Process
from tests.e2e.waiting import listens

pytestmark = pytest.mark.e2e


def test_the_demo_moves_data_and_shows_it() -> None:
    finished = obfsfte("demo", "--megabytes", "2")
    said = finished.stdout.decode()
    assert finished.status == 0
    assert finished.stderr == ""
    assert "GET /" in said
    assert "HTTP/1.1 200 OK" in said
    assert re.search(r" HTTP/1\.1\\r\\n\n {19}Host: [a-z0-9.-]+\\r\\n\n", said)
    # No escape in two lines.
    assert not re.search(r"(?<!\\)(\\\\)*\\(x.?)?$", said, re.MULTILINE)
    assert max(map(len, said.splitlines())) <= 107
    assert re.search(r"Moved 2 MiB there and back in [0-9.]+ s: [0-9.]+ MB/s", said)
    assert "SHA-256 of what came back: equal." in said
    assert "NOT equal" not in said
    halves = [int(port) for port in re.findall(r"half: 127.0.0.1:(\d+)", said)]
    assert len(halves) == 4
    assert not any(map(listens, halves))


@pytest.mark.parametrize(
    ("reader", "complaint"),
    [("/dev/full", b"obfsfte: No space left on device\n"), ("a pipe that nobody reads", b"")],
)
def test_a_demo_that_cannot_be_shown_ends(reader: str, complaint: bytes) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open("/dev/full", "wb") as full, open(writing, "wb") as unread:
        output = full if reader == "/dev/full" else unread
        done = subprocess.run([COMMAND, "demo"], stdout=output, stderr=subprocess.PIPE, timeout=60)
    assert (done.returncode, done.stderr) == (1, complaint)


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_demo_that_is_interrupted_leaves_nothing_behind(number: signal.Signals) -> None:
    with Process(COMMAND, "demo", "--megabytes", "1000") as demo:
        said = demo.wait_for_output(r"server half: 127.0.0.1:(\d+)(.|\n)*client half: .*:(\d+)")
        demo.signal(number)
        demo.wait()
        assert demo.stderr == ""
        assert not listens(int(said[1]))
        assert not listens(int(said[3]))
