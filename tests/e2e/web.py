"""A web server on loopback, and curl to use it through a client's tor."""

from __future__ import annotations

import functools
import hashlib
import http.server
import random
import subprocess
import threading
from types import TracebackType
from typing import Self

from tests.e2e.tools import tool
from tests.e2e.tornet import Tor, TorError
from tests.e2e.waiting import LOOPBACK


class WebServer:
    """What clients fetch from and send to; a context manager.

    GET /N answers with N bytes, always the same; POST with the SHA-256 of what was sent, in hex.
    """

    def __init__(self) -> None:
        self._server = http.server.ThreadingHTTPServer((LOOPBACK, 0), _WebHandler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.05,))

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    def url(self, size: int = 0) -> str:
        return f"http://{LOOPBACK}:{self._server.server_port}/{size}"

    @staticmethod
    @functools.cache
    def body(size: int) -> bytes:
        """What a GET of `url(size)` is answered with."""
        return random.Random(size).randbytes(size)


class _WebHandler(http.server.BaseHTTPRequestHandler):
    def do_GET(self) -> None:
        self._answer(WebServer.body(int(self.path[1:])))

    def do_POST(self) -> None:
        digest, left = hashlib.sha256(), int(self.headers["Content-Length"])
        while left and (data := self.rfile.read1(min(left, 65536))):
            digest.update(data)
            left -= len(data)
        self._answer(digest.hexdigest().encode())

    def _answer(self, body: bytes) -> None:
        try:
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        except ConnectionError:  # the client has gone; it is the one that reports
            self.close_connection = True

    def log_message(self, format: str, *args: object) -> None:
        pass


def curl(
    client: Tor,
    url: str,
    send: bytes | None = None,
    timeout: float = 60,
    limit_rate: str | None = None,
) -> bytes:
    """The answer to a request through this tor's SOCKS port; a POST if there is data to send.

    Raises TorError with curl's own message if the request fails or takes too long.
    """
    command = [tool("curl"), "--silent", "--show-error", "--fail", "--max-time", str(timeout)]
    command += ["--socks5-hostname", f"{LOOPBACK}:{client.socks_port}", url]
    if send is not None:
        command += ["--data-binary", "@-", "--header", "Expect:"]
    if limit_rate is not None:
        command += ["--limit-rate", limit_rate]
    result = subprocess.run(command, input=send or b"", capture_output=True)
    if result.returncode:
        raise TorError(f"{client.name}: {result.stderr.decode().strip()}")
    return result.stdout
