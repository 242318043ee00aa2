"""The real thing: what covers imitate, between programs that nobody here wrote.

Everything runs on one port, the one that the covered traffic had: a judge may hold a port against
a protocol.
"""

from __future__ import annotations

import asyncio
import subprocess
from pathlib import Path
from random import Random
from typing import Any

from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK
from tests.e2e.web_servers import run_nginx
from tests.inspection.traffic import BULK
from tests.libraries import library

clients = library("websockets.asyncio.client")
servers = library("websockets.asyncio.server")

#: Connections of each kind of use.
CONNECTIONS = 4

_NGINX = """
    default_type application/octet-stream;
    client_max_body_size 100m;
    server {{
        listen {host}:{port};
        root {directory}/site;
        location /api/ {{ proxy_pass http://unix:{directory}/api; }}
    }}
    server {{
        listen unix:{directory}/api;
        location / {{ return 200 "taken"; }}
    }}
"""


def http(port: int, directory: Path) -> None:
    """nginx and curl: pages, small posts, an upload, a download, all on persistent connections."""
    random = Random(3)
    site = directory / "site"
    site.mkdir(parents=True)
    (site / "large").write_bytes(random.randbytes(BULK))
    for number in range(10):
        (site / f"small{number}").write_bytes(random.randbytes(random.randrange(100, 5000)))
    (directory / "form").write_bytes(random.randbytes(700))
    text = _NGINX.format(directory=directory, host=LOOPBACK, port=port)
    with run_nginx(directory, text, port):
        base = f"http://{LOOPBACK}:{port}"
        # Without "Expect: 100-continue", which browsers do not send.
        binary = ["-H", "Content-Type: application/octet-stream", "-H", "Expect:"]
        post = [*binary, "--data-binary", f"@{directory}/form", f"{base}/api/form"]
        upload = [*binary, "--data-binary", f"@{site}/large", f"{base}/api/upload"]
        for _ in range(CONNECTIONS):
            _curl(*[f"{base}/small{number}" for number in range(10)])
            _curl(*post, "--next", *post, "--next", *post)
            _curl(*upload)
            _curl(f"{base}/large")


def _curl(*arguments: str) -> None:
    command = [tool("curl"), "--silent", "--show-error", "--fail", *arguments]
    subprocess.run(command, check=True, stdout=subprocess.DEVNULL)


def websocket(port: int) -> None:
    """The `websockets` library at both ends: small messages, an upload, a download, both."""
    asyncio.run(_websocket(port))


async def _websocket(port: int) -> None:
    random = Random(4)
    large = [random.randbytes(100_000) for _ in range(BULK // 100_000)]

    async def answer(connection: Any) -> None:
        assert connection.request is not None
        if "down" in connection.request.path:
            for message in large:
                await connection.send(message)
        async for message in connection:
            if len(message) < 10_000:
                await connection.send(message)

    async with servers.serve(answer, LOOPBACK, port, compression=None):
        for _ in range(CONNECTIONS):
            for path in ("talk", "up", "down", "up-and-down"):
                uri = f"ws://{LOOPBACK}:{port}/{path}"
                async with clients.connect(uri, compression=None) as client:
                    if path == "talk":
                        for _ in range(80):
                            await client.send(random.randbytes(random.choice([1, 30, 2000])))
                            await client.recv()
                    if "up" in path:
                        for message in large:
                            await client.send(message)
                    if "down" in path:
                        for _ in large:
                            await client.recv()
