"""iperf over a link of a given rate, direct and through pairs, in network namespaces.

```
 near                        router                              far
 iperf -c -- client half --[ veth ]-- tbf --[ veth ]-- server half -- iperf -s
```
The figures are the receiver's, of the seconds after the start: a sender's include what is
still in buffers. Every connection has the same window, the receiver's, from its first packet on,
and the link's queue is too long to drop anything, so that TCP itself shares the link evenly, and
what is uneven is a relay's doing. So the queue must be at neither end: in its own machine's queue
TCP keeps but a few packets of a connection (TCP Small Queues), as large as its round trip was
short when it began, and of 100 direct streams some have ten times what others have.
"""

from __future__ import annotations

import os
import signal
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from bench.measures import Figures
from tests.e2e.fteproxy_peer import fteproxy_command
from tests.e2e.halves import Process
from tests.e2e.waiting import wait_for

OBFSFTE = Path(sys.executable).with_name("obfsfte")

#: Of the net that is set apart for documentation (RFC 5737); nothing leaves the namespaces.
NEAR, FAR = "192.0.2.1", "192.0.2.5"
_ROUTER = {NEAR: "192.0.2.2", FAR: "192.0.2.6"}  # its address on the way to each
DEVICE = "wire"
_ROUTERS_DEVICE = {NEAR: "near", FAR: "far"}
TARGET_PORT, BRIDGE_PORT, CLIENT_PORT = 5001, 8080, 8079

_PACKET = 1448  # bytes of a packet's payload
_QUEUE_MS = 2000
_BEGINNING, _LONG_BEGINNING = 2, 5  # seconds of each stream that are not counted
_LATE = 3  # seconds that one stream may begin after the first: iperf counts from its own begin

#: What has to be run in the near and the far namespace.
Spawn = Callable[..., Process]


class NotPermitted(Exception):
    """This machine does not let us make network namespaces."""


class Link:
    """Two namespaces, joined by a router that lets through so much a second."""

    def __init__(self) -> None:
        suffix = os.getpid()
        self.near, self.far = f"obfsfte-near-{suffix}", f"obfsfte-far-{suffix}"
        self._router = f"obfsfte-router-{suffix}"

    def _set_up(self) -> None:
        for namespace in (self.near, self.far, self._router):
            run("ip", "netns", "add", namespace)
            run("ip", "-n", namespace, "link", "set", "lo", "up")
        self._set(self._router, "net.ipv4.ip_forward=1")
        for namespace, address in ((self.near, NEAR), (self.far, FAR)):
            router = _ROUTER[address]
            device = _ROUTERS_DEVICE[address]
            run(
                *("ip", "link", "add", DEVICE, "netns", namespace, "type", "veth"),
                *("peer", "name", device, "netns", self._router),
            )
            self._bring_up(namespace, DEVICE, address)
            self._bring_up(self._router, device, router)
            # Other controls have plans of their own; and each connection begins anew.
            self._set(namespace, "net.ipv4.tcp_congestion_control=reno")
            self._set(namespace, "net.ipv4.tcp_no_metrics_save=1")

    def set_window(self, packets: int) -> None:
        """Let each new connection have so many packets under way."""
        for namespace, address in ((self.near, NEAR), (self.far, FAR)):
            run(
                *("ip", "-n", namespace, "route", "replace", "default", "via", _ROUTER[address]),
                *("initcwnd", packets, "window", packets * _PACKET),
                *("rto_min", f"{2 * _QUEUE_MS}ms"),  # what waits in the queue is not lost
            )

    def _bring_up(self, namespace: str, device: str, address: str) -> None:
        run("ip", "-n", namespace, "address", "add", f"{address}/30", "dev", device)
        run("ip", "-n", namespace, "link", "set", device, "up")

    def _set(self, namespace: str, setting: str) -> None:
        run("ip", "netns", "exec", namespace, "sysctl", "-qw", setting)

    def shape(self, rate: int) -> None:
        """Limit both directions to so many Mbit/s."""
        burst = max(rate * 1000 // 2, 1 << 16)  # bytes: what passes in 4 ms
        for device in _ROUTERS_DEVICE.values():
            run(
                *("tc", "-n", self._router, "qdisc", "replace", "dev", device, "root", "tbf"),
                *("rate", f"{rate}mbit", "burst", burst, "latency", f"{_QUEUE_MS}ms"),
            )

    def _tear_down(self) -> None:
        for namespace in (self.near, self.far, self._router):
            subprocess.run(["ip", "netns", "delete", namespace], capture_output=True, check=False)

    def spawn(self, namespace: str, *command: object) -> Process:
        """A process in one of the namespaces; a context manager."""
        return Process("ip", "netns", "exec", namespace, *command)

    def wait_for_port(self, namespace: str, port: int) -> None:
        def listens() -> bool:
            sockets = run("ip", "netns", "exec", namespace, "cat", "/proc/net/tcp")
            return any(f":{port:04X} 00000000:0000 0A" in line for line in sockets.splitlines())

        wait_for(listens, f"somebody who listens on port {port}")


@contextmanager
def shaped_link() -> Iterator[Link]:
    """Raises NotPermitted."""
    link = Link()
    try:
        link._set_up()
        yield link
    finally:
        link._tear_down()


def run(*command: object) -> str:
    try:
        done = subprocess.run(
            [str(word) for word in command], check=True, capture_output=True, text=True
        )
    except FileNotFoundError:
        raise NotPermitted(f"there is no {command[0]}") from None
    except subprocess.CalledProcessError as error:
        raise NotPermitted(f"{command[0]}: {error.stderr.strip()}") from None
    return done.stdout


def direct(_stack: ExitStack, _link: Link) -> tuple[str, int]:
    return FAR, TARGET_PORT


def through_obfsfte(stack: ExitStack, link: Link) -> tuple[str, int]:
    state = stack.enter_context(TemporaryDirectory())
    target = f"tcp:127.0.0.1:{TARGET_PORT}"
    server = ["server", "--state", state, "--listen", f"tcp:{BRIDGE_PORT}", "--target", target]
    stack.enter_context(link.spawn(link.far, OBFSFTE, *server))
    link.wait_for_port(link.far, BRIDGE_PORT)
    line = run(OBFSFTE, "bridge-line", "--state", state, "--address", f"{FAR}:{BRIDGE_PORT}")
    client = ["client", "--bridge", line.strip(), "--listen", f"tcp:{CLIENT_PORT}"]
    stack.enter_context(link.spawn(link.near, OBFSFTE, *client))
    link.wait_for_port(link.near, CLIENT_PORT)
    return "127.0.0.1", CLIENT_PORT


def through_fteproxy(stack: ExitStack, link: Link) -> tuple[str, int]:
    environment = ["env", f"TMPDIR={stack.enter_context(TemporaryDirectory())}"]
    addresses = ["--client_ip", "127.0.0.1", "--server_ip", FAR, "--proxy_ip", "127.0.0.1"]
    ports = [
        *("--client_port", CLIENT_PORT, "--server_port", BRIDGE_PORT),
        *("--proxy_port", TARGET_PORT),
    ]
    halves = ((link.far, BRIDGE_PORT, "server"), (link.near, CLIENT_PORT, "client"))
    for namespace, port, mode in halves:
        command = [*environment, fteproxy_command(), "--mode", mode, *addresses, *ports]
        stack.enter_context(link.spawn(namespace, *command))
        link.wait_for_port(namespace, port)
    return "127.0.0.1", CLIENT_PORT


#: Puts a pair on a link, and says where iperf connects to.
WAYS = {"direct": direct, "websocket": through_obfsfte, "fteproxy": through_fteproxy}


def goodput(link: Link, place: tuple[str, int], streams: int, seconds: int) -> Figures:
    """Mbit/s of all streams together, and how far apart they are: the fastest's less the slowest's
    in % of their mean."""
    host, port = place
    # 128 KB for few, and 32 for many: all of them send in rounds of as long as the link needs for
    # all windows, and the time that is counted must be of many rounds.
    link.set_window(88 if streams < 100 else 22)
    with link.spawn(link.far, "iperf", "-s", "-p", TARGET_PORT, "-y", "C", "-i", 1) as receiver:
        link.wait_for_port(link.far, TARGET_PORT)
        # The more share the link, the later the first round of all of them is over.
        beginning = _BEGINNING if streams < 100 else _LONG_BEGINNING
        end = beginning + seconds
        benchmark = ["iperf", "-c", host, "-p", port, "-P", streams, "-t", end + _LATE]
        with link.spawn(link.near, *benchmark) as sender:
            time.sleep(end + _LATE + 0.5)
            sender.signal(signal.SIGINT)
        time.sleep(0.2)
        received = reported(receiver.stdout.splitlines(), beginning, end)
    if len(received) != streams:
        raise ConnectionError(f"iperf received {len(received)} streams of {streams}")
    yield f"{streams}", sum(received) * 8 / 1e6 / seconds
    if streams > 1:
        apart = max(received) - min(received)
        yield f"{streams}, spread %", 100 * apart / statistics.fmean(received)


def reported(lines: Sequence[str], start: float, end: float) -> list[int]:
    """Bytes of each stream from `start` to `end`, of a report of `iperf -s -y C -i 1`."""
    streams: dict[str, int] = {}
    for line in lines:
        fields = line.split(",")
        if len(fields) < 9 or fields[5] == "-1":
            continue  # -1: the sum
        begin, until = map(float, fields[6].split("-"))
        if begin >= start and until <= end and until - begin < 1.5:
            streams[fields[5]] = streams.get(fields[5], 0) + int(fields[7])
    return list(streams.values())
