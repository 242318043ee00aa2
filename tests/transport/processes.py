"""Real peers: programs that may be missing, and our ends of a connection as processes."""

from __future__ import annotations

import contextlib
import json
import os
import queue
import shutil
import socket
import socketserver
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

ROOT = Path(__file__).parents[2]
LOOPBACK = "127.0.0.1"


def require(program: str) -> str:
    """The path of a program. Without it the test is skipped; in continuous integration it fails."""
    path = shutil.which(program, path=f"{os.environ['PATH']}:/usr/sbin")
    if path is None:
        if os.environ.get("CI") == "true":
            pytest.fail(f"{program} is not installed")
        pytest.skip(f"{program} is not installed")
    return path


def wait_for_listener(port: int, process: subprocess.Popen[Any]) -> None:
    """Wait until the process listens on its port."""
    deadline = time.monotonic() + 15
    while time.monotonic() < deadline and process.poll() is None:
        with contextlib.suppress(OSError), socket.create_connection((LOOPBACK, port), 1):
            return
        time.sleep(0.05)
    pytest.fail(f"{process.args!r} does not listen on port {port}")


@contextlib.contextmanager
def running(*command: str | Path, **options: Any) -> Iterator[subprocess.Popen[Any]]:
    """A process that is ended with the block."""
    process = subprocess.Popen(command, **options)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(10)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


class Lines:
    """The lines of JSON that a process prints."""

    def __init__(self, stream: IO[str]) -> None:
        self._lines: queue.Queue[str] = queue.Queue()
        self._thread = threading.Thread(target=self._read, args=(stream,))
        self._thread.start()

    def _read(self, stream: IO[str]) -> None:
        for line in stream:
            self._lines.put(line)

    def next(self, timeout: float = 20) -> dict[str, Any]:
        return json.loads(self._lines.get(timeout=timeout))

    def join(self) -> None:
        self._thread.join()


@contextlib.contextmanager
def socks_server() -> Iterator[tuple[int, Lines]]:
    """Our SOCKS server: its port, and what it reports."""
    with contextlib.ExitStack() as stack:
        process = stack.enter_context(
            running(
                *(sys.executable, "-m", "tests.transport.socks_process"),
                cwd=ROOT,
                stdout=subprocess.PIPE,
                text=True,
            )
        )
        stack.callback(process.stdout.close)
        lines = Lines(process.stdout)
        try:
            yield lines.next()["listening"], lines
        finally:
            process.terminate()
            lines.join()


def connect(**settings: object) -> dict[str, Any]:
    """What `connect_process` says of these settings."""
    result = subprocess.run(
        [sys.executable, "-m", "tests.transport.connect_process", json.dumps(settings)],
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=60,
    )
    assert result.returncode == 0, result.stderr
    assert result.stderr == ""
    return json.loads(result.stdout)


class _Greeter(socketserver.BaseRequestHandler):
    def handle(self) -> None:
        self.request.sendall(b"welcome ")
        while data := self.request.recv(4096):
            self.request.sendall(data)


@contextlib.contextmanager
def greeting_echo_server() -> Iterator[int]:
    """The port of a server that says "welcome " and then whatever is said to it."""
    with socketserver.ThreadingTCPServer((LOOPBACK, 0), _Greeter) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        try:
            yield server.server_address[1]
        finally:
            server.shutdown()
            thread.join()
