"""`obfsfte bench capacity`: measure this machine, and say how many users it can serve.

```
 this process ---- client half ---- server half, which is measured ---- this process
```
This process plays the application and the target, with plain sockets, one step after the
other: what is looked at is the time that the server half spends (proc(5)), not how fast this is.
"""

from __future__ import annotations

import contextlib
import os
import re
import resource
import select
import signal
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import attrs
from twisted.python import usage

from obfsfte.capacity import PIECE, Costs, Limits, report
from obfsfte.commands import options as shared
from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.errors import ConfigError
from obfsfte.limits import allow_many_connections
from obfsfte.state import StateDirectory

_LOOPBACK = "127.0.0.1"
_LISTENING = re.compile(r"listening on \S+:(\d+)")
_PATIENCE = 30.0  # seconds that anything may take
_WARM_UP = 30  # connections: what is loaded and compiled for the first is not theirs
_OTHER_FILES = 40  # open files of a process that are no connections
_PAIRS = 50  # connections that pieces go through, in turn
_BLOCK = bytes(1 << 17)
_ENDING = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class CapacityOptions(shared.SubOptions):
    synopsis = "Usage: obfsfte bench capacity [--cover NAME] [--quick]"
    longdesc = (
        "Measures, in less than a minute, what a server half costs on this machine, and says how "
        "many users it can serve. It runs both halves, on loopback only."
    )
    optParameters = [
        ["cover", None, DEFAULT_COVER, "The cover to measure; see obfsfte covers list."],
    ]
    optFlags = [["quick", None, "Take some seconds only; the figures are rougher."]]


class Options(shared.Options):
    synopsis = "Usage: obfsfte bench capacity [OPTIONS]"
    longdesc = "Measures this machine."
    subCommands = [["capacity", None, CapacityOptions, "say how many users it can serve"]]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("needs what to measure: capacity")


@attrs.frozen
class _Plan:
    connections: int
    seconds: float  # of each of the measures that are not counted in connections


_FULL, _QUICK = _Plan(400, 8.0), _Plan(60, 0.5)


def _within(open_files: int, plan: _Plan) -> _Plan:
    """The plan, with as many connections as each process may have, at two files for each.

    Raises ConfigError when that is too few to see anything.
    """
    most = (open_files - _OTHER_FILES) // 2 - _WARM_UP
    if most < _PAIRS:
        needed = 2 * (_WARM_UP + _PAIRS) + _OTHER_FILES
        raise ConfigError(
            f"{open_files} open files are allowed, and the measure needs {needed}: ulimit -Hn"
        )
    return attrs.evolve(plan, connections=min(plan.connections, most))


def run(options: Options) -> int:
    arguments = options.subOptions
    Catalogue().get(arguments["cover"])
    if not Path("/proc/self/stat").exists():
        raise ConfigError("capacity is measured with Linux's /proc, which is not here")
    for number in _ENDING:  # halves end with us
        signal.signal(number, lambda number, _: sys.exit(128 + number))
    allow_many_connections()
    open_files, _ = resource.getrlimit(resource.RLIMIT_NOFILE)
    plan = _within(open_files, _QUICK if arguments["quick"] else _FULL)
    with tempfile.TemporaryDirectory(prefix="obfsfte-bench-") as directory:
        try:
            with _halves(Path(directory), arguments["cover"]) as halves:
                costs = _measure(halves, plan)
        except OSError as error:
            raise ConfigError(f"the measure failed: {error.strerror or error}") from None
        finally:
            _say("")
    limits = Limits(open_files, _free_memory())
    cores = len(os.sched_getaffinity(0))
    print(f"Cover {arguments['cover']}, on one of {cores} cores.\n")
    print("\n".join(report(costs, limits, cores)))
    return 0


@attrs.frozen
class _Halves:
    """Two halves that run, and how to connect through them."""

    server: int  # process id
    _client_port: int
    _target: socket.socket

    def open(self) -> tuple[socket.socket, socket.socket]:
        """The application's and the target's end of a new connection, one byte each way behind."""
        application = socket.create_connection((_LOOPBACK, self._client_port), _PATIENCE)
        application.sendall(b"?")
        target, _ = self._target.accept()
        target.settimeout(_PATIENCE)
        for end in (application, target):
            end.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        _receive(target, 1)
        target.sendall(b"!")
        _receive(application, 1)
        return application, target

    def cpu_seconds(self) -> float:
        """What the server half has spent so far."""
        fields = Path(f"/proc/{self.server}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def memory(self) -> int:
        """Bytes that it has in memory."""
        pages = int(Path(f"/proc/{self.server}/statm").read_text().split()[1])
        return pages * os.sysconf("SC_PAGE_SIZE")


@contextlib.contextmanager
def _halves(directory: Path, cover: str) -> Iterator[_Halves]:
    state = StateDirectory(directory / "state")
    cert = state.keys_or_new().cert.encode()
    anywhere = ["--listen", f"tcp:0:interface={_LOOPBACK}"]
    with contextlib.ExitStack() as stack:
        target = stack.enter_context(socket.create_server((_LOOPBACK, 0)))
        target.settimeout(_PATIENCE)
        place = f"tcp:{_LOOPBACK}:{target.getsockname()[1]}"
        keys = ["--state", str(state.path), "--cover", cover]
        server = ["server", *anywhere, "--target", place, *keys]
        server_pid, server_port = _start(stack, directory / "server.log", server)
        line = f"fte {_LOOPBACK}:{server_port} cert={cert} cover={cover}"
        client = ["client", *anywhere, "--bridge", line]
        _, client_port = _start(stack, directory / "client.log", client)
        yield _Halves(server_pid, client_port, target)


def _start(stack: contextlib.ExitStack, log: Path, arguments: list[str]) -> tuple[int, int]:
    """A half's process id, and the port where it listens. Ends with the stack."""
    with log.open("wb") as output, _undisturbed() as signals:
        command = [sys.executable, "-m", "obfsfte", *arguments]
        half = subprocess.Popen(  # noqa: S603 - our own command
            command,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            preexec_fn=lambda: signal.pthread_sigmask(signal.SIG_SETMASK, signals),
        )
        stack.callback(half.wait)
        stack.callback(half.kill)
    deadline = time.monotonic() + _PATIENCE
    while (found := _LISTENING.search(log.read_text())) is None:
        if half.poll() is not None or time.monotonic() > deadline:
            raise ConfigError(f"a half did not start: {log.read_text().strip()}")
        time.sleep(0.02)
    return half.pid, int(found[1])


@contextlib.contextmanager
def _undisturbed() -> Iterator[set[int]]:
    """No signal ends us here: a half that has just been started would be left behind."""
    signals = signal.pthread_sigmask(signal.SIG_BLOCK, _ENDING)
    try:
        yield set(signals)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, signals)


def _measure(halves: _Halves, plan: _Plan) -> Costs:
    tick = 1 / os.sysconf("SC_CLK_TCK")  # no less than that can be seen, and divided by
    with contextlib.ExitStack() as stack:

        def opened() -> tuple[socket.socket, socket.socket]:
            application, target = halves.open()
            stack.enter_context(application)
            stack.enter_context(target)
            return application, target

        pairs = [opened() for _ in range(_WARM_UP)]
        cpu, memory = halves.cpu_seconds(), halves.memory()
        for number in range(plan.connections):
            _say(f"measuring: connections, {number} of {plan.connections}")
            pairs.append(opened())
        connection = max(halves.cpu_seconds() - cpu, tick) / plan.connections
        memory_of_each = (halves.memory() - memory) / plan.connections

        _say("measuring: pieces")
        cpu = halves.cpu_seconds()
        pieces = _exchange(pairs[:_PAIRS], plan.seconds)
        piece = max(halves.cpu_seconds() - cpu, tick) / pieces

        def bulk(name: str, sender: socket.socket, receiver: socket.socket) -> float:
            _say(f"measuring: bulk, {name}")
            cpu = halves.cpu_seconds()
            sent = _pump(sender, receiver, plan.seconds)
            return max(halves.cpu_seconds() - cpu, tick) / sent

        application, target = pairs[0]
        return Costs(
            connection=connection,
            piece=piece,
            byte_down=bulk("down", target, application),
            byte_up=bulk("up", application, target),
            memory=max(memory_of_each, 1.0),
        )


def _exchange(pairs: list[tuple[socket.socket, socket.socket]], seconds: float) -> int:
    """Send pieces there and back on all connections in turn; how many there were."""
    count, piece = 0, bytes(PIECE)
    end = time.monotonic() + seconds
    while time.monotonic() < end or not count:
        for to_target in (True, False):
            for application, target in pairs:
                (application if to_target else target).sendall(piece)
            for application, target in pairs:
                _receive(target if to_target else application, PIECE)
            count += len(pairs)
    return count


def _pump(sender: socket.socket, receiver: socket.socket, seconds: float) -> int:
    """Send as fast as it goes, until all has come; how many bytes."""
    sent = received = 0
    buffer = bytearray(len(_BLOCK))
    end = time.monotonic() + seconds
    for each in (sender, receiver):
        each.setblocking(False)
    while (sending := time.monotonic() < end) or received < sent or not sent:
        readable, writable, _ = select.select(
            [receiver], [sender] if sending or not sent else [], [], _PATIENCE
        )
        if not readable and not writable:
            raise TimeoutError("bytes do not arrive")
        if writable:
            sent += _unless_it_blocks(lambda: sender.send(_BLOCK))
        if readable:
            received += _unless_it_blocks(lambda: receiver.recv_into(buffer))
    return sent


def _unless_it_blocks(action: Callable[[], int]) -> int:
    with contextlib.suppress(BlockingIOError):
        return action()
    return 0


def _receive(connection: socket.socket, size: int) -> None:
    while size:
        data = connection.recv(size)
        if not data:
            raise ConnectionError("a half closed the connection")
        size -= len(data)


def _free_memory() -> int:
    """Bytes that could be used now without swapping (proc(5), MemAvailable)."""
    found = re.search(r"^MemAvailable: +(\d+) kB$", Path("/proc/meminfo").read_text(), re.M)
    return int(found[1]) * 1024 if found else 0


def _say(text: str) -> None:
    """What is being done, for whoever waits at a terminal."""
    if sys.stderr.isatty():
        print(f"\r{text:<60}\r", end="", file=sys.stderr, flush=True)
