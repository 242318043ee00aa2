"""Several server processes behind one address, as docs/capacity.md sets them up."""

from __future__ import annotations

import re
import shlex
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from socket import SHUT_WR, create_connection

import pytest

from tests.e2e.halves import (
    COMMAND,
    LISTEN,
    Half,
    Target,
    Tunnel,
    assert_ends,
    client_half,
    connect,
    half,
    receive,
    receive_to_end,
)
from tests.e2e.process import PATIENCE, Process
from tests.e2e.waiting import LOOPBACK, free_port, wait_for
from tests.e2e.web_servers import run_haproxy

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "capacity.md").read_text()
[CONFIGURATION] = re.findall(r"^```haproxy\n(.*?)^```$", PAGE, re.M | re.S)
[OPTIONS] = {tuple(shlex.split(options)) for options in re.findall(r":22 \\\n +(--proxy-.*)", PAGE)}


@contextmanager
def workers(
    target: Target, state: Path, *options: object, version: str = "send-proxy-v2"
) -> Iterator[tuple[int, list[Half]]]:
    """Two, with HAProxy in front of them, and its port: the page's own settings, but for ports."""
    front = free_port()
    place = f"tcp:{LOOPBACK}:{target.port}"
    arguments = ["--state", state, "--listen", LISTEN, "--target", place, *OPTIONS, *options]
    with ExitStack() as stack:
        halves = [stack.enter_context(half("server", *arguments)) for _ in range(2)]
        places = {
            "*:8080": f"{LOOPBACK}:{front}",
            "127.0.0.1:8091": f"{LOOPBACK}:{halves[0].port}",
            "127.0.0.1:8092": f"{LOOPBACK}:{halves[1].port}",
            "send-proxy-v2": version,
        }
        text = CONFIGURATION
        for documented, place in places.items():
            assert documented in text
            text = text.replace(documented, place)
        directory = state.with_name("haproxy")
        directory.mkdir()
        stack.enter_context(run_haproxy(directory, text, front))
        yield front, halves


def test_workers_share_an_address_and_a_state_directory(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with ExitStack() as stack:
        target = stack.enter_context(Target())
        front, halves = stack.enter_context(workers(target, state))
        command = [COMMAND, "bridge-line", "--state", state, "--address", f"{LOOPBACK}:{front}"]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        client = stack.enter_context(half("client", "--listen", LISTEN, "--bridge", line))
        before = [files(worker) for worker in halves]
        for _ in range(8):
            application = stack.enter_context(connect(client.port))
            application.sendall(b"hello")
            service = stack.enter_context(target.accept())
            assert receive(service, 5) == b"hello"
        assert all(files(worker) > then for worker, then in zip(halves, before, strict=True))


@pytest.mark.parametrize(
    "version", ["send-proxy", "send-proxy-v2", "send-proxy-v2 proxy-v2-options crc32c,unique-id"]
)
def test_each_end_closes_by_itself_behind_the_proxy_protocol(tmp_path: Path, version: str) -> None:
    """For a stranger, and on fteproxy's wire, where TCP's own end is that of the stream."""
    with (
        Target() as target,
        Target() as site,
        workers(
            target,
            tmp_path / "state",
            *("--classic", "--fallback", f"tcp:{LOOPBACK}:{site.port}"),
            version=version,
        ) as (front, _),
    ):
        with client_half(front) as client, Tunnel(client.port, target).open() as (one, other):
            one.shutdown(SHUT_WR)
            assert receive_to_end(other) == b""
            other.sendall(b"an answer after the end")
            other.close()
            assert receive_to_end(one) == b"an answer after the end"
        with connect(front) as stranger:
            stranger.sendall(b"a question")
            stranger.shutdown(SHUT_WR)
            while (visit := site.accept()) and receive_to_end(visit) != b"a question":
                visit.close()  # was a client's
            visit.sendall(b"an answer")
            visit.close()
            assert receive_to_end(stranger) == b"an answer"


def test_over_a_unix_socket(tmp_path: Path) -> None:
    """Its file's mode says who may send headers."""
    place, port = tmp_path / "socket", free_port()
    text = f"""
        listen wire
            mode tcp
            bind {LOOPBACK}:{port}
            server one unix@{place} send-proxy-v2
    """
    with Target() as target:
        options = ["--listen", f"unix:{place}", "--target", f"tcp:{LOOPBACK}:{target.port}"]
        options += ["--proxy-protocol", "--trusted-proxies", "unix:"]
        with Process(COMMAND, "server", "--classic", *options):
            wait_for(place.exists, "a socket")
            (tmp_path / "haproxy").mkdir()
            with (
                run_haproxy(tmp_path / "haproxy", text, port),
                client_half(port) as client,
                Tunnel(client.port, target).open() as (one, other),
            ):
                one.shutdown(SHUT_WR)
                assert receive_to_end(other) == b""
                other.sendall(b"an answer after the end")
                other.close()
                assert receive_to_end(one) == b"an answer after the end"


def test_a_worker_takes_the_word_of_nobody_else(tmp_path: Path) -> None:
    """Whoever reaches its port without being a trusted proxy is a stranger who says PROXY."""
    header = b"PROXY TCP4 192.0.2.7 192.0.2.8 4000 80\r\n"
    with (
        Target() as target,
        Target() as site,
        workers(target, tmp_path / "state", "--fallback", f"tcp:{LOOPBACK}:{site.port}") as (
            _,
            halves,
        ),
    ):
        place = (LOOPBACK, halves[0].port)
        with create_connection(place, PATIENCE, ("127.0.0.6", 0)) as liar:
            liar.sendall(header + b"and more")
            with site.accept() as visit:
                assert receive(visit, len(header) + 8) == header + b"and more"
        with create_connection(place, PATIENCE) as proxy:
            proxy.sendall(b"no header")
            assert_ends(proxy)
        assert site.is_untouched()


def files(process: Process) -> int:
    """How many files it has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
