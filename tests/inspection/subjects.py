"""Who is looked at: our covers, what they imitate, and the ancestor as a warning."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from socket import socket
from tempfile import TemporaryDirectory

import attrs

from bench.load import Entrance
from bench.peers import PEERS, running
from obfsfte.covers import Catalogue
from tests.e2e.capture import capture
from tests.e2e.fteproxy_peer import fteproxy_client, fteproxy_server
from tests.e2e.halves import LISTEN, PATIENCE, Target, Tunnel, half
from tests.e2e.sessions import bridge_line, server
from tests.e2e.tools import tool
from tests.e2e.tornet import TorNetwork
from tests.e2e.transports import Fte, add_bridge, add_client
from tests.e2e.waiting import LOOPBACK
from tests.e2e.web import WebServer, curl
from tests.inspection import real, traffic
from tests.inspection.judges import Findings, judge

#: Kinds of covers that imitate what servers of the web and their clients say.
WEB_KINDS = ("websocket", "http")

#: A running tunnel, and the port that its wire goes to.
Start = Callable[[], AbstractContextManager[tuple[Tunnel, int]]]


def web_covers() -> list[str]:
    """The built-in covers of these kinds."""
    catalogue = Catalogue()
    return [name for name in catalogue.names if catalogue.get(name).kind in WEB_KINDS]


@contextmanager
def in_cover(name: str, port: int = 0) -> Iterator[tuple[Tunnel, int]]:
    """Both halves of ours, in a cover; port 0 is any free one."""
    listen = f"tcp:{port}:interface={LOOPBACK}"
    with TemporaryDirectory() as parent, Target() as target:
        state = Path(parent) / "state"
        with (
            server(target, state, "--cover", name, listen=listen) as bridge,
            half("client", "--listen", LISTEN, "--bridge", bridge_line(bridge, state)) as client,
        ):
            yield Tunnel(client.port, target), bridge.port


@contextmanager
def fteproxy() -> Iterator[tuple[Tunnel, int]]:
    """Both halves of fteproxy 0.3.2, as it comes."""
    with Target() as target, fteproxy_server(target) as bridge, fteproxy_client(bridge) as client:
        yield Tunnel(client, target), bridge


class _PluggableTunnel(Tunnel):
    """A tunnel of a pluggable transport, entered as tor does."""

    def __init__(self, entrance: Entrance, target: Target) -> None:
        super().__init__(entrance.port, target)
        self._entrance = entrance

    def connect(self) -> socket:
        connection = self._entrance.connect()
        connection.settimeout(PATIENCE)
        return connection


@contextmanager
def obfs4proxy() -> Iterator[tuple[Tunnel, int]]:
    """Both halves of obfs4proxy, whose bytes are random from the first to the last."""
    tool("obfs4proxy")
    with Target() as target, running(PEERS["obfs4proxy"], target.port) as pair:
        assert pair.entrance.bridge is not None
        yield _PluggableTunnel(pair.entrance, target), pair.entrance.bridge[1]


def captured_tunnel(start: Start, file: Path, connections: int) -> int:
    """Capture each pattern of use, and then short connections; the port."""
    with start() as (way, port), capture(port, file):
        for use in traffic.USES.values():
            use(way)
        traffic.many_connections(way, connections)
    return port


def captured_tor(cover: str, file: Path) -> int:
    """Capture a tor's own traffic through a bridge, from its start to a download; the port."""
    with TorNetwork() as network, WebServer() as web:
        bridge = add_bridge(network, "bridge", Fte(options=f"cover={cover}"))
        port = int(bridge.address.rpartition(":")[2])
        with capture(port, file):
            client = add_client(network, "client", bridge)
            client.wait_for_bootstrap()
            assert curl(client, web.url(traffic.BULK)) == web.body(traffic.BULK)
    return port


@attrs.frozen
class Baseline:
    """What the judges say of the real thing."""

    http: Findings
    websocket: Findings

    def of(self, kind: str) -> Findings:
        """For a kind of cover."""
        return self.websocket if kind == "websocket" else self.http


def baseline(directory: Path, port: int) -> Baseline:
    """Capture the real thing on a port, and have it judged."""
    found = []
    for name, run in (
        ("http", lambda: real.http(port, directory / "site")),
        ("websocket", lambda: real.websocket(port)),
    ):
        file = directory / f"real-{name}.pcapng"
        with capture(port, file):
            run()
        found.append(judge(file, port))
    return Baseline(*found)
