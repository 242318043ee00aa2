"""Each way to start a half lets it have as many connections as it may."""

from __future__ import annotations

import re
import resource
from collections.abc import Sequence
from pathlib import Path

import pytest

from obfsfte.limits import allow_many_connections
from tests.e2e.halves import COMMAND, LISTEN, Process
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
