"""Web servers in front of a bridge, as docs/behind-a-web-server.md sets them up, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.halves import Process
from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for

_PAGE = Path(__file__).parents[2] / "docs" / "behind-a-web-server.md"
_BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", _PAGE.read_text(), re.M | re.S)

#: nginx; HAProxy in mode http, and in mode tcp.
[NGINX] = [text for name, text in _BLOCKS if name == "nginx"]
[HAPROXY, HAPROXY_TCP] = [text for name, text in _BLOCKS if name == "haproxy"]
[TORRC] = [text for _, text in _BLOCKS if "ServerTransportOptions" in text]

_NGINX = """
daemon off;
master_process off;
pid {directory}/pid;
error_log {directory}/error.log;
events {{}}
http {{
    access_log off;
    client_body_temp_path {directory}/body;
    proxy_temp_path {directory}/proxy;
    fastcgi_temp_path {directory}/fastcgi;
    uwsgi_temp_path {directory}/uwsgi;
    scgi_temp_path {directory}/scgi;
    {text}
}}
"""
_HAPROXY = """
defaults
    timeout connect 5s
    timeout client 30s
    timeout server 30s
{text}
"""


def replaced(text: str, *pairs: tuple[str, object]) -> str:
    """`text` for a test's machine. What is to be replaced must be there."""
    for old, new in pairs:
        assert old in text, f"{_PAGE.name} no longer has {old!r}"
        text = text.replace(old, str(new))
    return text


class Site:
    """A site, its web server's two doors, and the options of a bridge behind it.

    `chain`: a certificate for localhost, and its key. `host`: where the first door is.
    """

    def __init__(self, directory: Path, chain: Path, host: str = LOOPBACK) -> None:
        self._host = host
        self.port = free_port()
        self.inner_port = free_port()
        self.chain = chain
        self._directory = directory
        directory.mkdir()
        (directory / "index.html").write_text("<!DOCTYPE html><title>Shop</title>")
        [line] = re.findall(r"^ServerTransportOptions fte (.*)$", TORRC, re.M)
        line = replaced(
            line,
            ("shop.example", f"{'localhost' if host == LOOPBACK else host}:{self.port}"),
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
        )
        self.options = dict(word.split("=", 1) for word in line.split()) | {"pin": str(chain)}

    @contextmanager
    def nginx(self, bridge_port: int) -> Iterator[None]:
        text = replaced(
            NGINX,
            ("listen 443", f"listen {self._host}:{self.port}"),
            ("/etc/ssl/shop.example/fullchain.pem", self.chain),
            ("/etc/ssl/shop.example/privkey.pem", self.chain),
            ("/var/www/shop", self._directory),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
        )
        with self._nginx(text):
            yield

    @contextmanager
    def haproxy(self, bridge_port: int) -> Iterator[None]:
        text = replaced(
            HAPROXY,
            ("bind :443", f"bind {LOOPBACK}:{self.port}"),
            ("/etc/ssl/shop.example/combined.pem", self.chain),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
        )
        with self.behind(), self._haproxy(text):
            yield

    @contextmanager
    def haproxy_tcp(self, bridge_port: int, version: str) -> Iterator[None]:
        """`version`: `send-proxy`, or the page's `send-proxy-v2`."""
        text = replaced(
            HAPROXY_TCP,
            ("bind :80", f"bind {LOOPBACK}:{self.port}"),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("send-proxy-v2", version),
        )
        with self.behind(), self._haproxy(text):
            yield

    @contextmanager
    def behind(self) -> Iterator[None]:
        """The second of nginx's servers alone."""
        text = "server {" + NGINX.rpartition("server {")[2]
        text = replaced(
            text,
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
            ("/var/www/shop", self._directory),
        )
        with self._nginx(text):
            yield

    @contextmanager
    def _nginx(self, text: str) -> Iterator[None]:
        file = self._directory / "nginx.conf"
        file.write_text(_NGINX.format(directory=self._directory, text=text))
        log = self._directory / "error.log"
        with _listening(self.inner_port, "nginx", "-p", self._directory, "-e", log, "-c", file):
            yield

    @contextmanager
    def _haproxy(self, text: str) -> Iterator[None]:
        file = self._directory / "haproxy.cfg"
        file.write_text(_HAPROXY.format(text=text))
        with _listening(self.port, "haproxy", "-db", "-f", file):
            yield


@contextmanager
def _listening(port: int, name: str, *arguments: object) -> Iterator[None]:
    with Process(tool(name), *arguments) as process:
        wait_for(lambda: listens(port) or process.status is not None, f"{name} that listens")
        assert process.status is None, process.stderr
        yield
