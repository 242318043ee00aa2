"""`obfsfte demo`: both halves on this machine, real data through them, in plain words.

```
 this process ---- client half ---- this process (tap) ---- server half ---- this process (echo)
```
The halves are the very commands that a person would start. The tap only looks.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import signal
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import attrs
from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.error import ReactorNotRunning
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol
from twisted.python.failure import Failure

from obfsfte.channel import PassThrough
from obfsfte.commands import options as shared
from obfsfte.covers.catalogue import DEFAULT_COVER
from obfsfte.errors import ConfigError
from obfsfte.state import StateDirectory
from obfsfte.transport.client import Bridge, TunnelClientFactory
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context
from obfsfte.transport.deadlines import Deadlines

#: Characters of a line of covertext, and lines of it.
_WIDTH = 88
_MOST_LINES = 6

_LISTENING = re.compile(r"listening on \S+:(\d+)")
_BLOCK = secrets.token_bytes(1 << 20)


def _megabytes(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) < 1:
        raise ConfigError(f"{text!r} is no number of megabytes: it must be 1 or more")
    return int(text)


class Options(shared.Options):
    synopsis = "Usage: obfsfte demo [--megabytes N]"
    longdesc = "Moves data through both halves on this machine, and shows what was seen between."
    optParameters = [
        [
            "megabytes",
            None,
            64,
            "How much to move each way.",
            shared.coerced(_megabytes),
        ],
    ]


class _Half(ProcessProtocol):
    """A half in a process of its own; `port` fires with its number once it listens."""

    transport: Any

    def __init__(self) -> None:
        self.port: Deferred[int] = Deferred()
        self.ended: Deferred[None] = Deferred()
        self._said = ""

    def errReceived(self, data: bytes) -> None:
        self._said += data.decode()
        found = _LISTENING.search(self._said)
        if found and not self.port.called:
            self.port.callback(int(found[1]))

    def processEnded(self, reason: object) -> None:
        if not self.port.called:
            self.port.errback(RuntimeError(f"a half did not start: {self._said.strip()}"))
        self.ended.callback(None)

    def stop(self) -> Deferred[None]:
        """End it at once; fires when it has ended."""
        if not self.ended.called:
            self.transport.signalProcess("KILL")
        return self.ended


class _Echo(Protocol):
    """The target: gives back what it gets, no faster than it is read."""

    transport: Any

    def connectionMade(self) -> None:
        self.transport.registerProducer(self.transport, True)

    def dataReceived(self, data: bytes) -> None:
        self.transport.write(data)


class _Tap(PassThrough):
    """Looks at the first bytes that pass each way."""

    def __init__(self, seen: dict[str, bytes]) -> None:
        super().__init__()
        self._seen = seen

    def send(self, data: bytes) -> None:
        self._seen.setdefault("up", data[:400])
        super().send(data)

    def receive(self, data: bytes) -> list[bytes]:
        if data:
            self._seen.setdefault("down", data[:400])
        return super().receive(data)


class _Application(Protocol):
    """Sends so many megabytes, reads them back, and compares checksums."""

    transport: Any

    def __init__(self, megabytes: int) -> None:
        self.done: Deferred[bool] = Deferred()
        self._to_send = megabytes
        self._to_read = megabytes * len(_BLOCK)
        self._sent = hashlib.sha256()
        self._read = hashlib.sha256()

    def connectionMade(self) -> None:
        self.transport.registerProducer(self, False)

    def resumeProducing(self) -> None:
        if not self._to_send:
            self.transport.unregisterProducer()
            return
        self._to_send -= 1
        self._sent.update(_BLOCK)
        self.transport.write(_BLOCK)

    def stopProducing(self) -> None:
        pass

    def dataReceived(self, data: bytes) -> None:
        self._read.update(data)
        self._to_read -= len(data)
        if self._to_read <= 0:
            self.done.callback(self._read.digest() == self._sent.digest())
            self.transport.loseConnection()

    def connectionLost(self, reason: Any = None) -> None:
        if not self.done.called:
            self.done.errback(RuntimeError("the connection was cut"))


def _start(reactor: Any, arguments: list[str]) -> _Half:
    half = _Half()
    command = [sys.executable, "-m", "obfsfte", *arguments]
    reactor.spawnProcess(half, sys.executable, command, env=dict(os.environ))
    reactor.addSystemEventTrigger("before", "shutdown", half.stop)
    return half


@attrs.frozen
class _Scene:
    """One wire: what to say of it, and the options of its two halves."""

    title: str
    megabytes: int
    server: list[str]
    client: Callable[[int], list[str]]  # for the port that it connects to


def _scenes(megabytes: int, directory: Path) -> list[_Scene]:
    key_file = directory / "key"
    key_file.touch(0o600)
    key_file.write_text(secrets.token_hex(32))
    classic = ["--classic", "--key-file", str(key_file)]
    state = StateDirectory(directory / "state")
    cert = state.keys_or_new().cert.encode()
    return [
        _Scene(
            f"A session in the cover {DEFAULT_COVER}",
            megabytes,
            ["--state", str(state.path)],
            lambda port: ["--bridge", f"fte 127.0.0.1:{port} cert={cert} cover={DEFAULT_COVER}"],
        ),
        _Scene(
            "The classic wire, fteproxy's",
            megabytes,
            classic,
            lambda port: ["--connect", f"tcp:127.0.0.1:{port}", *classic],
        ),
    ]


async def _play(reactor: Any, scene: _Scene) -> bool:
    def listen(factory: Any) -> Any:
        return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)

    print(f"{scene.title}\n{'-' * len(scene.title)}", flush=True)
    seen: dict[str, bytes] = {}
    echo = await listen(Factory.forProtocol(_Echo))
    target = ["--target", f"tcp:127.0.0.1:{echo.getHost().port}"]
    anywhere = ["--listen", "tcp:0:interface=127.0.0.1"]
    server_port = await _start(reactor, ["server", *anywhere, *target, *scene.server]).port
    way = TCP4ClientEndpoint(reactor, "127.0.0.1", server_port)
    context = Context(Deadlines(reactor), Connections())
    tap = await listen(TunnelClientFactory(Bridge(way, lambda: _Tap(seen)), context))
    client_options = scene.client(tap.getHost().port)
    client_port = await _start(reactor, ["client", *anywhere, *client_options]).port
    print(f"server half: 127.0.0.1:{server_port}, in front of an echo service")
    print(f"client half: 127.0.0.1:{client_port}, where an application connects", flush=True)

    application = _Application(scene.megabytes)
    started = time.monotonic()
    await TCP4ClientEndpoint(reactor, "127.0.0.1", client_port).connect(_Once(application))
    equal = await application.done
    seconds = time.monotonic() - started

    print("What somebody between the two sees first")
    print(f"  from the client: {_shown(seen['up'])}")
    print(f"  from the server: {_shown(seen['down'])}")
    print(f"Moved {scene.megabytes} MiB there and back in {seconds:.1f} s: ", end="")
    print(f"{2 * scene.megabytes * len(_BLOCK) / 1e6 / seconds:.0f} MB/s through both halves.")
    print("SHA-256 of what came back: " + ("equal.\n" if equal else "NOT equal!\n"), flush=True)
    return equal


class _Once(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol


def _shown(data: bytes) -> str:
    """Bytes as a person reads them: lines as lines, cut to a few, and no escape cut in two."""
    lines = [""]
    for piece in data[:300].splitlines(keepends=True):
        text = piece.decode("latin-1").encode("unicode_escape").decode("ascii")
        for character in re.findall(r"\\x..|\\.|.", text):
            if len(lines[-1]) + len(character) > _WIDTH:
                lines.append("")
            lines[-1] += character
        lines.append("")
    return f"\n{' ' * 19}".join(line for line in lines[:_MOST_LINES] if line)


def run(options: Options) -> int:
    from twisted.internet import reactor

    status = 1
    fault: OSError | None = None

    async def demonstrate() -> None:
        nonlocal status
        with tempfile.TemporaryDirectory(prefix="obfsfte-demo-") as directory:
            scenes = _scenes(options["megabytes"], Path(directory))
            equal = [await _play(reactor, scene) for scene in scenes]
            status = 0 if all(equal) else 1

    def complain(failure: Failure) -> None:
        nonlocal fault
        if isinstance(failure.value, OSError):  # nobody reads what we print
            fault = failure.value
        elif failure.check(CancelledError) is None:
            print(f"obfsfte: demo: {failure.getErrorMessage()}", file=sys.stderr)

    def finish(_result: None) -> None:
        with contextlib.suppress(ReactorNotRunning):  # a signal has stopped it already
            reactor.stop()

    def start() -> None:
        running = Deferred.fromCoroutine(demonstrate())
        reactor.addSystemEventTrigger("before", "shutdown", running.cancel)
        running.addErrback(complain)
        running.addCallback(finish)

    reactor.callWhenRunning(start)
    signal.signal(signal.SIGINT, signal.default_int_handler)  # which the reactor replaces
    reactor.run()
    if fault is not None:
        raise fault
    return status
