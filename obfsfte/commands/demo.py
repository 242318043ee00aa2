"""`obfsfte demo`: both halves on this machine, real data through them, in plain words.

```
 this process ---- client half ---- this process (tap) ---- server half ---- this process (echo)
```
The halves are the very commands that a person would start. The tap only looks.
"""

from __future__ import annotations

import hashlib
import os
import re
import secrets
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.endpoints import TCP4ClientEndpoint, TCP4ServerEndpoint
from twisted.internet.protocol import Factory, ProcessProtocol, Protocol

from obfsfte.channel import PassThrough
from obfsfte.commands import options as shared
from obfsfte.transport.client import Bridge, TunnelClientFactory
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context
from obfsfte.transport.deadlines import Deadlines

_LISTENING = re.compile(r"listening on \S+:(\d+)")
_BLOCK = secrets.token_bytes(1 << 20)


def _megabytes(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError("--megabytes is a number from 1")
    return value


class Options(shared.Options):
    synopsis = "Usage: obfsfte demo [--megabytes N]"
    longdesc = "Moves data through both halves on this machine, and shows what was seen between."
    optParameters = [
        ["megabytes", None, 64, "How much to move each way.", shared.coerced(_megabytes)],
    ]


class _Half(ProcessProtocol):
    """A half in a process of its own; `port` fires with its number once it listens."""

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
    return half


async def _demonstrate(reactor: Any, megabytes: int, key_file: Path) -> bool:
    def listen(factory: Any) -> Any:
        return TCP4ServerEndpoint(reactor, 0, interface="127.0.0.1").listen(factory)

    classic = ["--classic", "--key-file", str(key_file)]
    seen: dict[str, bytes] = {}

    echo = await listen(Factory.forProtocol(_Echo))
    target = f"tcp:127.0.0.1:{echo.getHost().port}"
    listen_text = "tcp:0:interface=127.0.0.1"
    server = _start(reactor, ["server", "--listen", listen_text, "--target", target, *classic])
    server_port = await server.port
    way = TCP4ClientEndpoint(reactor, "127.0.0.1", server_port)
    context = Context(Deadlines(reactor), Connections())
    tap = await listen(TunnelClientFactory(Bridge(way, lambda: _Tap(seen)), context))
    connect = f"tcp:127.0.0.1:{tap.getHost().port}"
    client = _start(reactor, ["client", "--listen", listen_text, "--connect", connect, *classic])
    client_port = await client.port
    print(f"server half: 127.0.0.1:{server_port}, in front of an echo service")
    print(f"client half: 127.0.0.1:{client_port}, where an application connects")

    application = _Application(megabytes)
    started = time.monotonic()
    await TCP4ClientEndpoint(reactor, "127.0.0.1", client_port).connect(_Once(application))
    equal = await application.done
    seconds = time.monotonic() - started

    print("\nWhat somebody between the two sees first")
    print(f"  from the client: {_shown(seen['up'])}")
    print(f"  from the server: {_shown(seen['down'])}")
    print(f"\nMoved {megabytes} MiB there and back in {seconds:.1f} s: ", end="")
    print(f"{2 * megabytes * len(_BLOCK) / 1e6 / seconds:.0f} MB/s through both halves.")
    print("SHA-256 of what came back: " + ("equal." if equal else "NOT equal!"))
    return equal


class _Once(Factory):
    noisy = False

    def __init__(self, protocol: Protocol) -> None:
        self._protocol = protocol

    def buildProtocol(self, addr: object) -> Protocol:
        return self._protocol


def _shown(data: bytes) -> str:
    """Bytes as a person reads them, cut to a few lines."""
    text = data[:300].decode("latin-1").encode("unicode_escape").decode("ascii")
    return re.sub(r"(.{88})", r"\1\n                   ", text[:352])


def run(options: Options) -> int:
    from twisted.internet import reactor

    status = 1

    async def demonstrate() -> None:
        nonlocal status
        with tempfile.TemporaryDirectory(prefix="obfsfte-demo-") as directory:
            key_file = Path(directory, "key")
            key_file.touch(0o600)
            key_file.write_text(secrets.token_hex(32))
            equal = await _demonstrate(reactor, options["megabytes"], key_file)
            status = 0 if equal else 1

    def finish(result: object) -> None:
        if result is not None:
            print(f"obfsfte: demo: {result}", file=sys.stderr)
        reactor.stop()

    running = Deferred.fromCoroutine(demonstrate())
    running.addErrback(lambda failure: failure.getErrorMessage())
    running.addCallback(finish)
    reactor.run()
    return status
