"""Each way to start a half lets it have as many connections as it may."""

from __future__ import annotations

import re
import resource
import socket
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

import pytest
from twisted.logger import Logger, LogPublisher, capturedLogs, formatEvent

from obfsfte.limits import Exhaustion, allow_many_connections
from tests.e2e.halves import COMMAND, LISTEN, LOOPBACK, Process
from tests.e2e.tools import TWISTD_COMMAND

TWISTD = (TWISTD_COMMAND, "-n", "--pidfile=", "fte-bridge")
LIMITED = ("sh", "-c", 'ulimit -S -n 200 && exec "$0" "$@"')


def open_files(pid: int) -> tuple[str, str]:
    """The soft and the hard limit of a process."""
    found = re.search(
        r"^Max open files +(\S+) +(\S+)", Path(f"/proc/{pid}/limits").read_text(), re.M
    )
    assert found is not None
    return found[1], found[2]


@pytest.mark.e2e
@pytest.mark.parametrize(
    "command",
    [
        (COMMAND, "server", "--classic"),
        (*TWISTD, "--classic"),
        (COMMAND, "client", "--classic", "--connect", "tcp:127.0.0.1:9"),
    ],
)
def test_a_half_raises_its_limit(command: Sequence[object]) -> None:
    with Process(*LIMITED, *command, "--listen", LISTEN) as half:
        half.wait_for_output("listening on")
        soft, hard = open_files(half.pid)
    assert soft == hard


@pytest.mark.e2e
def test_a_managed_proxy_raises_its_limit(tmp_path: Path) -> None:
    environment = {
        "TOR_PT_MANAGED_TRANSPORT_VER": "1",
        "TOR_PT_CLIENT_TRANSPORTS": "fte",
        "TOR_PT_STATE_LOCATION": str(tmp_path),
    }
    with Process(*LIMITED, COMMAND, "pt", env=environment) as proxy:
        proxy.wait_for_output("CMETHODS DONE")
        soft, hard = open_files(proxy.pid)
    assert soft == hard


def test_a_limit_that_cannot_be_raised_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(_which: int, _limits: tuple[int, int]) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "setrlimit", refuse)
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    allow_many_connections()
    assert resource.getrlimit(resource.RLIMIT_NOFILE) == before


def test_that_it_is_too_few_is_said_seldom() -> None:
    exhaustion = Exhaustion()
    event = {"log_namespace": "twisted.internet.tcp.Port", "log_format": "EMFILE encountered; ..."}
    with capturedLogs() as events:
        for time in (1000.0, 1001.0, 1059.0, 1061.0):
            exhaustion({**event, "log_time": time})
    assert len(events) == 2
    assert str(resource.getrlimit(resource.RLIMIT_NOFILE)[0]) in formatEvent(events[0])


def test_nothing_else_says_that_it_is_too_few() -> None:
    tcp = Logger("twisted.internet.tcp.Port", observer=LogPublisher(Exhaustion()))
    with capturedLogs() as events:
        tcp.info("EMFILE recovery: Closed socket from {address}", address="192.0.2.1")
        Logger("obfsfte.x", observer=LogPublisher(Exhaustion())).info("EMFILE encountered")
    assert events == []


@pytest.mark.e2e
def test_a_half_that_may_have_no_more_connections_says_so() -> None:
    limited = ("sh", "-c", 'ulimit -n 60 && exec "$0" "$@"')
    with (
        Process(*limited, COMMAND, "server", "--classic", "--listen", LISTEN) as half,
        ExitStack() as visitors,
    ):
        port = int(half.wait_for_output(r"listening on \S+:(\d+)")[1])
        for _ in range(70):
            visitors.enter_context(socket.create_connection((LOOPBACK, port)))
        half.wait_for_output("connections are turned away: all 60 files .* in use")
        assert half.stderr.count("turned away") == 1
        assert "Closed socket" not in half.stderr
