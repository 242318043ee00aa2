"""Web servers in front of a bridge, as docs/behind-a-web-server.md sets them up, word for word."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from tests.e2e.process import Process
from tests.e2e.waiting import LOOPBACK, free_port
from tests.e2e.web_servers import run_apache, run_caddy, run_haproxy, run_nginx

_PAGE = Path(__file__).parents[2] / "docs" / "behind-a-web-server.md"
_BLOCKS = re.findall(r"^```(\w*)\n(.*?)^```$", _PAGE.read_text(), re.M | re.S)

#: nginx; HAProxy in mode http, and in mode tcp; Apache; Caddy.
[NGINX] = [text for name, text in _BLOCKS if name == "nginx"]
[HAPROXY, HAPROXY_TCP] = [text for name, text in _BLOCKS if name == "haproxy"]
[APACHE] = [text for name, text in _BLOCKS if name == "apache"]
[CADDY] = [text for name, text in _BLOCKS if name == "caddy"]
[TORRC] = [text for _, text in _BLOCKS if "ServerTransportOptions" in text]


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
    def nginx(self, bridge_port: int, *, reloadable: bool = False) -> Iterator[Process]:
        text = replaced(
            NGINX,
            ("listen 443", f"listen {self._host}:{self.port}"),
            ("/etc/ssl/shop.example/fullchain.pem", self.chain),
            ("/etc/ssl/shop.example/privkey.pem", self.chain),
            ("/var/www/shop", self._directory),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
        )
        with run_nginx(self._directory, text, self.inner_port, reloadable=reloadable) as process:
            yield process

    @contextmanager
    def haproxy(self, bridge_port: int) -> Iterator[Process]:
        text = replaced(
            HAPROXY,
            ("bind :443", f"bind {LOOPBACK}:{self.port}"),
            ("/etc/ssl/shop.example/combined.pem", self.chain),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
        )
        with self.behind(), run_haproxy(self._directory, text, self.port) as process:
            yield process

    @contextmanager
    def apache(self, bridge_port: int) -> Iterator[Process]:
        text = replaced(
            APACHE,
            ("*:443", f"{LOOPBACK}:{self.port}"),
            ("shop.example\n", "localhost\n"),
            ("/etc/ssl/shop.example/fullchain.pem", self.chain),
            ("/etc/ssl/shop.example/privkey.pem", self.chain),
            ("/var/www/shop", self._directory),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("127.0.0.1:8081", f"{LOOPBACK}:{self.inner_port}"),
        )
        # Debian's ports.conf has this.
        text = f"Listen {LOOPBACK}:{self.port}\n{text}"
        with run_apache(self._directory, text, self.port) as process:
            yield process

    @contextmanager
    def caddy(self, bridge_port: int) -> Iterator[Process]:
        text = replaced(
            CADDY,
            ("shop.example {", f"localhost:{self.port} {{\n    bind {LOOPBACK}"),
            ("/etc/ssl/shop.example/fullchain.pem", self.chain),
            ("/etc/ssl/shop.example/privkey.pem", self.chain),
            ("/var/www/shop", self._directory),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            (":8081", f":{self.inner_port}"),
        )
        with run_caddy(self._directory, text, self.port) as process:
            yield process

    @contextmanager
    def haproxy_tcp(self, bridge_port: int, version: str) -> Iterator[None]:
        """`version`: `send-proxy`, or the page's `send-proxy-v2`, and perhaps more."""
        text = replaced(
            HAPROXY_TCP,
            ("bind :80", f"bind {LOOPBACK}:{self.port}"),
            ("127.0.0.1:8080", f"{LOOPBACK}:{bridge_port}"),
            ("send-proxy-v2", version),
        )
        with self.behind(), run_haproxy(self._directory, text, self.port):
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
        with run_nginx(self._directory, text, self.inner_port):
            yield
