"""What a recorded connection is good for: nothing. And what wrong clocks do, on either side.

A replay is a stranger, so the proof is the same as in `test_probing`: it meets nginx, byte
for byte. That a hello is still good is seen from a bridge that forgot it.
"""

from __future__ import annotations

import select
import socket
import sys
import threading
import time
from calendar import timegm
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from signal import SIGKILL, SIGTERM

import pytest

from tests.e2e.halves import LISTEN, Target, Tunnel, assert_ends, connect, half, receive
from tests.e2e.nginx import nginx
from tests.e2e.probes import Finish, Pause, Probe, Send
from tests.e2e.test_probing import Bridge, bridge, differences, hello
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e

COVER = "base64"

MINUTE = 60

#: The client half on a machine whose clock is wrong by as many seconds as the first argument says.
WITH_A_WRONG_CLOCK = """
import sys, time
right, seconds = time.time, float(sys.argv.pop(1))
time.time = lambda: right() + seconds
from obfsfte import cli
sys.exit(cli.main())
"""


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    with nginx() as port:
        yield port


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "state"


@contextmanager
def running(target: Target, state: Path, site: int) -> Iterator[Bridge]:
    with bridge(target, state, [COVER], "--fallback", f"tcp:{LOOPBACK}:{site}") as one:
        yield one


class Tap:
    """A censor's box on the way: passes one connection on, and records what goes up."""

    def __init__(self, bridge_port: int) -> None:
        self.chunks: list[bytes] = []
        self._listener = socket.create_server((LOOPBACK, 0))
        self._bridge_port = bridge_port
        self.port: int = self._listener.getsockname()[1]
        self._thread = threading.Thread(target=self._pass_on, daemon=True)
        self._thread.start()

    def _pass_on(self) -> None:
        client = self._listener.accept()[0]
        with client, connect(self._bridge_port) as server:
            other = {client: server, server: client}
            while True:
                for side in select.select(list(other), [], [])[0]:
                    try:
                        data = side.recv(1 << 16)
                    except ConnectionResetError:
                        data = b""
                    if not data:
                        return
                    if side is client:
                        self.chunks.append(data)
                    other[side].sendall(data)

    def close(self) -> None:
        self._thread.join()
        self._listener.close()


def recorded(one: Bridge, target: Target) -> list[bytes]:
    """A real client's connection, as a censor sees it go up."""
    tap = Tap(one.port)
    line = one.line(COVER).replace(f":{one.port} ", f":{tap.port} ")
    with (
        half("client", "--listen", LISTEN, "--bridge", line) as client,
        Tunnel(client.port, target).open() as (application, service),
    ):
        application.sendall(b"a secret" * 1000)
        receive(service, 8000)
    tap.close()
    return tap.chunks


def replays(chunks: list[bytes]) -> dict[str, Probe]:
    first, whole = chunks[0], b"".join(chunks)
    return {
        "the hello": [Send(first)],
        "the hello and FIN": [Send(first), Finish()],
        "the hello in two pieces": [Send(first[:50]), Pause(), Send(first[50:])],
        "all at once": [Send(whole)],
        "all, as it came": [step for chunk in chunks for step in (Send(chunk), Pause())],
        "all and FIN": [Send(whole), Finish()],
        "half": [Send(whole[: len(whole) // 2])],
    }


def lets_in(one: Bridge, target: Target, data: bytes) -> bool:
    """Whether the bridge takes this for the hello of a client, and not for a visitor's."""
    with connect(one.port) as visitor:
        visitor.sendall(data)
        if receive(visitor, 5) == b"HTTP/":
            return False
        target.accept().close()
        return True


def test_replays_to_the_running_server_and_after_restarts(
    target: Target, state: Path, site: int
) -> None:
    with running(target, state, site) as one:
        chunks = recorded(one, target)
        assert differences(one, site, replays(chunks)) == {}
        one.process.signal(SIGKILL)
        one.process.wait()
    with running(target, state, site) as one:
        assert differences(one, site, replays(chunks)) == {}
        more = recorded(one, target)
        one.process.signal(SIGTERM)
        assert one.process.wait() == 0
    with running(target, state, site) as one:
        assert differences(one, site, replays(chunks)) == {}
        assert differences(one, site, replays(more)) == {}
        assert target.is_untouched()
        one.process.signal(SIGKILL)
        one.process.wait()
    # The same bytes are as good as ever to a server that has forgotten them.
    (state / "replay.journal").unlink()
    with running(target, state, site) as one:
        assert lets_in(one, target, chunks[0])
        assert not lets_in(one, target, chunks[0])


def test_every_hello_of_a_busy_server_is_remembered_when_it_is_killed(
    target: Target, state: Path, site: int
) -> None:
    random = Random(1)
    with running(target, state, site) as one:
        hellos = [hello(one.keys, COVER, random) for _ in range(200)]
        for data in hellos:
            assert lets_in(one, target, data)
        one.process.signal(SIGKILL)
        one.process.wait()
        size = (state / "replay.journal").stat().st_size
    with running(target, state, site) as one:
        probes: dict[str, Probe] = {str(n): [Send(data)] for n, data in enumerate(hellos)}
        assert differences(one, site, probes) == {}
        assert target.is_untouched()
    assert (state / "replay.journal").stat().st_size == size, "replays cost the journal nothing"


def test_a_hello_outside_the_time_window(target: Target, state: Path, site: int) -> None:
    random = Random(2)
    with running(target, state, site) as one:
        now = time.time()
        for minutes in (-89, 0, 89):
            assert lets_in(one, target, hello(one.keys, COVER, random, now + minutes * MINUTE))
        probes: dict[str, Probe] = {
            f"{minutes} minutes": [Send(hello(one.keys, COVER, random, now + minutes * MINUTE))]
            for minutes in (-1_000_000, -1440, -92, 92, 1440, 1_000_000)
        }
        assert differences(one, site, probes) == {}
        assert target.is_untouched()


def test_a_client_whose_clock_is_hours_off_is_told_to_look_at_it(
    target: Target, state: Path, site: int
) -> None:
    program = (sys.executable, "-c", WITH_A_WRONG_CLOCK, str(120 * MINUTE))
    with (
        running(target, state, site) as one,
        half("client", "--listen", LISTEN, "--bridge", one.line(COVER), program=program) as client,
    ):
        with connect(client.port) as application:
            assert_ends(application)
        says = client.wait_for_output(r"this machine's clock, which says (.*) UTC")[1]
        shown = timegm(time.strptime(says, "%Y-%m-%d %H:%M"))
        assert abs(shown - time.time() - 120 * MINUTE) < 2 * MINUTE
        assert target.is_untouched()


def test_a_client_whose_clock_is_off_by_less_is_let_in_and_warned(
    target: Target, state: Path, site: int
) -> None:
    program = (sys.executable, "-c", WITH_A_WRONG_CLOCK, str(-30 * MINUTE))
    with (
        running(target, state, site) as one,
        half("client", "--listen", LISTEN, "--bridge", one.line(COVER), program=program) as client,
    ):
        with Tunnel(client.port, target).open():
            pass
        client.wait_for_output(r"the bridge's clock is (29|30) minutes ahead of this machine's")
