"""Captures on loopback, and what programs that nobody here wrote say of them."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.halves import Process
from tests.e2e.tools import tool, unavailable
from tests.e2e.waiting import wait_for


@contextmanager
def capture(port: int, file: Path) -> Iterator[None]:
    """Write all packets of this TCP port to a file while the block runs."""
    options = ["-i", "lo", "-f", f"tcp port {port}", "-B", "64", "-w", file]
    with Process(tool("dumpcap"), *options) as process:
        wait_for(
            lambda: "File: " in process.stderr or process.status is not None, "capture that runs"
        )
        if process.status is not None:
            unavailable(f"dumpcap cannot capture: {process.stderr}")
        yield
        # Packets reach the file late: it is complete when it has stopped growing.
        sizes = [-1]

        def is_complete() -> bool:
            sizes.append(file.stat().st_size)
            return len(sizes) > 50 and sizes[-50] == sizes[-1]

        wait_for(is_complete, "complete capture")


def tshark(file: Path, port: int, fields: list[str], *options: str) -> list[dict[str, str]]:
    """Fields of each packet, dissected as HTTP on that port."""
    words = [word for field in fields for word in ("-e", field)]
    command = [tool("tshark"), "-r", file, "-d", f"tcp.port=={port},http", "-T", "fields"]
    # Loopback captures of two processors can be out of order.
    command += ["-o", "tcp.reassemble_out_of_order:TRUE"]
    done = subprocess.run(
        [str(word) for word in [*command, *words, *options]], check=True, capture_output=True
    )
    lines = done.stdout.decode().splitlines()
    return [dict(zip(fields, line.split("\t"), strict=True)) for line in lines]


def ndpi(file: Path) -> tuple[set[str], set[str]]:
    """nDPI's verdict on all flows: the protocols, and the risks that it sees in them."""
    command = [tool("ndpiReader"), "-v", "2", "-i", str(file)]
    done = subprocess.run(command, check=True, capture_output=True)
    text = done.stdout.decode()
    protocols = set(re.findall(r"\[proto: [0-9.]+/([^\]]+)\]", text))
    _, _, risks = text.partition("Risk stats")
    return protocols, set(re.findall(r"^\t(\S.*?) +[0-9]+ \[[ 0-9.]+%\]", risks, re.MULTILINE))
