"""Several server processes behind one address, as docs/capacity.md sets them up."""

from __future__ import annotations

import re
import subprocess
from contextlib import ExitStack
from pathlib import Path

import pytest

from tests.e2e.halves import COMMAND, LISTEN, Process, Target, connect, half, receive
from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for

pytestmark = pytest.mark.e2e

PAGE = (Path(__file__).parents[2] / "docs" / "capacity.md").read_text()


def test_workers_share_an_address_and_a_state_directory(tmp_path: Path) -> None:
    """With the page's own configuration, but for its ports."""
    [configuration] = re.findall(r"^```haproxy\n(.*?)^```$", PAGE, re.M | re.S)
    front = free_port()
    state = tmp_path / "state"
    with ExitStack() as stack:
        target = stack.enter_context(Target())
        place = f"tcp:{LOOPBACK}:{target.port}"
        options = ["--state", state, "--listen", f"haproxy:{LISTEN}", "--target", place]
        workers = [stack.enter_context(half("server", *options)) for _ in range(2)]
        for documented, port in (("*:8080", front), *zip((":8091", ":8092"), workers, strict=True)):
            port = getattr(port, "port", port)
            assert documented in configuration
            host = LOOPBACK if documented.startswith("*") else ""
            configuration = configuration.replace(documented, f"{host}:{port}")
        file = tmp_path / "haproxy.cfg"
        file.write_text(configuration)
        stack.enter_context(Process(tool("haproxy"), "-db", "-f", file))
        wait_for(lambda: listens(front), "haproxy that listens")

        command = [COMMAND, "bridge-line", "--state", state, "--address", f"{LOOPBACK}:{front}"]
        line = subprocess.run(command, check=True, capture_output=True, text=True).stdout.strip()
        client = stack.enter_context(half("client", "--listen", LISTEN, "--bridge", line))
        before = [files(worker) for worker in workers]
        for _ in range(8):
            application = stack.enter_context(connect(client.port))
            application.sendall(b"hello")
            service = stack.enter_context(target.accept())
            assert receive(service, 5) == b"hello"
        assert all(files(worker) > then for worker, then in zip(workers, before, strict=True))


def files(process: Process) -> int:
    """How many files it has open."""
    return len(list(Path(f"/proc/{process.pid}/fd").iterdir()))
