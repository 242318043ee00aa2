"""Halves that run: what they say, what does not disturb them, and how they stop."""

from __future__ import annotations

import secrets
import signal
import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from tests.commands.shell import COMMAND, obfsfte
from tests.e2e.halves import (
    LISTEN,
    Half,
    Process,
    Target,
    Tunnel,
    client_half,
    connect,
    exchange,
    half,
    is_reset,
    receive_to_end,
    server_half,
)
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for

pytestmark = pytest.mark.e2e

STOPPING = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@contextmanager
def halves(target: Target) -> Iterator[tuple[Half, Half]]:
    """A server half and a client half."""
    with server_half(target) as server, client_half(server.port) as client:
        yield server, client


@pytest.mark.parametrize("number", STOPPING)
def test_a_stop_without_connections_is_at_once_and_clean(
    target: Target, number: signal.Signals
) -> None:
    with halves(target) as both:
        for process in both:
            process.signal(number)
            assert process.wait() == 0
            assert "waiting" not in process.stderr


@pytest.mark.parametrize("number", STOPPING)
@pytest.mark.parametrize("which", ["server", "client"])
def test_a_stop_lets_transfers_finish_and_takes_no_new_ones(
    target: Target, which: str, number: signal.Signals
) -> None:
    with halves(target) as (server, client):
        process = server if which == "server" else client
        with Tunnel(client.port, target).open() as (application, service):
            process.signal(number)
            process.wait_for_output("waiting for 1 connection")
            with pytest.raises(ConnectionRefusedError):
                connect(process.port)
            exchange(application, service, 1_000_000)
            assert process.status is None
            application.shutdown(socket.SHUT_WR)
            assert receive_to_end(service) == b""
        assert process.wait() == 0


@pytest.mark.parametrize("which", ["server", "client"])
def test_a_second_signal_ends_at_once(target: Target, which: str) -> None:
    with halves(target) as (server, client):
        process = server if which == "server" else client
        with Tunnel(client.port, target).open() as (application, service):
            process.signal(signal.SIGTERM)
            process.wait_for_output("waiting for 1 connection")
            process.signal(signal.SIGTERM)
            assert is_reset(application)
            assert is_reset(service)
        assert process.wait() == 0


def test_the_public_key_is_warned_of_once(target: Target) -> None:
    with halves(target) as both:
        for _ in range(2):
            with Tunnel(both[1].port, target).open():
                pass
        for process in both:
            assert process.stderr.count("using fteproxy's public key") == 1


def test_a_key_that_others_can_read_is_warned_of(target: Target, tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_text(secrets.token_hex(32))
    for mode, warned in ((0o640, True), (0o604, True), (0o600, False)):
        path.chmod(mode)
        with server_half(target, "--key-file", path) as server:
            assert (
                f"others on this machine can read the key file {path}" in server.stderr
            ) == warned
            assert "public key" not in server.stderr


UNREACHABLE = {
    "tcp:127.0.0.1:1": "connection refused",
    "tcp:nobody.invalid:80": "its name cannot be resolved",
    "unix:/nowhere/at/all": "connecting failed (No such file or directory)",
}


@pytest.mark.parametrize("place", UNREACHABLE)
def test_an_unreachable_target_is_one_line_and_the_service_lives_on(place: str) -> None:
    with (
        half("server", "--classic", "--listen", LISTEN, "--target", place) as server,
        client_half(server.port) as client,
    ):
        assert_cut(client, times=2)
        line = f"no connection to the target: {UNREACHABLE[place]}"
        wait_for(lambda: server.stderr.count(line) == 2, "line for each attempt")
        assert len(server.stderr.splitlines()) == 4


@pytest.mark.parametrize("place", UNREACHABLE)
def test_an_unreachable_bridge_is_one_line_and_the_service_lives_on(place: str) -> None:
    with half("client", "--classic", "--listen", LISTEN, "--connect", place) as client:
        assert_cut(client, times=2)
        line = f"no connection to the bridge: {UNREACHABLE[place]}"
        wait_for(lambda: client.stderr.count(line) == 2, "line for each attempt")
        assert len(client.stderr.splitlines()) == 4


def test_a_target_that_comes_back_is_found_again() -> None:
    port = free_port()
    place = f"tcp:{LOOPBACK}:{port}"
    with (
        half("server", "--classic", "--listen", LISTEN, "--target", place) as server,
        client_half(server.port) as client,
    ):
        assert_cut(client, times=1)
        with Target(port) as target, Tunnel(client.port, target).open():
            pass


def assert_cut(client: Half, times: int) -> None:
    """Applications meet a reset, and never a clean end."""
    for _ in range(times):
        # A quick reset is told by connect() already.
        with pytest.raises(ConnectionResetError), connect(client.port) as application:
            application.recv(1)


def fteproxy(mode: str, port: int, *options: object, runtime: Path) -> Process:
    ports = {"server": "--server_port", "client": "--client_port"}
    command = [COMMAND, "fteproxy", "--mode", mode, ports[mode], port, *options]
    return Process(*command, env={"XDG_RUNTIME_DIR": str(runtime)})


def stop(mode: str, runtime: Path) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [COMMAND, "fteproxy", "--mode", mode, "--stop"],
        env={"XDG_RUNTIME_DIR": str(runtime)},
        capture_output=True,
        timeout=60,
    )


def test_stop_ends_the_halves_of_one_mode(tmp_path: Path) -> None:
    with ExitStack() as stack:
        started = {}
        for name in ("server 1", "server 2", "client 1"):
            mode = name.split()[0]
            process = stack.enter_context(fteproxy(mode, free_port(), runtime=tmp_path))
            process.wait_for_output(f"{mode.capitalize()} ready!")
            started[name] = process
        assert stop("server", tmp_path).returncode == 0
        assert started["server 1"].wait() == 0
        assert started["server 2"].wait() == 0
        assert started["client 1"].status is None
        assert stop("client", tmp_path).returncode == 0
        assert started["client 1"].wait() == 0
    assert list((tmp_path / "obfsfte").iterdir()) == []


def test_stop_signals_nobody_for_a_process_that_is_gone(tmp_path: Path) -> None:
    with fteproxy("server", free_port(), runtime=tmp_path) as process:
        process.wait_for_output("Server ready!")
        process.signal(signal.SIGKILL)
        process.wait()
    done = stop("server", tmp_path)
    assert done.returncode == 1
    assert done.stderr == b"obfsfte: fteproxy: no server half of this user is running\n"
    assert list((tmp_path / "obfsfte").iterdir()) == []


def test_quiet_says_nothing_but_errors(target: Target, tmp_path: Path) -> None:
    port = free_port()
    with fteproxy("server", port, "--quiet", runtime=tmp_path) as process:
        wait_for(lambda: listens(port), "a half that listens")
        again = obfsfte("fteproxy", "--mode", "server", "--server_port", port, "--quiet")
        assert "Address already in use" in again.complaint
        process.signal(signal.SIGTERM)
        assert process.wait() == 0
        assert process.stdout == process.stderr == ""
