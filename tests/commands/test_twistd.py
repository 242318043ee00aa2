"""`twistd fte-bridge`: the server half as a plugin, in whatever way twistd is told to run it."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.commands.shell import run
from tests.e2e.halves import LISTEN, Half, Target, Tunnel, client_half, exchange, half
from tests.e2e.tools import TWISTD_COMMAND
from tests.e2e.waiting import LOOPBACK, wait_for

pytestmark = pytest.mark.e2e

FOREGROUND = (TWISTD_COMMAND, "--nodaemon", "--pidfile=", "fte-bridge")


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@contextmanager
def bridge(target: Target) -> Iterator[Half]:
    place = f"tcp:{LOOPBACK}:{target.port}"
    arguments = ["--classic", "--listen", LISTEN, "--target", place]
    with half(*arguments, program=FOREGROUND) as process:
        yield process


def test_twistd_lists_the_plugin() -> None:
    finished = run(TWISTD_COMMAND, "--help")
    assert finished.status == 0
    assert b"\n    fte-bridge " in finished.stdout


def test_the_plugin_explains_itself() -> None:
    finished = run(TWISTD_COMMAND, "fte-bridge", "--help")
    assert finished.status == 0
    assert finished.stdout.startswith(b"Usage: twistd [options] fte-bridge --managed | --state")


def test_the_plugin_carries_data_and_logs_no_address(target: Target) -> None:
    with bridge(target) as process, client_half(process.port) as client:
        with Tunnel(client.port, target).open() as (application, service):
            exchange(application, service, 1_000_000)
        lines = (process.stdout + process.stderr).splitlines()
        assert [line for line in lines if LOOPBACK in line and "listening on" not in line] == []


def test_the_plugin_stops_gracefully(target: Target) -> None:
    with bridge(target) as process, client_half(process.port) as client:
        with Tunnel(client.port, target).open() as (application, service):
            process.signal(signal.SIGTERM)
            process.wait_for_output("waiting for 1 connection")
            exchange(application, service, 100_000)
            assert process.status is None
        # Having stopped, twistd ends as the signal would have ended it.
        assert process.wait() == -signal.SIGTERM
        assert "Server Shut Down" in process.stdout


def test_the_plugin_in_the_background(target: Target, tmp_path: Path) -> None:
    pid_file, log_file = tmp_path / "pid", tmp_path / "log"
    place = f"tcp:{LOOPBACK}:{target.port}"
    daemon = [TWISTD_COMMAND, "--pidfile", pid_file, "--logfile", log_file, "--rundir", tmp_path]
    finished = run(*daemon, "fte-bridge", "--classic", "--listen", LISTEN, "--target", place)
    assert finished.status == 0
    pid = int(pid_file.read_text())
    try:
        wait_for(lambda: "server half listening on" in log_file.read_text(), "daemon that listens")
    finally:
        os.kill(pid, signal.SIGTERM)
    wait_for(lambda: not Path(f"/proc/{pid}").exists(), "end of the daemon")


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        (["--classic", "--listen", "nonsense"], "cannot listen on 'nonsense': Unknown endpoint"),
        (["--classic", "--listen", LISTEN, "--target", "tcp:x"], "cannot connect to 'tcp:x'"),
        (["--classic", "--key-file", "/nowhere"], "cannot read the key file /nowhere"),
        (["--classic", "--format", "nothing"], "unknown format 'nothing'"),
    ],
)
def test_options_that_cannot_be_used_are_one_line(options: list[str], reason: str) -> None:
    finished = run(*FOREGROUND, *options)
    assert finished.status == 1
    assert reason in finished.complaint


@pytest.mark.parametrize(
    ("options", "reason"),
    [
        ([], "needs --state DIRECTORY for its keys, or --classic"),
        (["--nonsense"], "option --nonsense not recognized"),
        (["--classic", "there"], "does not take 'there'"),
        (["--classic", "--idle-timeout", "x"], "'x' is no number of seconds above 0"),
    ],
)
def test_a_faulty_command_line_ends_with_one_line(options: list[str], reason: str) -> None:
    # twistd itself shows its usage before it, and that of 22.4 ends with 0.
    finished = run(*FOREGROUND, *options)
    assert finished.status in (0, 1)
    assert finished.stdout.decode().splitlines()[-1].endswith(f": {reason}")
    assert finished.stderr == ""


def test_a_port_in_use_is_one_line(target: Target) -> None:
    with bridge(target) as process:
        place = f"tcp:{process.port}:interface={LOOPBACK}"
        finished = run(*FOREGROUND, "--classic", "--listen", place)
    assert finished.status == 1
    said = finished.stdout.decode() + finished.stderr
    assert said.count(f"cannot listen on {place}: [Errno 98] Address already in use") == 1
    assert "Traceback" not in said
