"""A small web server that keeps what programs ask it, answers, and opens WebSockets."""

from __future__ import annotations

import re
import socket
import ssl
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread

from obfsfte.covers.websocket_frames import Opcode
from obfsfte.covers.websocket_opening import accept_for
from tests.e2e.process import PATIENCE
from tests.e2e.waiting import LOOPBACK


def page(content: bytes) -> bytes:
    """The response that has it."""
    head = b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\nContent-Length: %d\r\n\r\n"
    return head % len(content) + content


class Recorder:
    """Gives the same answer to any request, and lets a WebSocket be closed.

    `heads` are those of the requests, as they came, with line breaks for CR LF. `frames` are those
    of all WebSockets: their first bytes, and the lengths of their payloads.
    """

    def __init__(self, answer: bytes = page(b"-"), context: ssl.SSLContext | None = None) -> None:
        self.heads: list[str] = []
        self.frames: list[tuple[int, int]] = []
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
                    b"Connection: Upgrade\r\nSec-WebSocket-Accept: %b\r\n\r\n" % accept_for(key[1])
                )
                self._read_frames(connection)
                return
            connection.sendall(self._answer)

    def _read_frames(self, connection: socket.socket) -> None:
        """Those of a client, to the one that closes."""
        with connection.makefile("rb") as stream:
            while len(head := stream.read(2)) == 2:
                size = head[1] & 0x7F
                if size > 125:
                    size = int.from_bytes(stream.read(2 if size == 126 else 8), "big")
                stream.read(4 + size)  # mask, payload
                self.frames.append((head[0], size))
                if head[0] & 0x0F == Opcode.CLOSE:
                    connection.sendall(b"\x88\x02\x03\xe8")
                    return
