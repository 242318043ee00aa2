"""The browsers' requests in the built-in definitions beside those of real browsers.

A page's script makes each of a definition's requests, with TLS and without, and what the browser
sends must be the template's head, to the byte, but for the platform and the version in it.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from itertools import permutations
from pathlib import Path

import pytest

from obfsfte.covers.template_fields import Follower, Seeded
from obfsfte.covers.websocket import MAX_FROM_CLIENT
from obfsfte.covers.websocket_frames import Opcode
from tests.e2e import templates
from tests.e2e.browsers import NAME, Step, visit

pytestmark = pytest.mark.e2e

#: What a script cannot set, or need not.
OF_THE_BROWSER = re.compile(
    r"(?i)host|connection|content-length|user-agent|accept-.*|cookie|origin|referer|sec-.*"
    r"|priority|pragma|cache-control|upgrade"
)
#: What differs from this machine's browser, and what stands for it.
VARYING = [
    (r"(?m)^(Sec-WebSocket-Key): \S{22}==$", r"\1: -"),
    (r"(?m)^(User-Agent: Mozilla/5.0) \([^)]*?(; rv:\d+\.0)?\) ", r"\1 (-\2) "),
    (r"(?<=Chrome/)\d+(?=\.0\.0\.0 )|(?<=rv:)\d+(?=\.0\))|(?<=Firefox/)\d+(?=\.0\n)", "-"),
    (r"HeadlessChrome", "Chrome"),
    (r" Mobile Safari", " Safari"),
    (r'(?m)^(sec-ch-ua-platform): "(Windows|macOS|Linux|Android)"$', r"\1: -"),
    (r"(?m)^(sec-ch-ua-mobile): \?[01]$", r"\1: -"),
    (r'(?m)^(sec-ch-ua): (("[^"]+";v="\d+"(, )?){2,3})$', r"\1: -"),
]


#: Of Chromium's GenerateBrandVersionList (components/embedder_support/user_agent_utils.cc).
BRAND_BYTES = " (:-./);=?_"
BRAND_VERSIONS = (8, 99, 24)


def brands(version: int, names: Sequence[str]) -> str:
    """sec-ch-ua of that version of a browser with these names."""
    first, second = (BRAND_BYTES[(version + each) % len(BRAND_BYTES)] for each in (0, 1))
    brand = f'"Not{first}A{second}Brand";v="{BRAND_VERSIONS[version % 3]}"'
    order = list(permutations(range(1 + len(names))))
    listed = [brand, *(f'"{name}";v="{version}"' for name in names)]
    places = order[version % len(order)]
    return ", ".join(each for _, each in sorted(zip(places, listed, strict=True)))


def common(head: str) -> str:
    """A head without what varies."""
    return templates.common(head, VARYING)


def step(head: str) -> Step:
    """What a script does to have the browser send this head."""
    line, *fields = head.split("\n")
    method, target, _ = line.split(" ")
    values = {name: value for name, _, value in (field.partition(": ") for field in fields)}
    secure = (
        "; secure" if values.get("Origin", values.get("Referer", "")).startswith("s", 4) else ""
    )
    return Step(
        target,
        "Upgrade" in values,
        method,
        int(values.get("Content-Length", "0")),
        re.sub(r"^https?://[^/]+", "", values.get("Referer", "/")),
        [
            (name, value)
            for name, value in values.items()
            if not OF_THE_BROWSER.fullmatch(name) and (name, value) != ("Accept", "*/*")
        ],
        [f"{each}; path=/{secure}" for each in values["Cookie"].split("; ")],
        [MAX_FROM_CLIENT] * 4,
    )


@pytest.mark.parametrize("scheme", ["http", "https"])
@pytest.mark.parametrize("browser", ["chrome", "firefox"])
def test_what_a_browser_sends(tmp_path: Path, browser: str, scheme: str) -> None:
    field = templates.definition("http").fields[f"{browser}_languages"]
    languages = field.of_bridge(Seeded(scheme)).decode()
    strings = {
        "scheme": scheme,
        "host": NAME,
        "key": "A" * 22 + "==",
        "length": "1000",
        f"{browser}_languages": languages,
    }
    expected = [
        templates.filled(cover, template, strings)
        for cover in ("websocket", "http")
        for template in templates.requests(cover, browser, scheme)
    ]
    recorder, host = visit(
        browser,
        tmp_path / "browser",
        scheme,
        re.sub(r";q=[0-9.]+", "", languages),
        [step(head) for head in expected],
    )
    found = recorder.heads
    assert len(found) > 10
    if browser == "chrome":
        names = {*re.findall(r"^sec-ch-ua: (.*)$", "\n".join(found), re.M)}
        [version] = {*re.findall(r" HeadlessChrome/(\d+)", "\n".join(found))}
        assert names == ({brands(int(version), ["Chromium"])} if scheme == "https" else set())
    for mine, real in zip(expected, found, strict=True):
        assert common(mine.replace(NAME, host)) == common(real)
    # What a client of ours sends at most in a message, it sends in one frame.
    messages = [frame for frame in recorder.frames if frame[0] & 0x0F != Opcode.CLOSE]
    assert {*messages} == {(0x80 | Opcode.BINARY, MAX_FROM_CLIENT)}
    assert len(messages) == 4 * sum("Upgrade: websocket" in head for head in found)


def test_the_brands_of_every_version() -> None:
    for cover in ("http", "websocket"):
        follower = templates.definition(cover).fields["brands"]
        assert isinstance(follower, Follower)
        for version, value in follower.values.items():
            assert value.decode() == brands(int(version), ["Chromium", "Google Chrome"])
