"""Bandwidth through Tor: a private network of real tor processes, all on this machine.

Run `python bench/tor.py [--megabytes N] [--rounds N] [COVER ...]`, with all that the end-to-end
tests of tor need. Each way has a bridge and a client of its own, and all have their turn in each
round. Printed are medians: megabytes per second, and the CPU seconds that both halves of the
transport spend on 100 megabytes. `plain` is a bridge without a transport: the most that tor
itself carries here.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.e2e.tornet import Tor, TorNetwork
from tests.e2e.transports import Fte, Obfs4, Transport, add_bridge
from tests.e2e.waiting import LOOPBACK, free_port
from tests.e2e.web import WebServer, curl

MEGABYTE = 1_000_000
PATIENCE = 600  # seconds that one transfer may take
TICKS = os.sysconf("SC_CLK_TCK")


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

    def medians(self) -> list[tuple[float, float]]:
        """(MB/s, CPU seconds for 100 MB) of the downloads, and of the uploads."""
        columns = zip(*self._figures, strict=True)
        down, down_cpu, up, up_cpu = (statistics.median(column) for column in columns)
        return [(down, down_cpu), (up, up_cpu)]

    def _transfer(self, size: int, transfer: Callable[[], bytes]) -> tuple[float, float]:
        cpu, start = self._cpu(), time.perf_counter()
        transfer()
        elapsed, cpu = time.perf_counter() - start, self._cpu() - cpu
        return size / MEGABYTE / elapsed, cpu / (size / MEGABYTE) * 100

    def _cpu(self) -> float:
        """Seconds of user and system time of all managed proxies (proc(5), /proc/PID/stat)."""
        ticks = 0
        for process in (*self._bridge.proxies(), *self._client.proxies()):
            fields = Path(f"/proc/{process}/stat").read_text().rpartition(") ")[2].split()
            ticks += int(fields[11]) + int(fields[12])
        return ticks / TICKS


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
    print(f"{'':20}{'download':>16}{'upload':>24}")
    print(f"{'':20}" + 2 * f"{'MB/s':>12}{'CPU s/100 MB':>14}")
    for way in ways:
        rates = "".join(f"{rate:12.1f}{cpu:14.1f}" for rate, cpu in way.medians())
        print(f"{way.name:20}{rates}")


if __name__ == "__main__":
    main()
