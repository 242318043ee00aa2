"""The halves as real processes, and a test that plays the application and the target itself.

```
 test (app) ---- client half ---- server half ---- test (target.accept())
```
A test holds both ends of a tunnel as plain blocking sockets and uses them one after the
other; only bulk data needs threads, and `exchange` has them.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
import select
import socket
import struct
import sys
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random
from types import TracebackType
from typing import Self

from tests.e2e.process import PATIENCE, Process
from tests.e2e.waiting import LOOPBACK

COMMAND = Path(sys.executable).with_name("obfsfte")
LISTEN = f"tcp:0:interface={LOOPBACK}"

_LISTENING = re.compile(r"listening on \S+:(\d+)")


class Half(Process):
    """One of our halves. It must never show a traceback, whatever a test does to it."""

    port: int

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        said = self.stderr
        super().__exit__(kind, error, traceback)
        if error is None:
            assert "Traceback" not in said, said


@contextmanager
def half(*arguments: object, program: Sequence[object] = (COMMAND,)) -> Iterator[Half]:
    """`obfsfte ARGUMENTS...`, once it listens; `port` says where."""
    with Half(*program, *arguments) as process:
        process.port = int(process.wait_for_output(_LISTENING.pattern)[1])
        yield process


@contextmanager
def server_half(
    target: Target, *options: object, program: Sequence[object] = (COMMAND,)
) -> Iterator[Half]:
    """`obfsfte server --classic` in front of a target."""
    place = f"tcp:{LOOPBACK}:{target.port}"
    arguments = ["server", "--classic", "--listen", LISTEN, "--target", place, *options]
    with half(*arguments, program=program) as process:
        yield process


@contextmanager
def client_half(bridge_port: int, *options: object) -> Iterator[Half]:
    """`obfsfte client --classic` that knows one server half."""
    place = f"tcp:{LOOPBACK}:{bridge_port}"
    with half("client", "--classic", "--listen", LISTEN, "--connect", place, *options) as process:
        yield process


class Target:
    """A listening socket whose connections the test takes itself, with `accept`."""

    def __init__(self, port: int = 0) -> None:
        self._socket = socket.create_server((LOOPBACK, port), backlog=512)
        self._socket.settimeout(PATIENCE)
        self.port: int = self._socket.getsockname()[1]

    def accept(self) -> socket.socket:
        connection = self._socket.accept()[0]
        connection.settimeout(PATIENCE)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return connection

    def is_untouched(self) -> bool:
        """Whether nobody has connected that was not accepted yet."""
        self._socket.setblocking(False)
        try:
            self._socket.accept()[0].close()
        except BlockingIOError:
            return True
        finally:
            self._socket.settimeout(PATIENCE)
        return False

    def close(self) -> None:
        """Listen no more."""
        self._socket.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.close()


class Tunnel:
    """Both ends of a tunnel, whoever made its halves."""

    def __init__(self, client_port: int, target: Target) -> None:
        self.client_port = client_port
        self.target = target

    def connect(self) -> socket.socket:
        """A new application connection; the target need not see it before it sends."""
        return connect(self.client_port)

    @contextmanager
    def open(self) -> Iterator[tuple[socket.socket, socket.socket]]:
        """An application's and the target's end of a new connection, with a greeting behind it.

        The application speaks first: fteproxy's client is silent until then.
        """
        with self.connect() as application:
            application.sendall(b"hello")
            with self.target.accept() as service:
                assert receive(service, 5) == b"hello"
                service.sendall(b"welcome")
                assert receive(application, 7) == b"welcome"
                yield application, service


def connect(port: int) -> socket.socket:
    connection = socket.create_connection((LOOPBACK, port), timeout=PATIENCE)
    connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return connection


def receive(connection: socket.socket, size: int) -> bytes:
    """Exactly `size` bytes; fewer only if the stream ends."""
    data = bytearray()
    while len(data) < size and (more := connection.recv(min(size - len(data), 1 << 18))):
        data += more
    return bytes(data)


def receive_to_end(connection: socket.socket) -> bytes:
    """All there is until a clean end. Raises ConnectionResetError at a reset."""
    return receive(connection, sys.maxsize)


def assert_ends(connection: socket.socket) -> None:
    """Wait for the end of a connection, in whatever way; nothing may come before it."""
    with contextlib.suppress(ConnectionResetError):
        assert receive_to_end(connection) == b""


def is_reset(connection: socket.socket) -> bool:
    """Wait for the end of a connection; whether it was a reset, not a clean one."""
    try:
        receive_to_end(connection)
    except ConnectionResetError:
        return True
    return False


def is_silent(connection: socket.socket) -> bool:
    """Whether nothing has arrived, neither bytes nor an end."""
    return not select.select([connection], [], [], 0)[0]


def reset(connection: socket.socket) -> None:
    """Close with RST."""
    linger_for_nothing = struct.pack("ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_nothing)
    connection.close()


def exchange(one: socket.socket, other: socket.socket, size: int) -> None:
    """Send `size` random bytes each way, both at once; they must arrive as they were."""

    def send(connection: socket.socket, seed: int) -> bytes:
        data = Random(seed).randbytes(size)
        connection.sendall(data)
        return hashlib.sha256(data).digest()

    def take(connection: socket.socket) -> bytes:
        digest, left = hashlib.sha256(), size
        while left and (data := connection.recv(min(left, 1 << 18))):
            digest.update(data)
            left -= len(data)
        assert not left, f"{left} bytes never came"
        return digest.digest()

    with ThreadPoolExecutor(4) as threads:
        sent = [threads.submit(send, one, 1), threads.submit(send, other, 2)]
        taken = [threads.submit(take, other), threads.submit(take, one)]
        assert [each.result() for each in taken] == [each.result() for each in sent]
