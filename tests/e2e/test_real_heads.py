"""The built-in definitions beside what they imitate: nginx, HAProxy, the websockets library.

Each line must be the same but for what differs between any two servers or two connections.
"""

from __future__ import annotations

import re
import socket
from pathlib import Path
from random import Random
from threading import Thread
from typing import Any

import pytest

from obfsfte.covers.catalogue import Catalogue
from obfsfte.covers.http_fields import http_date
from obfsfte.covers.templates import Seeded
from obfsfte.covers.websocket_definition import WebSocketDefinition
from tests.e2e.halves import PATIENCE
from tests.e2e.test_websocket_cover import intermediary
from tests.e2e.waiting import LOOPBACK, free_port
from tests.libraries import library

sync_client = library("websockets.sync.client")
sync_server = library("websockets.sync.server")

pytestmark = pytest.mark.e2e

#: Values that vary: where they stand, and what stands for them.
VARYING = [
    (r"(?m)^(Sec-WebSocket-(?:Key|Accept)|Date|Host|X-\S+): .*$", r"\1: -"),
    (r"(?m)^(sec-websocket-accept): .*$", r"\1: -"),
    (r"(?m)^GET \S+ ", "GET - "),
    (r"(nginx|Python|websockets)/[0-9.]+", r"\1/-"),
]


def common(head: str) -> str:
    """A head without what varies."""
    text = head.replace("\r\n", "\n").strip()
    for pattern, replacement in VARYING:
        text = re.sub(pattern, replacement, text)
    return text


def template(cover: str, kind: str, name: str) -> str:
    """One of a definition's, with its placeholders filled, as far as they are not varying."""
    definition = Catalogue().get(cover)
    assert isinstance(definition, WebSocketDefinition)
    among = definition.requests["http"] if kind == "requests" else definition.responses
    [found] = [each for each in among if each.name == name]
    random = Random(1)
    fields = {each: field.value(Seeded(""), random) for each, field in definition.fields.items()}
    return common(re.sub(r"\{(\w+)\}", lambda match: fields.get(match[1], "-"), found.text))


def answer(port: int) -> str:
    """The head with which a server opens a WebSocket."""
    request = (
        "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n"
    )
    with socket.create_connection((LOOPBACK, port), PATIENCE) as connection:
        connection.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            head += connection.recv(4096)
    return head.partition(b"\r\n\r\n")[0].decode()


def answer_as_node(listening: socket.socket) -> None:
    """What `ws` for Node.js answers, and gorilla/websocket for Go."""
    with listening.accept()[0] as connection:
        connection.recv(65536)
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: s3pPLMBiTxaQ9kYGzzhZRbK+xOo=\r\n\r\n"
        )
        connection.recv(1)


@pytest.mark.parametrize("name", ["nginx", "haproxy"])
def test_what_a_web_server_in_front_answers(tmp_path: Path, name: str) -> None:
    port = free_port()
    with socket.create_server((LOOPBACK, 0)) as listening:
        node = Thread(target=answer_as_node, args=(listening,))
        node.start()
        with intermediary(name, tmp_path / name, port, listening.getsockname()[1]):
            head = answer(port)
        node.join(PATIENCE)
    assert common(head) == template("websocket", "responses", name)
    if name == "nginx":
        [date] = re.findall(r"^Date: (.*)\r$", head, re.M)
        assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)
        assert len(date) == len(http_date(0))


def test_what_the_websockets_library_asks_and_answers() -> None:
    heads: list[str] = []

    def visited(connection: Any) -> None:
        assert connection.request is not None
        fields = "".join(
            f"{key}: {value}\n" for key, value in connection.request.headers.raw_items()
        )
        heads.append(f"GET / HTTP/1.1\n{fields}")

    with sync_server.serve(visited, LOOPBACK, 0) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        port = server.socket.getsockname()[1]
        with sync_client.connect(
            f"ws://{LOOPBACK}:{port}", additional_headers={"X-Auth-Token": "x"}
        ):
            pass
        assert common(answer(port)) == template("websocket-api", "responses", "websockets")
        server.shutdown()
        thread.join(PATIENCE)
    assert common(heads[0]) == template("websocket-api", "requests", "python")


def test_a_date_is_the_servers_clock() -> None:
    definition = Catalogue().get("websocket-api")
    dates = set()
    for seed in range(40):
        parameters, random, keys = {"seed": str(seed)}, Random(seed), (bytes(32), bytes(32))
        greeting = definition.client(parameters, random)
        client = greeting.begin(bytes(greeting.record_size(74)), *keys)
        hellos = definition.opening(parameters, random).feed(b"".join(client.data_to_send()))
        head = b"".join(hellos[0].accept(*keys, 784_111_777).data_to_send()).decode()
        dates |= set(re.findall(r"^Date: (.*)\r$", head, re.M))
    assert dates == {"Sun, 06 Nov 1994 08:49:37 GMT"}  # RFC 9110, section 5.6.7
