"""The websocket cover between real processes: judged from outside, and through intermediaries."""

from __future__ import annotations

import asyncio
import contextlib
import re
import socket
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from typing import Any

import pytest

from obfsfte.covers import Catalogue
from tests.e2e.capture import capture, ndpi, tshark
from tests.e2e.halves import LISTEN, Target, Tunnel, half
from tests.e2e.sessions import bridge_line, client, server, tunnel, use
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for
from tests.e2e.web_servers import run_haproxy, run_nginx
from tests.libraries import library

pytestmark = pytest.mark.e2e

clients = library("websockets.asyncio.client")
servers = library("websockets.asyncio.server")
exceptions = library("websockets.exceptions")

COVERS = ["websocket", "websocket-api"]


@pytest.mark.parametrize("cover", COVERS)
def test_the_wire_is_a_websocket_to_its_judges(tmp_path: Path, cover: str) -> None:
    file = tmp_path / "wire.pcapng"
    with tunnel(tmp_path / "state", cover) as (way, _, bridge), capture(bridge.port, file):
        use(way, 3, 1_000_000)
    assert_judges_are_content(file, bridge.port, 3)


def assert_judges_are_content(file: Path, port: int, connections: int) -> None:
    fields = ["_ws.malformed", "http.request.uri", "http.response.code", "tcp.dstport"]
    packets = tshark(file, port, [*fields, "websocket.opcode", "websocket.mask"])
    assert {packet["_ws.malformed"] for packet in packets} == {""}
    assert sum(packet["http.request.uri"] != "" for packet in packets) == connections
    assert Counter(packet["http.response.code"] for packet in packets)["101"] == connections
    opcodes = Counter(
        opcode for packet in packets for opcode in packet["websocket.opcode"].split(",")
    )
    assert opcodes.keys() == {"", "2", "8"}
    assert opcodes["2"] > 5 * connections
    assert opcodes["8"] == connections
    for packet in packets:
        if packet["websocket.mask"]:
            to_server = packet["tcp.dstport"] == str(port)
            assert {*packet["websocket.mask"].split(",")} == {"1" if to_server else "0"}
    protocols, risks = ndpi(file)
    assert protocols <= {"HTTP", "WebSocket", "HTTP.WebSocket"}
    assert protocols
    # The port is a test's; a bridge's is 80.
    assert risks <= {"Known Protocol on Non Standard Port"}


@pytest.mark.parametrize("cover", COVERS)
def test_every_template_is_a_websocket_to_its_judges(tmp_path: Path, cover: str) -> None:
    """As many bridges as it takes to have all requests and responses, without their processes."""
    file = tmp_path / "wire.pcapng"
    definition = Catalogue().get(cover)
    random = Random(1)
    keys = bytes(32), bytes(32)
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
        with capture(port, file):
            for seed in range(60):
                parameters = {"seed": str(seed)}
                with socket.create_connection((LOOPBACK, port)) as one:
                    other = listening.accept()[0]
                    greeting = definition.look(parameters).greeting(random)
                    client = greeting.begin(random.randbytes(greeting.record_size(74)), *keys)
                    one.sendall(b"".join(client.data_to_send()))
                    [hello] = definition.look(parameters).opening(random).feed(other.recv(1 << 16))
                    bridge = hello.accept(*keys, now=0)
                    for _ in range(3):
                        message = bridge.data_to_send() + bridge.wrap(random.randbytes(600))
                        other.sendall(b"".join(message))
                        client.unwrap(one.recv(1 << 16))
                        one.sendall(b"".join(client.wrap(random.randbytes(600))))
                        bridge.unwrap(other.recv(1 << 16))
                    other.sendall(b"".join(bridge.finish()))
                    other.close()
                    assert one.recv(100)
    assert_judges_are_content(file, port, 60)


NGINX = """
    server {{
        listen {host}:{port} {tls};
        location = /live {{
            proxy_pass http://{host}:{bridge}/other/path$is_args$args;
            proxy_http_version 1.1;
            proxy_set_header Upgrade $http_upgrade;
            proxy_set_header Connection "upgrade";
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
        location / {{ return 200 "the site"; }}
    }}
"""


HAPROXY = """
    mode http
    timeout tunnel 60s
frontend wire
    bind {host}:{port}
    option forwardfor
    acl live path /live
    http-request set-header Host backend.internal
    use_backend bridge if live
    default_backend site
backend bridge
    http-request replace-path .* /other/path
    server one {host}:{bridge}
backend site
    http-request return status 200 content-type text/plain string "the site"
"""


@contextmanager
def intermediary(
    name: str, directory: Path, port: int, bridge: int, tls: str = ""
) -> Iterator[None]:
    """A web server in front: its path /live is the bridge's, anything else is a site's."""
    directory.mkdir()
    text = {"nginx": NGINX, "haproxy": HAPROXY}[name]
    text = text.format(host=LOOPBACK, port=port, bridge=bridge, tls=tls)
    with {"nginx": run_nginx, "haproxy": run_haproxy}[name](directory, text, port):
        yield


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_through_an_intermediary_that_rewrites_host_and_path(tmp_path: Path, name: str) -> None:
    port = free_port()
    arguments = "host=shop.example path=/live"
    with (
        tunnel(tmp_path / "state", "websocket", through=port, more=arguments) as (way, _, bridge),
        intermediary(name, tmp_path / name, port, bridge.port),
    ):
        use(way, 2, 1_000_000)


def test_through_nginx_that_ends_tls(tmp_path: Path, certificate: Path) -> None:
    """The server's line is all that a client needs, but for the authority if it is no pin."""
    port, state = free_port(), tmp_path / "state"
    tls = f"ssl; ssl_certificate {certificate}/cert.pem; ssl_certificate_key {certificate}/key.pem"
    options = ("--url", f"wss://localhost:{port}/live", "--pin", certificate / "cert.pem")
    with (
        Target() as target,
        server(target, state, "--path", "/other/path", *options) as bridge,
        intermediary("nginx", tmp_path / "nginx", port, bridge.port, tls),
    ):
        line = (state / "bridgeline.txt").read_text().strip()
        with client(line) as process:
            use(Tunnel(process.port, target), 1, 1_000_000)
        without_pin = re.sub(r" pin=\S+", "", line)
        with half(
            "client",
            "--listen",
            LISTEN,
            "--bridge",
            without_pin,
            "--ca-file",
            certificate / "cert.pem",
        ) as process:
            use(Tunnel(process.port, target), 1, 1_000_000)


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_a_path_that_is_not_the_bridges_gets_the_site(tmp_path: Path, name: str) -> None:
    port = free_port()
    with (
        Target() as target,
        server(target, tmp_path / "state", "--cover", "websocket") as bridge,
        intermediary(name, tmp_path / name, port, bridge.port),
    ):
        words = bridge_line(bridge, tmp_path / "state").split()
        words[1] = f"{LOOPBACK}:{port}"
        with client(" ".join([*words, "path=/wrong"])) as process:
            with Tunnel(process.port, target).connect():
                process.wait_for_output("HTTP status 200")
            assert target.is_untouched()


class WebsocketsProxy:
    """The websockets library at both ends of a connection: a real server, and a real client.

    It takes each message apart and sends it on in frames of its own.
    """

    def __init__(self, port: int, bridge: int) -> None:
        self._serve = servers.serve
        self._port = port
        self._bridge = bridge
        self._loop = asyncio.new_event_loop()
        self._stop = asyncio.Event()
        self._thread = threading.Thread(target=self._loop.run_until_complete, args=(self._run(),))
        self.errors: list[Exception] = []
        self.messages = 0

    async def _run(self) -> None:
        options = {"compression": None, "max_size": 1 << 17, "ping_interval": 0.05}
        async with self._serve(self._visit, LOOPBACK, self._port, **options):  # type: ignore[arg-type]
            await self._stop.wait()

    async def _visit(self, visitor: Any) -> None:
        assert visitor.request is not None
        url = f"ws://{LOOPBACK}:{self._bridge}{visitor.request.path}"
        headers = [
            (name, value)
            for name, value in visitor.request.headers.raw_items()
            if name == "Cookie" or name.endswith(("-Token", "-Api-Key"))
        ]
        try:
            async with clients.connect(
                url, additional_headers=headers, max_size=1 << 17, ping_interval=0.05
            ) as bridge:
                await asyncio.gather(self._copy(visitor, bridge), self._copy(bridge, visitor))
        except Exception as error:
            self.errors.append(error)

    async def _copy(self, source: Any, sink: Any) -> None:
        try:
            async for message in source:
                assert isinstance(message, bytes)
                self.messages += 1
                half = len(message) // 2
                await sink.send([message[:half], message[half:]])
        except exceptions.ConnectionClosed as closed:
            # TCP may end without a close frame, but no end found fault with the other.
            if closed.sent is not None and closed.sent.code == 1002:
                self.errors.append(closed)
        with contextlib.suppress(exceptions.ConnectionClosed):
            await sink.close()

    def __enter__(self) -> WebsocketsProxy:
        self._thread.start()
        wait_for(lambda: listens(self._port), "a proxy that listens")
        return self

    def __exit__(self, *_error: object) -> None:
        self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()
        self._loop.close()


@pytest.mark.parametrize("cover", COVERS)
def test_through_the_websockets_library(tmp_path: Path, cover: str) -> None:
    port = free_port()
    with (
        tunnel(tmp_path / "state", cover, through=port) as (way, _, bridge),
        WebsocketsProxy(port, bridge.port) as proxy,
    ):
        use(way, 2, 1_000_000)
    assert proxy.errors == []
    assert proxy.messages > 60
