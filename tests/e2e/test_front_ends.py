"""A web server in front that is reloaded, or dies, while sessions go on behind it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from signal import SIGHUP, SIGKILL

import attrs
import pytest

from tests.e2e.certificates import Issued
from tests.e2e.front import Site
from tests.e2e.halves import LISTEN, Half, Target, Tunnel, exchange, half, is_reset, receive
from tests.e2e.process import Process
from tests.e2e.sessions import server
from tests.e2e.waiting import LOOPBACK, wait_for

pytestmark = pytest.mark.e2e

COVERS = ["websocket", "http"]


@attrs.frozen
class Halves:
    """The processes of a tunnel."""

    client: Half
    bridge: Half
    front: Process


@contextmanager
def tunnel(
    directory: Path, cover: str, name: str, **options: bool
) -> Iterator[tuple[Tunnel, Halves]]:
    """A tunnel through that web server, set up as the page has it."""
    (directory / "certificate").mkdir()
    chain = Issued(directory / "certificate", "localhost").chain
    site = Site(directory / "site", chain)
    state = directory / "state"
    url = ("--url", f"wss://localhost:{site.port}/live", "--path", "/live", "--pin", chain)
    fallback = ("--fallback", f"tcp:{LOOPBACK}:{site.inner_port}")
    with (
        Target() as target,
        server(target, state, "--cover", cover, *url, *fallback) as bridge,
        getattr(site, name)(bridge.port, **options) as front,
    ):
        wait_for((state / "bridgeline.txt").exists, "bridge line")
        line = (state / "bridgeline.txt").read_text()
        with half("client", "--listen", LISTEN, "--bridge", line) as client:
            yield Tunnel(client.port, target), Halves(client, bridge, front)


def workers(front: Process) -> set[int]:
    """The processes of an nginx, its master apart."""
    children = Path(f"/proc/{front.pid}/task/{front.pid}/children").read_text()
    return {int(pid) for pid in re.findall(r"\d+", children)}


@pytest.mark.parametrize("cover", COVERS)
def test_a_reload_of_nginx_cuts_nobody_off(tmp_path: Path, cover: str) -> None:
    """While it is silent, while it carries, and behind a worker that is to go."""
    with (
        tunnel(tmp_path, cover, "nginx", reloadable=True) as (way, halves),
        way.open() as (one, other),
    ):
        for _ in range(3):
            before = workers(halves.front)
            exchange(one, other, 1_000_000)
            one.sendall(bytes(3_000_000))
            halves.front.signal(SIGHUP)
            wait_for(lambda before=before: workers(halves.front) - before, "new workers")  # type: ignore[misc]
            assert len(receive(other, 3_000_000)) == 3_000_000
            other.sendall(bytes(3_000_000))
            assert len(receive(one, 3_000_000)) == 3_000_000
        with way.open() as (second, second_other):
            exchange(second, second_other, 100_000)


@pytest.mark.parametrize("cover", COVERS)
@pytest.mark.parametrize("name", ["nginx", "haproxy"])
@pytest.mark.parametrize("busy", [False, True])
def test_the_application_is_told_when_the_web_server_dies(
    tmp_path: Path, cover: str, name: str, busy: bool
) -> None:
    """At once where bytes were on their way, else when the next request finds nobody."""
    with tunnel(tmp_path, cover, name) as (way, halves), way.open() as (one, other):
        exchange(one, other, 100_000)
        if busy:
            other.setblocking(False)
            while True:
                try:
                    other.send(bytes(1 << 16))
                except BlockingIOError:
                    break
        halves.front.signal(SIGKILL)
        assert is_reset(one)


@pytest.mark.parametrize("cover", COVERS)
@pytest.mark.parametrize("name", ["nginx", "haproxy", "apache", "caddy"])
def test_the_log_says_when_there_is_no_bridge_behind_the_web_server(
    tmp_path: Path, cover: str, name: str
) -> None:
    with tunnel(tmp_path, cover, name) as (way, halves):
        halves.bridge.signal(SIGKILL)
        halves.bridge.wait()
        with way.connect() as one:
            assert is_reset(one)
        halves.client.wait_for_output("web server in front does not reach the bridge")
