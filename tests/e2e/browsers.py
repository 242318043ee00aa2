"""Real browsers, and what they send: Chromium and Firefox on a page of a test's site.

The site's name is not localhost, which browsers treat as if it had TLS.
"""

from __future__ import annotations

import json
import re
import ssl
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import attrs

from tests.e2e.certificates import Issued
from tests.e2e.process import Process
from tests.e2e.recorder import Recorder, page
from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, wait_for

NAME = "app.example"

#: Runs the steps, one after the other, and says when it is done. A step's cookies are a user's.
_PAGE = """<!DOCTYPE html><title>Shop</title><link rel="icon" href="data:,"><script type="module">
for (const step of STEPS) {
    history.replaceState(null, "", step.page);
    for (const cookie of step.cookies) document.cookie = cookie;
    if (step.websocket) {
        const socket = new WebSocket(location.origin.replace("http", "ws") + step.target);
        await new Promise(done => { socket.onopen = done; });
        for (const size of step.messages) socket.send(new Uint8Array(size));
        socket.close();
        await new Promise(done => { socket.onclose = done; });
    } else {
        const body = step.method === "POST" ? new Uint8Array(step.length) : undefined;
        const options = {method: step.method, headers: step.headers, body};
        await (await fetch(step.target, options)).arrayBuffer();
    }
    for (const cookie of step.cookies) document.cookie = `${cookie}; max-age=0`;
}
await fetch("/done");
</script>"""


@attrs.frozen
class Step:
    """A request that the page's script makes; `headers` are those that the script sets."""

    target: str
    websocket: bool
    method: str = "GET"
    length: int = 0
    page: str = "/"
    headers: Sequence[tuple[str, str]] = ()
    cookies: Sequence[str] = ()
    #: Bytes of what it sends in a WebSocket.
    messages: Sequence[int] = ()


@attrs.frozen
class Site:
    """Where a browser goes, and the certificate of whom it must trust there."""

    url: str
    authority: Path | None


def _context(directory: Path, scheme: str) -> tuple[ssl.SSLContext | None, Path | None]:
    if scheme == "http":
        return None, None
    directory.mkdir()
    issuer = Issued(directory, "authority.example", is_authority=True)
    context = Issued(directory, NAME, issuer=issuer).context()
    context.set_alpn_protocols(["http/1.1"])
    authority = directory / "authority.pem"
    authority.write_bytes(issuer.certificates)
    return context, authority


def visit(
    browser: str, directory: Path, scheme: str, languages: str, steps: Sequence[Step]
) -> tuple[Recorder, str]:
    """What the browser sent, the steps' requests alone; and the site's host.

    `languages`: those of the user, best first, joined by commas.
    """
    directory.mkdir()
    profile = directory / "profile"
    profile.mkdir()
    script = _PAGE.replace("STEPS", json.dumps([attrs.asdict(step) for step in steps]))
    context, authority = _context(directory / "certificates", scheme)
    recorder = Recorder(page(script.encode()), context)
    site = Site(f"{scheme}://{NAME}:{recorder.port}/", authority)
    run = _firefox if browser == "firefox" else _chromium

    def is_done() -> bool:
        return any(head.startswith("GET /done ") for head in recorder.heads)

    with recorder.serving(), run(site, profile, languages):
        wait_for(is_done, f"{browser} to ask for all")
    recorder.heads = [head for head in recorder.heads if not re.match(r"GET /(done)? ", head)]
    assert len(recorder.heads) == len(steps)
    return recorder, f"{NAME}:{recorder.port}"


@contextmanager
def _chromium(site: Site, profile: Path, languages: str) -> Iterator[Process]:
    with Process(
        tool("chromium"),
        "--headless=new",
        "--no-sandbox",
        "--ignore-certificate-errors",
        f"--host-resolver-rules=MAP {NAME} {LOOPBACK}",
        f"--accept-lang={languages}",
        f"--user-data-dir={profile}",
        site.url,
    ) as process:
        yield process


@contextmanager
def _firefox(site: Site, profile: Path, languages: str) -> Iterator[Process]:
    preferences = {
        "network.dns.forceResolve": LOOPBACK,
        "network.proxy.type": 0,
        "intl.accept_languages": languages,
        "datareporting.policy.dataSubmissionEnabled": False,
        "browser.aboutwelcome.enabled": False,
    }
    lines = [f"user_pref({json.dumps(k)}, {json.dumps(v)});\n" for k, v in preferences.items()]
    (profile / "user.js").write_text("".join(lines))
    store = ["-d", f"sql:{profile}"]
    subprocess.run([tool("certutil"), "-N", "--empty-password", *store], check=True)
    if site.authority is not None:
        trust = ["-A", "-n", "test", "-t", "C,,", "-i", site.authority]
        subprocess.run([tool("certutil"), *trust, *store], check=True)
    with Process(
        tool("firefox-esr"), "--headless", "--no-remote", "--profile", profile, site.url
    ) as process:
        yield process
