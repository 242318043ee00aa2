"""Halves that speak the session's protocol, on keys of the server's own making."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.halves import LISTEN, Half, Target, Tunnel, exchange, half, receive_to_end
from tests.e2e.waiting import LOOPBACK, wait_for


@contextmanager
def server(target: Target, state: Path, *options: object, listen: str = LISTEN) -> Iterator[Half]:
    """`obfsfte server OPTIONS...` in front of a target."""
    place = f"tcp:{LOOPBACK}:{target.port}"
    arguments = ("--state", state, "--listen", listen, "--target", place, *options)
    with half("server", *arguments) as process:
        yield process


def bridge_line(process: Half, state: Path) -> str:
    """The line that the server left, with its address in place of the operator's."""
    wait_for((state / "bridgeline.txt").exists, "bridge line")
    words = (state / "bridgeline.txt").read_text().split()
    return " ".join([words[0], f"{LOOPBACK}:{process.port}", *words[2:]])


@contextmanager
def client(line: str) -> Iterator[Half]:
    """`obfsfte client` that has this line."""
    with half("client", "--listen", LISTEN, "--bridge", line) as process:
        yield process


@contextmanager
def tunnel(
    state: Path, cover: str, *options: object, through: int | None = None, more: str = ""
) -> Iterator[tuple[Tunnel, Half, Half]]:
    """A tunnel and its halves, the client's first.

    `options` are the server's, `more` is for the client's line; `through` is another port.
    """
    with Target() as target, server(target, state, "--cover", cover, *options) as bridge:
        words = bridge_line(bridge, state).split()
        words[1] = f"{LOOPBACK}:{through or bridge.port}"
        with client(" ".join([*words, more])) as process:
            yield Tunnel(process.port, target), process, bridge


def use(way: Tunnel, connections: int, size: int) -> None:
    """Short messages, bulk both ways at once, and a clean end."""
    for _ in range(connections):
        with way.open() as (application, service):
            for length in (1, 20, 514, 1028, 3000):
                application.sendall(bytes(length))
                service.sendall(bytes(514))
                taken = 0
                while taken < length:
                    taken += len(service.recv(length - taken))
                taken = 0
                while taken < 514:
                    taken += len(application.recv(514 - taken))
            exchange(application, service, size)
            application.shutdown(1)
            assert receive_to_end(service) == b""
            service.shutdown(1)
            assert receive_to_end(application) == b""
