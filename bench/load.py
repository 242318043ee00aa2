"""The two ends of what is measured: an application and a target, one process each.

```
 Application --Entrance--> client half ---- server half ---> Target
```
They share the machine with what they measure, as applications do, and move data as those do, with
send(2) and recv(2); in large pieces, so that they are several times faster than any pair.
An application's first byte on a connection says what the target does with it.
"""

from __future__ import annotations

import contextlib
import multiprocessing
import os
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from types import TracebackType
from typing import Any, Self

from obfsfte.pyptlib.util import encode_client_args
from tests.e2e.halves import receive
from tests.e2e.waiting import LOOPBACK

#: What the target does, as the application's first byte.
SINK, SOURCE, ECHO, PING = b"u", b"d", b"e", b"p"

_PIECE = 1 << 18  # bytes of one send or recv
_PATIENCE = 30.0
_OPENERS = 8  # connections that are opened at once
_MOST_SILENT = 3  # before the others are taken for silent too

_SOCKS_REQUEST = b"\x05\x01\x00\x01"


@dataclass(frozen=True)
class Entrance:
    """Where an application connects to; with `bridge`, by SOCKS5 as tor's client does."""

    port: int
    bridge: tuple[str, int] | None = None
    arguments: Mapping[str, str] = field(default_factory=dict)

    def connect(self, role: bytes = b"") -> socket.socket:
        """A connection, whose target is told its role if there is one. Raises OSError."""
        connection = socket.create_connection((LOOPBACK, self.port), _PATIENCE)
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            if self.bridge is not None:
                self._ask(connection, *self.bridge)
            connection.sendall(role)
        except BaseException:
            connection.close()
            raise
        return connection

    def _ask(self, connection: socket.socket, host: str, port: int) -> None:
        login = [bytes([len(text)]) + text for text in encode_client_args(self.arguments)]
        connection.sendall(b"\x05\x01\x02")
        _expect(connection, b"\x05\x02")
        connection.sendall(b"\x01" + b"".join(login))
        _expect(connection, b"\x01\x00")
        address = socket.inet_aton(host) + port.to_bytes(2, "big")
        connection.sendall(_SOCKS_REQUEST + address)
        _expect(connection, b"\x05\x00", 10)


def _expect(connection: socket.socket, answer: bytes, size: int = 2) -> None:
    got = receive(connection, size)
    if got[: len(answer)] != answer or len(got) != size:
        raise ConnectionError(f"SOCKS: {got!r}")


def ping(connection: socket.socket, data: bytes) -> float:
    """Seconds until the target has sent the data back."""
    start = time.perf_counter()
    connection.sendall(data)
    if len(receive(connection, len(data))) != len(data):
        raise ConnectionError("the connection ended")
    return time.perf_counter() - start


class _Loop:
    """Streams that are moved as fast as they go, and commands from the measuring process."""

    def __init__(self, control: Connection) -> None:
        self._control = control
        self._epoll = select.epoll()
        self._handlers: dict[int, Callable[[], None]] = {}
        self._streams: dict[int, socket.socket] = {}
        self._sending: set[int] = set()
        self._sent = self._received = 0
        self._last_received = 0.0
        self._buffer = bytearray(_PIECE)
        self._data = os.urandom(_PIECE)
        self._register(control.fileno(), self._command, select.EPOLLIN)

    def run(self) -> None:
        with contextlib.suppress(EOFError):  # the measuring process has ended
            while True:
                for descriptor, _ in self._epoll.poll():
                    handler = self._handlers.get(descriptor)
                    if handler is not None:
                        handler()

    def _register(self, descriptor: int, handler: Callable[[], None], events: int) -> None:
        if descriptor in self._handlers:
            self._epoll.modify(descriptor, events)
        else:
            self._epoll.register(descriptor, events)
        self._handlers[descriptor] = handler

    def _command(self) -> None:
        name, *arguments = self._control.recv()
        self._control.send(getattr(self, name)(*arguments))

    def received(self) -> tuple[int, float]:
        """Bytes that all streams have received since the last `stop`, and when the last came."""
        return self._received, self._last_received

    def stop(self) -> int:
        """Send no more; how many bytes were sent since the last time. Counts start anew."""
        for number in self._sending:
            self._receives(self._streams[number])  # their end
        self._sending.clear()
        sent, self._sent, self._received = self._sent, 0, 0
        return sent

    def streams(self) -> int:
        """How many connections are open."""
        return len(self._streams)

    def _add(self, stream: socket.socket) -> None:
        self._streams[stream.fileno()] = stream

    def _sends(self, stream: socket.socket) -> None:
        stream.setblocking(False)

        def send() -> None:
            with self._until_lost(stream):
                self._sent += stream.send(self._data)

        self._sending.add(stream.fileno())
        self._register(stream.fileno(), send, select.EPOLLOUT)

    def _receives(self, stream: socket.socket) -> None:
        stream.setblocking(False)

        def take() -> None:
            with self._until_lost(stream):
                size = stream.recv_into(self._buffer)
                self._received += size
                self._last_received = time.perf_counter()
                if not size:
                    self._forget(stream)

        self._register(stream.fileno(), take, select.EPOLLIN)

    @contextlib.contextmanager
    def _until_lost(self, stream: socket.socket) -> Any:
        try:
            yield
        except BlockingIOError:
            pass
        except OSError:
            self._forget(stream)

    def _forget(self, stream: socket.socket) -> None:
        number = stream.fileno()
        if self._handlers.pop(number, None) is not None:
            self._epoll.unregister(number)
        self._streams.pop(number, None)
        self._sending.discard(number)
        stream.close()


class _TargetLoop(_Loop):
    def __init__(self, control: Connection, listener: socket.socket) -> None:
        super().__init__(control)
        signal.signal(signal.SIGCHLD, signal.SIG_IGN)
        listener.setblocking(False)
        self._listener = listener
        self._register(listener.fileno(), self._accept, select.EPOLLIN)

    def _accept(self) -> None:
        with contextlib.suppress(BlockingIOError):
            stream = self._listener.accept()[0]
            stream.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            self._add(stream)
            self._register(stream.fileno(), lambda: self._begin(stream), select.EPOLLIN)

    def _begin(self, stream: socket.socket) -> None:
        with self._until_lost(stream):
            match stream.recv(1):
                case b"u":
                    self._receives(stream)
                case b"d":
                    self._sends(stream)
                case b"p":
                    self._register(stream.fileno(), lambda: self._echo(stream), select.EPOLLIN)
                case b"e":
                    self._echo_apart(stream)
                case _:
                    self._forget(stream)

    def _echo(self, stream: socket.socket) -> None:
        with self._until_lost(stream):
            data = stream.recv(1 << 16)
            if data:
                stream.send(data)
            else:
                self._forget(stream)

    def _echo_apart(self, stream: socket.socket) -> None:
        """In a process of its own: the time that it waits here would be counted."""
        if os.fork() == 0:
            number = stream.fileno()
            os.closerange(3, number)  # or they would stay open when they are closed here
            os.closerange(number + 1, os.sysconf("SC_OPEN_MAX"))
            with contextlib.suppress(OSError):
                stream.setblocking(True)
                while data := stream.recv(1 << 16):
                    stream.sendall(data)
            os._exit(0)
        self._forget(stream)


class _ApplicationLoop(_Loop):
    def open(self, entrance: Entrance, count: int) -> int:
        """Open streams, and say nothing on them; how many are open."""
        return self._connect(entrance.connect, count)

    def begin(self, role: bytes) -> float:
        """Have all streams move data; when that began."""
        start = time.perf_counter()
        for stream in list(self._streams.values()):
            stream.sendall(role)
            if role == SINK:
                self._sends(stream)
            else:
                self._receives(stream)
        return start

    def hold(self, entrance: Entrance, count: int) -> int:
        """Open streams to PING, each used once; how many there are."""

        def connect() -> socket.socket:
            stream = entrance.connect(PING)
            ping(stream, b"0")
            return stream

        return self._connect(connect, count)

    def _connect(self, connect: Callable[[], socket.socket], count: int) -> int:
        """Some at once. Where several fail no more are tried: each may take its whole time."""
        failed = 0

        def attempt(_number: int) -> socket.socket | None:
            nonlocal failed
            if failed < _OPENERS:
                with contextlib.suppress(OSError):
                    return connect()
                failed += 1
            return None

        with ThreadPoolExecutor(min(_OPENERS, count)) as threads:
            for stream in filter(None, threads.map(attempt, range(count))):
                self._add(stream)
        return len(self._streams)

    def answering(self, count: int) -> int:
        """How many of the first `count` streams that `hold` opened answer, until some do not."""
        good = failed = 0
        for stream in list(self._streams.values())[:count]:
            try:
                ping(stream, b"0")
                good += 1
            except OSError:
                failed += 1
                if failed == _MOST_SILENT:
                    break
        return good

    def close(self) -> None:
        """Close all streams."""
        for stream in list(self._streams.values()):
            self._forget(stream)

    def connections_a_second(self, entrance: Entrance, seconds: float) -> float:
        """Connections, each with one byte there and back, by some openers at once."""
        end = time.perf_counter() + seconds
        done = [0] * _OPENERS

        def open_and_close(opener: int) -> None:
            while time.perf_counter() < end:
                with contextlib.suppress(OSError), entrance.connect(PING) as connection:
                    ping(connection, b"0")
                    done[opener] += time.perf_counter() < end

        threads = [
            threading.Thread(target=open_and_close, args=[opener]) for opener in range(_OPENERS)
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(done) / seconds


class _End:
    """A handle on a process that runs a loop. Ends with its `with` block."""

    def __init__(self, run: Callable[..., None], *arguments: object) -> None:
        context = multiprocessing.get_context("fork")
        self._control, control = context.Pipe()
        self._process = context.Process(
            target=_run, args=(run, self._control, control, *arguments), daemon=True
        )
        self._process.start()
        control.close()

    def ask(self, name: str, *arguments: object) -> Any:
        """Have the loop run its method, and wait for what that returns."""
        self._control.send((name, *arguments))
        return self._control.recv()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._process.kill()
        self._process.join()


def _run(run: Callable[..., None], ours: Connection, control: Connection, *more: object) -> None:
    ours.close()  # or its end would never be seen here
    run(control, *more)


class Target(_End):
    """Listens for the server half, at `port`."""

    def __init__(self) -> None:
        with socket.create_server((LOOPBACK, 0), backlog=4096) as listener:
            self.port: int = listener.getsockname()[1]
            super().__init__(lambda control: _TargetLoop(control, listener).run())

    def settle(self) -> None:
        """Wait until no connection is left."""
        deadline = time.monotonic() + _PATIENCE
        while self.ask("streams"):
            if time.monotonic() > deadline:
                raise TimeoutError("connections that were closed have not ended")
            time.sleep(0.02)


class Application(_End):
    """Opens connections at an entrance."""

    def __init__(self) -> None:
        super().__init__(lambda control: _ApplicationLoop(control).run())
