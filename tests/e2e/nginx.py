"""A real nginx with a small site, for a test's time: what strangers shall take a bridge for."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from tests.e2e.waiting import LOOPBACK, free_port
from tests.e2e.web_servers import run_nginx

#: After how many seconds nginx closes a connection whose request is not complete. nmap takes
#: a service that hangs up within 3 seconds for one that turns it away.
HEADER_TIMEOUT = 4

# Redirects must not name the port: it is the one thing in which the two ways to the site differ.
_SITE = """
    types {{ text/html html; application/javascript js; image/png png; }}
    client_header_timeout {timeout}s;
    client_body_timeout {timeout}s;
    keepalive_timeout {timeout}s;
    {ending}
    absolute_redirect off;
    port_in_redirect off;
    server {{
        listen {host}:{port} backlog=1024;
        server_name _;
        root {directory}/site;
        autoindex on;
    }}
"""

_INDEX = """<!DOCTYPE html>
<html><head><title>Photographs</title><script src="script.js"></script></head>
<body><h1>Photographs</h1><p id="note"></p><a href="album/">Album</a>
<iframe src="album/index.html"></iframe>
<script>document.getElementById("note").textContent = note();</script>
</body></html>
"""


#: Normally nginx reads what still comes before it closes; a site may also just reset.
_LINGERING = "lingering_timeout 1s;"
_ABRUPT = "lingering_close off; reset_timedout_connection on;"


@contextmanager
def nginx(*, abrupt: bool = False) -> Iterator[int]:
    """A running nginx; its port. An abrupt one resets connections wherever nginx can do so."""
    with TemporaryDirectory() as name:
        directory = Path(name)
        _write_site(directory / "site")
        port = free_port()
        text = _SITE.format(
            directory=directory,
            host=LOOPBACK,
            port=port,
            timeout=HEADER_TIMEOUT,
            ending=_ABRUPT if abrupt else _LINGERING,
        )
        with run_nginx(directory, text, port):
            yield port


def _write_site(root: Path) -> None:
    (root / "album").mkdir(parents=True)
    (root / "index.html").write_text(_INDEX)
    (root / "script.js").write_text('function note() { return "Taken in " + (1990 + 7); }\n')
    (root / "album" / "index.html").write_text("<!DOCTYPE html><title>Album</title><p>None yet.")
    (root / "large.png").write_bytes(Random(1).randbytes(3_000_000))
