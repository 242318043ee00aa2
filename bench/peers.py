"""Pairs of processes that carry TCP: ours in each cover, and what it is compared with."""

from __future__ import annotations

import re
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.load import Entrance
from tests.e2e.fteproxy_peer import fteproxy_command
from tests.e2e.halves import Process
from tests.e2e.pt_process import PT, Managed, client_environment, server_environment
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for

BARE = Path(__file__).with_name("bare.py")

HAPROXY = """
defaults
    mode tcp
    maxconn 15000
    timeout connect 10s
    timeout client 1h
    timeout server 1h
listen relay
    bind {host}:{listen}
    server next {host}:{connect}
"""


@dataclass(frozen=True)
class Pair:
    """Two halves that run, and the way into them."""

    entrance: Entrance
    client: int  # process id
    server: int


#: Starts a pair in front of a target's port, and ends it.
Start = Callable[[ExitStack, int], Pair]


def managed_pair(
    stack: ExitStack, target: int, method: str, command: Sequence[object], options: str
) -> Pair:
    """Both halves as tor runs them."""
    state = Path(stack.enter_context(tempfile.TemporaryDirectory()))
    for half in ("client", "server"):
        (state / half).mkdir()
    server = stack.enter_context(
        Managed(
            server_environment(
                state / "server",
                target,
                TOR_PT_SERVER_TRANSPORTS=method,
                TOR_PT_SERVER_BINDADDR=f"{method}-{LOOPBACK}:{free_port()}",
                TOR_PT_SERVER_TRANSPORT_OPTIONS=options or None,
            ),
            command=tuple(command),
        )
    )
    said = server.wait_for_line(rf"SMETHOD {method} .*?:(\d+) ARGS:(.*)")
    arguments = dict(re.findall(r"([^=,]+)=((?:\\.|[^,\\])*)", said[2]))
    client = stack.enter_context(
        Managed(
            client_environment(state / "client", TOR_PT_CLIENT_TRANSPORTS=method),
            command=tuple(command),
        )
    )
    port = int(client.wait_for_line(rf"CMETHOD {method} socks5 .*?:(\d+)")[1])
    entrance = Entrance(port, (LOOPBACK, int(said[1])), arguments)
    return Pair(entrance, client.pid, server.pid)


def obfsfte(cover: str) -> Start:
    return lambda stack, target: managed_pair(stack, target, "fte", PT, f"fte:cover={cover}")


def obfs4proxy(stack: ExitStack, target: int) -> Pair:
    # obfs4proxy's lines are pt-spec's as well, and it wants a name for each transport.
    return managed_pair(stack, target, "obfs4", [shutil.which("obfs4proxy")], "")


def fteproxy(stack: ExitStack, target: int) -> Pair:
    bridge, port = free_port(), free_port()
    addresses = ["--client_ip", LOOPBACK, "--server_ip", LOOPBACK, "--proxy_ip", LOOPBACK]
    server = ["--mode", "server", "--server_port", bridge, "--proxy_port", target]
    client = ["--mode", "client", "--client_port", port, "--server_port", bridge]
    directory = stack.enter_context(tempfile.TemporaryDirectory())  # for its pid files
    pids = [
        _running(stack, place, fteproxy_command(), *mode, *addresses, TMPDIR=directory)
        for place, mode in ((bridge, server), (port, client))
    ]
    return Pair(Entrance(port), pids[1], pids[0])


def haproxy(stack: ExitStack, target: int) -> Pair:
    directory = stack.enter_context(tempfile.TemporaryDirectory())

    def command(_half: str, listen: int, connect: int) -> list[object]:
        file = Path(directory, f"{listen}.cfg")
        file.write_text(HAPROXY.format(host=LOOPBACK, listen=listen, connect=connect))
        return [shutil.which("haproxy"), "-db", "-f", file]

    return _relays(stack, target, command)


def bare_twisted(step: str) -> Start:
    """See bare.py."""
    command = [sys.executable, BARE, step]
    return lambda stack, target: _relays(stack, target, lambda *half: [*command, *half])


def _relays(
    stack: ExitStack, target: int, command: Callable[[str, int, int], Sequence[object]]
) -> Pair:
    bridge, port = free_port(), free_port()
    server = _running(stack, bridge, *command("server", bridge, target))
    client = _running(stack, port, *command("client", port, bridge))
    return Pair(Entrance(port), client, server)


def _running(stack: ExitStack, port: int, *command: object, **environment: str) -> int:
    process = stack.enter_context(Process(*command, env=environment))
    wait_for(lambda: listens(port), f"{command[0]} that listens")
    return process.pid


#: By the names in the tables.
PEERS: dict[str, Start] = {
    "obfs4proxy": obfs4proxy,
    "fteproxy": fteproxy,
    "haproxy": haproxy,
    "twisted": bare_twisted("copy"),
    "twisted-direct": bare_twisted("direct"),
    "twisted-sealed": bare_twisted("sealed"),
}


@contextmanager
def running(start: Start, target: int) -> Iterator[Pair]:
    with ExitStack() as stack:
        yield start(stack, target)
