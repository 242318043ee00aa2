"""Bandwidth through Tor: a private network of real tor processes, all on this machine.

Run `python bench/tor.py [--megabytes N] [--rounds N] [COVER ...]`, with all that the end-to-end
tests of tor need. Each way has a bridge and a client of its own, and all have their turn in each
round. Printed are medians: megabytes per second, and the CPU seconds that a bridge spends on 100
megabytes, in its half of the transport and in its tor. `plain` is a bridge without a transport:
the most that tor itself carries here.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from bench.measures import cpu_seconds
from tests.e2e.tornet import Tor, TorNetwork
from tests.e2e.transports import Fte, Obfs4, Transport, add_bridge
from tests.e2e.waiting import LOOPBACK, free_port
from tests.e2e.web import WebServer, curl

MEGABYTE = 1_000_000
PATIENCE = 600  # seconds that one transfer may take


class Way:
    """A client, its bridge, and what was measured between them."""

    def __init__(self, name: str, bridge: Tor, client: Tor) -> None:
        self.name = name
        self._bridge = bridge
        self._client = client
        self._figures: list[tuple[float, ...]] = []

    def warm_up(self, web: WebServer) -> None:
        """Have circuits ready, so that no measurement waits for one."""
        self._client.wait_for_bootstrap()
        curl(self._client, web.url(MEGABYTE))

    def measure(self, web: WebServer, size: int) -> None:
        """One round: a download and an upload."""
        body = web.body(size)
        down = self._transfer(size, lambda: curl(self._client, web.url(size), timeout=PATIENCE))
        up = self._transfer(size, lambda: curl(self._client, web.url(), body, timeout=PATIENCE))
        self._figures.append(down + up)

    def medians(self) -> list[float]:
        """MB/s, the half's and tor's CPU seconds for 100 MB: of the downloads, of the uploads."""
        return [statistics.median(column) for column in zip(*self._figures, strict=True)]

    def _transfer(self, size: int, transfer: Callable[[], bytes]) -> tuple[float, float, float]:
        before, start = self._cpu(), time.perf_counter()
        transfer()
        elapsed = time.perf_counter() - start
        half, tor = (now - then for now, then in zip(self._cpu(), before, strict=True))
        hundreds = size / MEGABYTE / 100
        return 100 * hundreds / elapsed, half / hundreds, tor / hundreds

    def _cpu(self) -> tuple[float, float]:
        """What the bridge's half of the transport, and its tor, have spent, in seconds."""
        return sum(map(cpu_seconds, self._bridge.proxies())), cpu_seconds(self._bridge.pid)


def start_ways(network: TorNetwork, covers: list[str]) -> list[Way]:
    """`plain`, obfs4, fte as it is by default, on the classic wire, and in each cover."""
    address = f"{LOOPBACK}:{free_port()}"
    plain = network.add_bridge("bridge-plain", f"BridgeRelay 1\nORPort {address}\n")
    torrc = f"UseBridges 1\nBridge {address} {plain.fingerprint}\n"
    ways = [Way("plain", plain, network.add_client("client-plain", torrc))]

    transports: dict[str, Transport] = {
        "obfs4": Obfs4(),
        "fte": Fte(),
        "fte-classic": Fte(options="classic=1"),
        **{f"fte-{cover}": Fte(options=f"cover={cover}") for cover in covers},
    }
    for name, transport in transports.items():
        bridge = add_bridge(network, f"bridge-{name}", transport)
        line = bridge.line()
        if name == "fte-classic":
            line = " ".join(line.split()[:3])  # no arguments: the classic wire
        client = network.add_client(f"client-{name}", transport.client_torrc(line))
        ways.append(Way(name, bridge.tor, client))
    return ways


def main() -> None:
    parser = argparse.ArgumentParser(description="Bandwidth through a private Tor network.")
    parser.add_argument("--megabytes", type=int, default=50, help="size of a transfer")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("covers", nargs="*", metavar="COVER", help="more covers to measure")
    options = parser.parse_args()

    with TorNetwork() as network, WebServer() as web:
        ways = start_ways(network, options.covers)
        for way in ways:
            way.warm_up(web)
        for _ in range(options.rounds):
            for way in ways:
                way.measure(web, options.megabytes * MEGABYTE)
    print(f"{'':20}{'download':>12}{'upload':>32}")
    print(f"{'':20}" + 2 * f"{'MB/s':>12}{'CPU half':>10}{'CPU tor':>10}")
    for way in ways:
        columns = zip((12, 10, 10) * 2, way.medians(), strict=True)
        print(f"{way.name:20}" + "".join(f"{value:{width}.2f}" for width, value in columns))


if __name__ == "__main__":
    main()
