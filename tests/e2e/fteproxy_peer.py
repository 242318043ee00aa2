"""The real fteproxy, in a virtual environment of its own, as the other half of a tunnel.

It is installed once, beside the repository's own environment, and kept. Where that is not
possible its tests are given up.
"""

from __future__ import annotations

import fcntl
import functools
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.e2e.halves import Process, Target
from tests.e2e.tools import unavailable
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for

VERSION = "0.3.2"

_ENVIRONMENT = Path(__file__).parents[2] / ".venv-fteproxy"


@functools.cache
def fteproxy_command() -> Path:
    """The installed command. Skips the calling test if there is none to be had."""
    command = _ENVIRONMENT / "bin" / "fteproxy"
    try:
        _install(command)
    except subprocess.CalledProcessError as error:
        unavailable(f"fteproxy {VERSION} cannot be installed: {error.stderr.decode()[-500:]}")
    return command


def _install(command: Path) -> None:
    _ENVIRONMENT.mkdir(exist_ok=True)
    ready = _ENVIRONMENT / f"ready-{VERSION}"
    lock = os.open(_ENVIRONMENT, os.O_RDONLY)
    try:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if ready.exists():
            return
        _run(sys.executable, "-m", "venv", "--clear", _ENVIRONMENT)
        pip = [_ENVIRONMENT / "bin" / "python", "-m", "pip", "--disable-pip-version-check"]
        _run(*pip, "install", "--quiet", f"fteproxy=={VERSION}")
        ready.touch()
    finally:
        os.close(lock)


def _run(*command: object) -> None:
    subprocess.run([str(word) for word in command], check=True, capture_output=True)


@contextmanager
def fteproxy_server(target: Target, *options: object) -> Iterator[int]:
    """`fteproxy --mode server` in front of a target; its port."""
    port = free_port()
    places = ["--server_port", port, "--proxy_port", target.port]
    with _running("server", port, *places, *options):
        yield port


@contextmanager
def fteproxy_client(bridge_port: int, *options: object) -> Iterator[int]:
    """`fteproxy --mode client` that knows one server half; its port."""
    port = free_port()
    places = ["--client_port", port, "--server_port", bridge_port]
    with _running("client", port, *places, *options):
        yield port


@contextmanager
def _running(mode: str, port: int, *options: object) -> Iterator[Process]:
    addresses = ["--client_ip", LOOPBACK, "--server_ip", LOOPBACK, "--proxy_ip", LOOPBACK]
    command = [fteproxy_command(), "--mode", mode, *addresses, *options]
    with TemporaryDirectory() as pid_directory:
        environment = {"PYTHONUNBUFFERED": "1", "TMPDIR": pid_directory}
        with Process(*command, env=environment) as process:
            process.wait_for_output(f"{mode.capitalize()} ready!")
            wait_for(lambda: listens(port), "fteproxy that listens")
            yield process
