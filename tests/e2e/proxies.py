"""Outgoing proxies written from their specifications, which tell what they were asked for.

They know names that nobody else can resolve, and grant or refuse every request.
"""

from __future__ import annotations

import base64
import re
import socket
import threading
from collections.abc import Mapping
from contextlib import suppress
from typing import Self

from tests.e2e.halves import PATIENCE, receive
from tests.e2e.waiting import LOOPBACK

Login = tuple[bytes, bytes]

#: How each kind says no: as SOCKS5's "host unreachable", which the others cannot tell apart.
REFUSALS = {"socks5": 4, "socks4a": 0x5B, "http": 502}


class Proxy:
    """One proxy; a context manager. `requests` has (host, port, login) of each, in order."""

    def __init__(
        self,
        kind: str,
        names: Mapping[str, str] | None = None,
        login: Login | None = None,
        refuse: bool = False,
    ) -> None:
        self.kind = kind
        self.requests: list[tuple[str, int, Login | None]] = []
        self._names = names or {}
        self._login = login
        self._refuse = refuse
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        self._open: list[socket.socket] = []
        self._threads = [threading.Thread(target=self._accept)]
        self._threads[0].start()

    def uri(self, login: str = "") -> str:
        """What torrc makes of TOR_PT_PROXY."""
        return f"{self.kind}://{login}{LOOPBACK}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self._socket.shutdown(socket.SHUT_RDWR)
        for connection in self._open:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join()
        for connection in (self._socket, *self._open):
            connection.close()

    def _accept(self) -> None:
        with suppress(OSError):  # the socket was shut down
            while True:
                connection = self._socket.accept()[0]
                connection.settimeout(PATIENCE)
                self._open.append(connection)
                self._start(self._serve, connection)

    def _start(self, target: object, *arguments: object) -> None:
        thread = threading.Thread(target=target, args=arguments)  # type: ignore[arg-type]
        self._threads.append(thread)
        thread.start()

    def _serve(self, client: socket.socket) -> None:
        host, port, login = getattr(self, f"_read_{self.kind}")(client)
        self.requests.append((host, port, login))
        refused = self._refuse or login != self._login
        self._answer(client, REFUSALS[self.kind] if refused else None)
        if refused:
            client.close()
            return
        bridge = socket.create_connection((self._names.get(host, host), port), PATIENCE)
        self._open.append(bridge)
        self._start(_forward, client, bridge)
        _forward(bridge, client)

    def _read_socks5(self, client: socket.socket) -> tuple[str, int, Login | None]:
        methods = receive(client, receive(client, 2)[1])
        method = 2 if self._login is not None and 2 in methods else 0
        client.sendall(bytes([5, method]))
        login = None
        if method == 2:
            assert receive(client, 1) == b"\x01"
            login = tuple(receive(client, receive(client, 1)[0]) for _ in range(2))
            client.sendall(b"\x01\x00")
        kind = receive(client, 4)[3]
        if kind == 3:
            host = receive(client, receive(client, 1)[0]).decode()
        else:
            family, size = {1: (socket.AF_INET, 4), 4: (socket.AF_INET6, 16)}[kind]
            host = socket.inet_ntop(family, receive(client, size))
        return host, int.from_bytes(receive(client, 2), "big"), login

    def _read_socks4a(self, client: socket.socket) -> tuple[str, int, Login | None]:
        head = receive(client, 8)
        assert head[:2] == b"\x04\x01"
        user = _until(client, b"\0")
        named = head[4:7] == bytes(3) and head[7]
        host = _until(client, b"\0").decode() if named else socket.inet_ntoa(head[4:])
        return host, int.from_bytes(head[2:4], "big"), (user, b"") if user else None

    def _read_http(self, client: socket.socket) -> tuple[str, int, Login | None]:
        head = _until(client, b"\r\n\r\n")
        target = re.match(rb"CONNECT \[?([^ ]*?)\]?:(\d+) HTTP/1\.1\r\n", head)
        assert target is not None
        basic = re.search(rb"(?i)^Proxy-Authorization: Basic (\S+)", head, re.MULTILINE)
        user, _, password = base64.b64decode(basic[1] if basic else b"").partition(b":")
        return target[1].decode(), int(target[2]), (user, password) if basic else None

    def _answer(self, client: socket.socket, refusal: int | None) -> None:
        if self.kind == "socks5":
            client.sendall(bytes([5, refusal or 0, 0, 1]) + bytes(6))
        elif self.kind == "socks4a":
            client.sendall(bytes([0, refusal or 0x5A]) + bytes(6))
        else:
            client.sendall(b"HTTP/1.1 %d \r\n\r\n" % (refusal or 200))


def _until(connection: socket.socket, end: bytes) -> bytes:
    data = b""
    while not data.endswith(end):
        data += receive(connection, 1)
    return data.removesuffix(end)


def _forward(source: socket.socket, sink: socket.socket) -> None:
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
    with suppress(OSError):
        sink.shutdown(socket.SHUT_WR)
