"""Traffic to capture: what goes through a tunnel, and the real thing beside it.

A pattern of use is the same whatever carries it, so that a judge who tells two captures apart
tells the carriers apart and not their users.
"""

from __future__ import annotations

import hashlib
import threading
from collections.abc import Callable
from random import Random
from socket import SHUT_WR, socket

from tests.e2e.halves import Tunnel, exchange, receive, receive_to_end

BULK = 4_000_000

Use = Callable[[Tunnel], None]


def interactive(way: Tunnel) -> None:
    """A remote shell: keys, their echoes, now and then a screen."""
    random = Random(1)
    with way.open() as (application, service):
        for _ in range(80):
            key = random.randbytes(random.choice([1, 1, 1, 2, 30]))
            application.sendall(key)
            assert receive(service, len(key)) == key
            screen = random.randbytes(random.choice([1, 1, 4, 60, 2000]))
            service.sendall(screen)
            assert receive(application, len(screen)) == screen
        _end(application, service)


def bulk_up(way: Tunnel) -> None:
    """An upload."""
    with way.open() as (application, service):
        _carry(application, service)
        _end(application, service)


def bulk_down(way: Tunnel) -> None:
    """A download."""
    with way.open() as (application, service):
        _carry(service, application)
        _end(application, service)


def bulk_both(way: Tunnel) -> None:
    """Both at once."""
    with way.open() as (application, service):
        exchange(application, service, BULK)
        _end(application, service)


USES: dict[str, Use] = {
    "interactive": interactive,
    "bulk up": bulk_up,
    "bulk down": bulk_down,
    "bulk both": bulk_both,
}


def many_connections(way: Tunnel, count: int) -> None:
    """Short ones, for what only their number shows."""
    for _ in range(count):
        with way.open() as (application, service):
            _end(application, service)


def _carry(source: socket, sink: socket) -> None:
    data = Random(2).randbytes(BULK)
    sender = threading.Thread(target=source.sendall, args=[data])
    sender.start()
    taken = receive(sink, BULK)
    sender.join()
    assert hashlib.sha256(taken).digest() == hashlib.sha256(data).digest()


def _end(application: socket, service: socket) -> None:
    application.shutdown(SHUT_WR)
    assert receive_to_end(service) == b""
    service.shutdown(SHUT_WR)
    assert receive_to_end(application) == b""
