"""Visitors that a censor would send, byte for byte, and what they see.

A probe is a list of steps. `visit_both` takes them at two ports, and gives both answers: what
came back, and how the connection ended. The one port is the bridge's, the other the site's.
"""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import ssl
import struct
import time
from collections.abc import Sequence
from dataclasses import dataclass, field

from tests.e2e.waiting import LOOPBACK

#: Longer than any timeout of the site; after that the connection counts as open. In seconds.
PATIENCE = 12.0

#: Connections at once.
_CROWD = 24

_DATE = re.compile(rb"(?m)^Date: \w{3}, \d\d \w{3} \d{4} \d\d:\d\d:\d\d GMT")


@dataclass(frozen=True)
class Send:
    data: bytes = field(repr=False)


@dataclass(frozen=True)
class Pause:
    """So long that what follows arrives by itself."""

    seconds: float = 0.05


@dataclass(frozen=True)
class Hear:
    """Wait until something comes back."""


@dataclass(frozen=True)
class Finish:
    """Send FIN; still read."""


@dataclass(frozen=True)
class Reset:
    """Leave with RST."""


@dataclass(frozen=True)
class Poke:
    """Once the other end has closed, say something more: is anybody there?"""


Step = Send | Pause | Hear | Finish | Reset | Poke
Probe = Sequence[Step]


@dataclass(frozen=True)
class Answer:
    """What a probe saw."""

    data: bytes
    #: "closed" (by FIN), "reset", still "open", or that we "left"; with a `Poke`, what came of it.
    ending: str
    #: From the probe's last step to the first byte, or to the end of the connection.
    seconds: float = field(compare=False)
    #: From the first to the end of the connection.
    lifetime: float = field(compare=False)


def without_date(data: bytes) -> bytes:
    """A response without the one thing in it that tells the time."""
    return _DATE.sub(b"Date: -", data)


async def visit(port: int, probe: Probe, patience: float = PATIENCE) -> Answer:
    loop = asyncio.get_running_loop()
    with socket.socket() as connection:
        connection.setblocking(False)
        connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        started = time.monotonic()
        await loop.sock_connect(connection, (LOOPBACK, port))
        asked, answered = started, None
        data = bytearray()
        ending = "closed"
        try:
            async with asyncio.timeout(patience):
                # The other end may close before we are through; what is read then says how.
                with contextlib.suppress(OSError):
                    for step in probe:
                        data += await _take(step, connection)
                if Reset() in probe:
                    return Answer(b"", "left", 0.0, 0.0)
                asked = time.monotonic()
                while more := await loop.sock_recv(connection, 1 << 16):
                    answered = answered or time.monotonic()
                    data += more
        except ConnectionResetError:
            ending = "reset"
        except TimeoutError:
            ending = "open"
        ended = time.monotonic()
        if ending == "closed" and Poke() in probe:
            ending = f"closed, then {await _poke(connection)}"
        seconds, lifetime = (answered or ended) - asked, ended - started
        return Answer(without_date(bytes(data)), ending, seconds, lifetime)


async def _take(step: Step, connection: socket.socket) -> bytes:
    match step:
        case Send(data):
            await asyncio.get_running_loop().sock_sendall(connection, data)
        case Pause(seconds):
            await asyncio.sleep(seconds)
        case Hear():
            return await asyncio.get_running_loop().sock_recv(connection, 1 << 16)
        case Finish():
            connection.shutdown(socket.SHUT_WR)
        case Reset():
            linger_for_nothing = struct.pack("ii", 1, 0)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger_for_nothing)
    return b""


async def _poke(connection: socket.socket) -> str:
    """Whether a closed connection is answered with a reset."""
    try:
        connection.send(b"still there?")
        for _ in range(25):
            await asyncio.sleep(0.02)
            if connection.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR):
                return "reset"
    except OSError:
        return "reset"
    return "silent"


def visit_all(port: int, probes: Sequence[Probe], patience: float = PATIENCE) -> list[Answer]:
    """Every probe at one port, all at once."""

    async def run() -> list[Answer]:
        return list(await asyncio.gather(*(visit(port, probe, patience) for probe in probes)))

    return asyncio.run(run())


def visit_both(one: int, other: int, probes: Sequence[Probe]) -> list[tuple[Answer, Answer]]:
    """Every probe at both ports at the same time, many probes at once."""

    async def run() -> list[tuple[Answer, Answer]]:
        room = asyncio.Semaphore(_CROWD)

        async def at_both(probe: Probe) -> tuple[Answer, Answer]:
            async with room:
                first, second = await asyncio.gather(visit(one, probe), visit(other, probe))
                return first, second

        return list(await asyncio.gather(*map(at_both, probes)))

    return asyncio.run(run())


def visit_in_turn(
    one: int, other: int, probe: Probe, times: int
) -> tuple[list[Answer], list[Answer]]:
    """One probe again and again, at the one port and at the other, never two at once."""

    async def run() -> tuple[list[Answer], list[Answer]]:
        answers: tuple[list[Answer], list[Answer]] = [], []
        for _ in range(times):
            for port, seen in zip((one, other), answers, strict=True):
                seen.append(await visit(port, probe))
        return answers

    return asyncio.run(run())


def tls_client_hello() -> bytes:
    """What a TLS client says first."""
    outgoing = ssl.MemoryBIO()
    client = ssl.create_default_context().wrap_bio(
        ssl.MemoryBIO(), outgoing, server_hostname="www.example.com"
    )
    with contextlib.suppress(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()
