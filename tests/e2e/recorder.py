"""A small web server that keeps what programs ask it, answers, and opens WebSockets."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from obfsfte.covers.websocket_opening import accept_for
from tests.e2e.process import PATIENCE
from tests.e2e.waiting import LOOPBACK


def page(content: bytes) -> bytes:
    """The response that has it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
    return head % len(content) + content


class Recorder:
    """Gives the same answer to any request, and a close frame to a WebSocket.

    `heads` are those of the requests, as they came, with line breaks for CR LF.
    """

    def __init__(self, answer: bytes = page(b"-"), context: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self._answer = answer
        self._context = context
        self._listening = socket.create_server((LOOPBACK, 0))
        self.port = self._listening.getsockname()[1]

    @contextmanager
    def serving(self) -> Iterator[None]:
        thread = Thread(target=self._accept)
        thread.start()
        try:
            yield
        finally:
            self._listening.shutdown(socket.SHUT_RDWR)
            thread.join(PATIENCE)
            self._listening.close()

    def _accept(self) -> None:
        while True:
            try:
                connection = self._listening.accept()[0]
            except OSError:
                return
            Thread(target=self._serve, args=(connection,), daemon=True).start()

    def _serve(self, connection: socket.socket) -> None:
        try:
            with connection:
                if self._context is None:
                    self._converse(connection)
                else:
                    with self._context.wrap_socket(connection, server_side=True) as secure:
                        self._converse(secure)
        except OSError:
            pass  # a connection that a browser opened ahead of need

    def _converse(self, connection: socket.socket) -> None:
        data = b""
        while received := connection.recv(65536):
            data += received
            head, end, body = data.partition(b"\r\n\r\n")
            length = re.search(rb"(?i)\r\ncontent-length: (\d+)", head)
            if not end or (length and len(body) < int(length[1])):
                continue
            if re.search(rb"(?i)\r\ntransfer-encoding: chunked", head) and b"0\r\n\r\n" not in body:
                continue
            self.heads.append(head.decode().replace("\r\n", "\n"))
            data = b""
            if key := re.search(rb"(?i)\r\nsec-websocket-key: (\S+)", head):
                connection.sendall(
                    b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n"
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n\x88\x02\x03\xe8"
                    % accept_for(key[1])
                )
                connection.recv(100)
                return
            connection.sendall(self._answer)
