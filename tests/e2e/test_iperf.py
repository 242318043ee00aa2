"""The benchmark of fteproxy's own documentation, through our halves with no option but --mode."""

from __future__ import annotations

import subprocess

import pytest

from tests.e2e.halves import PATIENCE, Process, half
from tests.e2e.tools import tool, unavailable
from tests.e2e.waiting import LOOPBACK, can_listen, listens, wait_for

pytestmark = pytest.mark.e2e

CLIENT_PORT, SERVER_PORT, TARGET_PORT = 8079, 8080, 8081

STREAMS = 10


@pytest.fixture
def iperf() -> str:
    command = tool("iperf")
    taken = [port for port in (CLIENT_PORT, SERVER_PORT, TARGET_PORT) if not can_listen(port)]
    if taken:
        unavailable(f"ports {taken} are in use")
    return command


def test_iperf_through_halves_with_no_option_but_the_mode(iperf: str) -> None:
    with (
        Process(iperf, "-s", "-p", TARGET_PORT, "-y", "C") as target,
        half("fteproxy", "--mode", "server") as server,
        half("fteproxy", "--mode", "client") as client,
    ):
        wait_for(lambda: listens(TARGET_PORT), "iperf server that listens")
        assert (server.port, client.port) == (SERVER_PORT, CLIENT_PORT)
        benchmark = [iperf, "-c", LOOPBACK, "-p", CLIENT_PORT, "-P", STREAMS, "-t", 2]
        subprocess.run(
            [str(word) for word in benchmark], check=True, capture_output=True, timeout=PATIENCE
        )
        reports = wait_for(lambda: finished_streams(target.stdout), "report of every stream")
        assert all(reports)


def finished_streams(report: str) -> list[int]:
    """The bytes of each stream in the target's report, once there are all."""
    streams = {}
    for line in report.splitlines():
        fields = line.split(",")
        if len(fields) >= 9 and fields[5] != "-1":
            streams[fields[5]] = int(fields[7])
    return list(streams.values()) if len(streams) == STREAMS else []
