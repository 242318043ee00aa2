"""Waiting for conditions, and ports for programs that cannot choose one themselves."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

T = TypeVar("T")

LOOPBACK = "127.0.0.1"


def wait_for(condition: Callable[[], T], what: str, timeout: float = 30) -> T:
    """Poll until `condition()` is true, and return its value."""
    deadline = time.monotonic() + timeout
    while not (value := condition()):
        if time.monotonic() > deadline:
            raise AssertionError(f"after {timeout:.0f} s still no {what}")
        time.sleep(0.02)
    return value


def can_listen(port: int) -> bool:
    """Whether nobody listens on this port of loopback now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((LOOPBACK, port))
        except OSError:
            return False
        return True


def free_port() -> int:
    """A port that nobody listens on, below those that outgoing connections are given."""
    while not can_listen(port := random.randrange(10000, 32768)):
        pass
    return port


def listens(port: int) -> bool:
    """Whether somebody listens on this port, without costing him a connection."""
    sockets = (line.split() for line in Path("/proc/net/tcp").read_text().splitlines()[1:])
    return any(row[1].endswith(f":{port:04X}") and row[3] == "0A" for row in sockets)
