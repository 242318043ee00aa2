"""What strangers meet at a bridge: its fallback site, a real nginx, and nothing else of it.

Every probe is made at the bridge and at nginx itself, and must see the same: the same bytes,
the Date header excepted, and the same end of the connection.
"""

from __future__ import annotations

import os
import re
import signal
import subprocess
import time
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from random import Random
from statistics import median

import pytest

from obfsfte.covers import Catalogue
from obfsfte.covers.stream_definition import StreamDefinition
from obfsfte.session.keys import BridgeKeys
from obfsfte.session_channel import CoverChoice, SessionClient
from obfsfte.state import StateDirectory
from tests.e2e.halves import LISTEN, Half, Target, Tunnel, half
from tests.e2e.nginx import HEADER_TIMEOUT, nginx
from tests.e2e.probes import (
    Answer,
    Finish,
    Hear,
    Pause,
    Poke,
    Probe,
    Reset,
    Send,
    tls_client_hello,
    visit_all,
    visit_both,
    visit_in_turn,
    without_date,
)
from tests.e2e.sessions import bridge_line, server
from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, wait_for

pytestmark = pytest.mark.e2e

CATALOGUE = Catalogue()

STREAM_COVERS = ["base64", "hex", "words"]
COVERS = [*STREAM_COVERS, "websocket"]


@dataclass(frozen=True)
class Bridge:
    """A running bridge, and what its operator knows of it."""

    process: Half
    state: Path
    covers: list[str]

    @property
    def port(self) -> int:
        return self.process.port

    @property
    def keys(self) -> BridgeKeys:
        return StateDirectory(self.state).keys()

    @property
    def classic_key(self) -> Path:
        return self.state / "classic.key"

    def line(self, cover: str) -> str:
        return re.sub(r"cover=\S+", f"cover={cover}", bridge_line(self.process, self.state))


@contextmanager
def bridge(
    target: Target, state: Path, covers: list[str], *options: object, classic: bool = False
) -> Iterator[Bridge]:
    words: list[object] = [word for cover in covers for word in ("--cover", cover)]
    if classic:
        state.mkdir(mode=0o700)
        key = state / "classic.key"
        key.touch(0o600)
        key.write_text("0123456789abcdef" * 4)
        words += ["--classic", "--key-file", key]
    with server(target, state, *words, *options) as process:
        yield Bridge(process, state, covers)


def hello(keys: BridgeKeys, cover: str, random: Random, now: float | None = None) -> bytes:
    """What a client with these keys says first, at this unix time."""
    choice = CoverChoice(CATALOGUE.get(cover))
    now = int(time.time() if now is None else now)
    return b"".join(SessionClient(choice.at(keys.cert), now, random).data_to_send())


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture(scope="module")
def site() -> Iterator[int]:
    """The port of nginx itself."""
    with nginx() as port:
        yield port


@pytest.fixture(scope="module")
def base64_bridge(
    target: Target, site: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bridge]:
    """A bridge as most are: one cover."""
    state = tmp_path_factory.mktemp("base64") / "state"
    with bridge(target, state, ["base64"], "--fallback", f"tcp:{LOOPBACK}:{site}") as running:
        yield running


@pytest.fixture(scope="module")
def http_bridge(
    target: Target, site: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bridge]:
    """One that looks at every request of a connection."""
    state = tmp_path_factory.mktemp("http") / "state"
    with bridge(target, state, ["http"], "--fallback", f"tcp:{LOOPBACK}:{site}") as running:
        yield running


@pytest.fixture(scope="module")
def full_bridge(
    target: Target, site: int, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Bridge]:
    """A bridge that takes whatever it can, so that its gate is undecided for longest."""
    state = tmp_path_factory.mktemp("full") / "state"
    fallback = ("--fallback", f"tcp:{LOOPBACK}:{site}")
    with bridge(target, state, COVERS, *fallback, classic=True) as running:
        yield running


def differences(
    bridge: Bridge, site: int, probes: dict[str, Probe]
) -> dict[str, tuple[Answer, Answer]]:
    """The probes that tell the bridge from the site, with what each of them answered."""
    answers = visit_both(bridge.port, site, list(probes.values()))
    found = {}
    for name, (at_bridge, at_site) in zip(probes, answers, strict=True):
        # Where the site waited for its timeout, so must it at the bridge.
        waited = [each.lifetime > HEADER_TIMEOUT / 2 for each in (at_bridge, at_site)]
        if at_bridge != at_site or waited[0] != waited[1]:
            found[name] = (at_bridge, at_site)
    return found


def request(line: str, *headers: str, body: bytes = b"") -> bytes:
    return "\r\n".join([line, "Host: www.example.com", *headers, "", ""]).encode() + body


BROWSER = request("GET / HTTP/1.1", "User-Agent: Mozilla/5.0", "Accept: */*")
CLOSING = request("GET / HTTP/1.1", "Connection: close")
#: Longer than any hello of the classic wire, so that no gate is undecided about it.
BROWSER_LONG = request("GET / HTTP/1.1", "Cookie: " + "c" * 700, "Connection: close")

CLOSE = "Connection: close"
GET = "GET / HTTP/1.1"
POST = "POST / HTTP/1.1"
CHUNKED = "Transfer-Encoding: chunked"

#: What speaks HTTP, well or badly.
HTTP: dict[str, Probe] = {
    "GET": [Send(CLOSING)],
    "GET, kept alive": [Send(BROWSER)],
    "GET twice": [Send(BROWSER), Hear(), Send(CLOSING)],
    "GET pipelined": [Send(BROWSER * 3 + CLOSING)],
    "GET in pieces": [Send(BROWSER[:2]), Pause(), Send(BROWSER[2:30]), Pause(), Send(BROWSER[30:])],
    "GET byte by byte": [Send(bytes([byte])) for byte in CLOSING],
    "GET what is not there": [Send(request("GET /no HTTP/1.1", "Connection: close"))],
    "GET a directory": [Send(request("GET /album HTTP/1.1", "Connection: close"))],
    "GET 3 megabytes": [Send(request("GET /large.png HTTP/1.1", "Connection: close"))],
    "GET and FIN": [Send(request("GET /large.png HTTP/1.0")), Finish()],
    "HTTP/1.0": [Send(b"GET / HTTP/1.0\r\n\r\n")],
    "HTTP/0.9": [Send(b"GET /\r\n")],
    "HEAD": [Send(request("HEAD / HTTP/1.1", "Connection: close"))],
    "OPTIONS": [Send(request("OPTIONS * HTTP/1.1", "Connection: close"))],
    "POST": [Send(request("POST / HTTP/1.1", "Content-Length: 5", body=b"hello"))],
    "POST much": [Send(request("POST / HTTP/1.1", "Content-Length: 100000", body=bytes(100000)))],
    "POST without the body": [Send(request("POST / HTTP/1.1", "Content-Length: 5"))],
    "POST and expect": [
        Send(request("POST / HTTP/1.1", "Content-Length: 5", "Expect: 100-continue"))
    ],
    "CONNECT": [Send(request("CONNECT www.example.com:443 HTTP/1.1"))],
    "an upgrade to WebSocket": [
        Send(
            request(
                "GET /chat HTTP/1.1",
                "Connection: Upgrade",
                "Upgrade: websocket",
                "Sec-WebSocket-Version: 13",
                "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==",
            )
        )
    ],
    "HTTP/2": [Send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(9))],
    "a header without an end": [Send(BROWSER[:-2])],
    "a header that is too long": [Send(request("GET / HTTP/1.1", "Cookie: " + "c" * 40_000))],
    "a line that is too long": [Send(request(f"GET /{'p' * 40_000} HTTP/1.1"))],
    "no such method": [Send(request("get / HTTP/1.1"))],
    "no such version": [Send(request("GET / HTTP/7.3"))],
    "HTTP/1.1 without Host": [Send(b"GET / HTTP/1.1\r\n\r\n")],
    "two Hosts": [Send(request("GET / HTTP/1.1", "Host: other.example"))],
    "HTTP/1.0, kept alive": [
        Send(b"GET / HTTP/1.0\r\nConnection: keep-alive\r\n\r\n"),
        Hear(),
        Send(CLOSING),
    ],
    "a line that ends without CR": [Send(b"GET / HTTP/1.1\nHost: x\nConnection: close\n\n")],
    "blank lines before": [Send(b"\r\n\r\n" + CLOSING)],
    "a folded field": [Send(request("GET / HTTP/1.1", "Cookie: a=b;", " c=d", CLOSE))],
    "a blank before the colon": [Send(request("GET / HTTP/1.1", "Cookie : a=b"))],
    "a field with a zero byte": [Send(request("GET / HTTP/1.1", "Cookie: a\0b"))],
    "a target with a blank": [Send(request("GET /a b HTTP/1.1"))],
    "a target that is a URL": [Send(request("GET http://www.example.com/ HTTP/1.1", CLOSE))],
    "Content-Length and chunked": [
        Send(request(POST, "Content-Length: 4", CHUNKED, body=b"0\r\n\r\n" + CLOSING))
    ],
    "two lengths": [Send(request(POST, "Content-Length: 4", "Content-Length: 5", body=b"abcde"))],
    "the same length twice": [
        Send(request(POST, "Content-Length: 4", "Content-Length: 4", body=b"abcd" + CLOSING))
    ],
    "a length with a sign": [Send(request(POST, "Content-Length: +4", body=b"abcd" + CLOSING))],
    "a length of 5000 digits": [Send(request(POST, "Content-Length: " + "1" * 5000))],
    "chunks": [Send(request(POST, CHUNKED, body=b"3\r\nabc\r\n0\r\n\r\n" + CLOSING))],
    "chunks with an extension": [
        Send(request(POST, CHUNKED, body=b"3;a=b\r\nabc\r\n0\r\nX: y\r\n\r\n" + CLOSING))
    ],
    "chunks of no size": [Send(request(POST, CHUNKED, body=b"x\r\n" + CLOSING))],
    "chunks that are too large": [Send(request(POST, CHUNKED, body=b"f" * 30 + b"\r\n" + CLOSING))],
    "a coding that is not known": [Send(request(POST, "Transfer-Encoding: rot13", body=b"abc"))],
    "chunked in capitals": [
        Send(request(POST, "TRANSFER-ENCODING: Chunked", body=b"0\r\n\r\n" + CLOSING))
    ],
    "chunked twice": [Send(request(POST, CHUNKED, CHUNKED, body=b"0\r\n\r\n" + CLOSING))],
    "GET with a body": [
        Send(request("GET / HTTP/1.1", "Content-Length: 3", body=b"abc" + CLOSING))
    ],
    "a body in pieces": [
        Send(request(POST, "Content-Length: 3", body=b"a")),
        Pause(),
        Send(b"b"),
        Pause(),
        Send(b"c" + CLOSING),
    ],
    "half a body and FIN": [Send(request(POST, "Content-Length: 30", body=b"half")), Finish()],
    "half a chunk and FIN": [Send(request(POST, CHUNKED, body=b"30\r\nhalf")), Finish()],
    "expect, and the body at once": [
        Send(request(POST, "Content-Length: 3", "Expect: 100-continue", body=b"abc" + CLOSING))
    ],
    "expect something else": [
        Send(request(POST, "Content-Length: 3", "Expect: cake", body=b"abc" + CLOSING))
    ],
    "CONNECT and bytes": [Send(request("CONNECT www.example.com:443 HTTP/1.1") + bytes(300))],
    "TRACE": [Send(request("TRACE / HTTP/1.1", CLOSE))],
    "a request after the last": [Send(CLOSING + BROWSER)],
    "h2c": [
        Send(
            request(
                "GET / HTTP/1.1",
                "Connection: Upgrade, HTTP2-Settings",
                "Upgrade: h2c",
                "HTTP2-Settings: AAMAAABkAAQCAAAAAAIAAAAA",
            )
        ),
        Hear(),
        Send(CLOSING),
    ],
    "300 fields": [Send(request("GET / HTTP/1.1", *[f"X-{n}: {n}" for n in range(300)], CLOSE))],
}

#: What does not.
OTHERS: dict[str, Probe] = {
    "TLS": [Send(tls_client_hello())],
    "half of TLS": [Send(tls_client_hello()[:100])],
    "SSH": [Send(b"SSH-2.0-OpenSSH_9.2p1\r\n")],
    "SMTP": [Send(b"EHLO example.com\r\n")],
    "SOCKS5": [Send(b"\x05\x01\x00")],
    "nothing": [],
    "nothing and FIN": [Finish()],
    "zeros": [Send(bytes(5000))],
    "letters": [Send(b"A" * 5000)],
    "upper case, then no more": [Send(b"QUJD")],
    "one byte for the site to wait": [Send(b"G")],
    "one byte for the site to refuse": [Send(b"g")],
    "a byte, a pause, a byte": [Send(b"A"), Pause(0.3), Send(b"b")],
    "lines of base64": [Send((b"QUJD" * 19 + b"\r\n") * 40)],
    "a line of base64": [Send(b"QUJD" * 19 + b"\r\n")],
    "a line of base64 without its end": [Send(b"QUJD" * 19 + b"\r")],
    "a line of base64, FIN": [Send(b"QUJD" * 19 + b"\r\n"), Finish()],
    "a line of base64, later FIN": [Send(b"QUJD" * 19 + b"\r\n"), Pause(), Finish()],
    "lines of hex": [Send((b"0123456789abcdef" * 4 + b"\n") * 30)],
}

RANDOM_LENGTHS = [*range(1, 40), *range(150, 165), 256, 400, 536, 700, 1023, 1024, 1025]
RANDOM_LENGTHS += [1460, 2000, 4096, 16384, 32768, 65535, 65536, 65537, 200_000]


def random_probes(seed: int) -> dict[str, Probe]:
    random = Random(seed)
    probes: dict[str, Probe] = {}
    for length in RANDOM_LENGTHS:
        data = random.randbytes(length)
        probes[f"{length} random bytes"] = [Send(data)]
        probes[f"{length} random bytes, FIN"] = [Send(data), Finish()]
        letters = bytes(random.choice(b"ABCDEFabcdef0123456789") for _ in range(min(length, 2000)))
        probes[f"{length} random letters"] = [Send(letters)]
    return probes


ALL_RAW: dict[str, Probe] = {**HTTP, **OTHERS, **random_probes(1)}


def poking(probes: dict[str, Probe]) -> dict[str, Probe]:
    """The same, and each looks at what the other end does once it has closed."""
    return {
        name: probe if Finish() in probe else [*probe, Poke()] for name, probe in probes.items()
    }


@pytest.mark.parametrize("kind", ["base64_bridge", "http_bridge", "full_bridge"])
def test_raw_probes(kind: str, site: int, request: pytest.FixtureRequest) -> None:
    assert differences(request.getfixturevalue(kind), site, poking(ALL_RAW)) == {}


def test_raw_probes_where_the_site_resets(target: Target, tmp_path: Path) -> None:
    with (
        nginx(abrupt=True) as site,
        bridge(target, tmp_path / "s", ["base64"], "--fallback", f"tcp:{LOOPBACK}:{site}") as one,
    ):
        # Who still sends when the reset comes may lose the answer before it, at any site: what
        # differs only sometimes is that.
        probes = {name: probe for name, probe in ALL_RAW.items() if sent_bytes(probe) <= 4096}
        for _ in range(4):
            probes = {name: probes[name] for name in differences(one, site, poking(probes))}
        assert probes == {}


def sent_bytes(probe: Probe) -> int:
    return sum(len(step.data) for step in probe if isinstance(step, Send))


def test_visitors_who_leave_in_any_way_leave_nothing_behind(base64_bridge: Bridge) -> None:
    descriptors = Path(f"/proc/{base64_bridge.process.pid}/fd")
    line = b"QUJD" * 19 + b"\r\n"
    ways: list[Probe] = [
        [Reset()],
        [Finish(), Reset()],
        [Send(line[:20]), Reset()],
        [Send(line[:20]), Pause(), Reset()],
        [Send(line), Pause(), Finish(), Pause(), Reset()],
        [Send(BROWSER), Reset()],
        [Send(BROWSER), Pause(), Reset()],
        [Send(request("GET /large.png HTTP/1.1")), Pause(), Reset()],
        [Send(request("POST / HTTP/1.1", "Content-Length: 100000", body=bytes(500))), Reset()],
    ]
    before = len(list(descriptors.iterdir()))
    assert {each.ending for each in visit_all(base64_bridge.port, ways * 20)} == {"left"}
    wait_for(lambda: len(list(descriptors.iterdir())) <= before, "connections all gone")


def test_a_correct_hello_for_another_bridge(full_bridge: Bridge, site: int) -> None:
    random = Random(2)
    other = BridgeKeys.generate(random.randbytes)
    stolen = BridgeKeys(other.private_key, full_bridge.keys.secret)
    probes: dict[str, Probe] = {}
    for cover in COVERS:
        for number in range(20):
            probes[f"{cover} {number}"] = [Send(hello(other, cover, random)), Poke()]
            probes[f"{cover} {number}, FIN"] = [Send(hello(other, cover, random)), Finish()]
            probes[f"{cover} {number}, secret known"] = [Send(hello(stolen, cover, random))]
    assert differences(full_bridge, site, probes) == {}


def test_a_correct_hello_in_a_cover_that_is_not_served(base64_bridge: Bridge, site: int) -> None:
    keys, random = base64_bridge.keys, Random(3)
    probes: dict[str, Probe] = {
        f"{cover} {number}": [Send(hello(keys, cover, random)), Poke()]
        for cover in CATALOGUE.names
        if cover != "base64"
        for number in range(10)
    }
    assert differences(base64_bridge, site, probes) == {}


def nearly_hellos(bridge: Bridge, count: int) -> dict[str, Probe]:
    """Random, mutated and truncated hellos; the last two made with the bridge's own keys."""
    random = Random(4)
    keys = bridge.keys
    covers = [cover for cover in bridge.covers if cover in STREAM_COVERS]
    probes: dict[str, Probe] = {}
    for number in range(count):
        cover = random.choice(covers)
        good = hello(keys, cover, random)
        at = random.randrange(len(good))
        definition = CATALOGUE.get(cover)
        assert isinstance(definition, StreamDefinition)
        language = random.choice(definition.upstream.embeddings).language
        match number % 6:
            case 0:
                kind, data = "random", random.randbytes(random.randrange(1500))
            case 1:
                kind, data = "random strings", language.unrank(random.randrange(language.size))
            case 2:
                kind, data = "truncated", good[:at]
            case 3:
                flipped = good[at] ^ 1 << random.randrange(8)
                kind, data = "flipped", good[:at] + bytes([flipped]) + good[at + 1 :]
            case 4:
                changed = random.choice([byte for byte in set(good) if byte != good[at]])
                kind, data = "changed", good[:at] + bytes([changed]) + good[at + 1 :]
            case _:
                kind, data = "extended", good[:at] + random.randbytes(3) + good[at:]
        ending = random.choices(([], [Finish()], [Poke()]), (60, 35, 5))[0]
        probes[f"{number}: {kind} {cover}, {ending}"] = [Send(data), *ending]
    return probes


#: What a censor may do to the opening of a WebSocket: (what to look for, what to put there).
_CHANGES: dict[str, tuple[bytes, bytes]] = {
    "version 12": (rb"(?i)(sec-websocket-version: )13", rb"\g<1>12"),
    "version 13 twice": (rb"(?i)(sec-websocket-version: 13\r\n)", rb"\1\1"),
    "versions": (rb"(?i)(sec-websocket-version: 13)", rb"\1, 8"),
    "no version": (rb"(?i)sec-websocket-version: 13\r\n", b""),
    "a short key": (rb"(?i)(sec-websocket-key: .)[^\r]*", rb"\1"),
    "a long key": (rb"(?i)(sec-websocket-key: )", rb"\1AAAA"),
    "no base64": (rb"(?i)(sec-websocket-key: )..", rb"\1**"),
    "no key": (rb"(?i)sec-websocket-key: [^\r]*\r\n", b""),
    "two keys": (rb"(?i)(sec-websocket-key: [^\r]*\r\n)", rb"\1\1"),
    "no upgrade": (rb"(?i)\r\nupgrade: [^\r]*", b""),
    "to h2c": (rb"(?i)(\r\nupgrade: )[^\r]*", rb"\1h2c"),
    "kept alive": (rb"(?i)(\r\nconnection: )[^\r]*", rb"\1keep-alive"),
    "HTTP/1.0": (rb"HTTP/1\.1", b"HTTP/1.0"),
    "HTTP/1.2": (rb"HTTP/1\.1", b"HTTP/1.2"),
    "HEAD": (rb"^GET", b"HEAD"),
    "POST": (rb"^GET", b"POST"),
    "a whole address": (rb"^GET ", b"GET http://www.example.com"),
    "no host": (rb"(?i)\r\nhost: [^\r]*", b""),
    "two hosts": (rb"(?i)(\r\nhost: [^\r]*)", rb"\1\1"),
    "bare line feeds": (rb"\r\n", b"\n"),
    "a folded line": (rb"(?i)(\r\nupgrade:) ", rb"\1\r\n "),
    "a blank before the colon": (rb"(?i)(\r\nupgrade):", rb"\1 :"),
    "NUL": (rb"(?i)(\r\nupgrade: )", b"\\1\0"),
    "a body": (rb"\r\n\r\n", b"\r\nContent-Length: 5\r\n\r\nhello"),
    "a chunked body": (
        rb"\r\n\r\n",
        b"\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
    ),
    "expectation": (rb"\r\n\r\n", b"\r\nExpect: 100-continue\r\n\r\n"),
    "a request behind": (rb"\r\n\r\n", b"\r\n\r\nGET /no HTTP/1.1\r\nHost: x\r\n\r\n"),
    "a frame behind": (rb"\r\n\r\n", b"\r\n\r\n\x82\x85abcdefghi"),
    "no end": (rb"\r\n\r\n", b"\r\n"),
    "a line too long": (rb"\r\n\r\n", b"\r\nCookie: " + b"c" * 40_000 + b"\r\n\r\n"),
    "nothing": (rb"", b""),
}


def nearly_openings(bridge: Bridge, random: Random, times: int) -> dict[str, Probe]:
    """Openings of WebSockets whose hello is for another bridge, and otherwise changed too."""
    other = BridgeKeys.generate(random.randbytes)
    probes: dict[str, Probe] = {}
    for number in range(times):
        for name, (what, instead) in _CHANGES.items():
            good = hello(other, "websocket", random)
            changed = re.sub(what, instead, good, count=0 if what == rb"\r\n" else 1)
            assert changed != good or name == "nothing"
            at = random.randrange(1, len(changed))
            probes[f"{number}: {name}"] = [Send(changed), Poke()]
            probes[f"{number}: {name}, FIN"] = [Send(changed), Finish()]
            probes[f"{number}: {name}, cut"] = [Send(changed[:at]), Pause(), Send(changed[at:])]
            probes[f"{number}: {name}, truncated"] = [Send(changed[:at])]
    return probes


def test_openings_of_websockets_that_are_not_quite_right(full_bridge: Bridge, site: int) -> None:
    probes = nearly_openings(full_bridge, Random(7), 3)
    assert differences(full_bridge, site, probes) == {}


def test_a_hello_that_was_seen_and_changed(full_bridge: Bridge, target: Target, site: int) -> None:
    """A censor who lets a client through, and then tries what is left of its opening."""
    random = Random(8)
    good = hello(full_bridge.keys, "websocket", random)
    [first] = visit_all(full_bridge.port, [[Send(good), Hear(), Reset()]])
    assert first.ending == "left"
    target.accept().close()
    probes: dict[str, Probe] = {}
    for name, (what, instead) in _CHANGES.items():
        changed = re.sub(what, instead, good, count=0 if what == rb"\r\n" else 1)
        probes[name] = [Send(changed), Poke()]
        probes[f"{name}, FIN"] = [Send(changed), Finish()]
        probes[f"{name}, twice"] = [Send(changed + changed)]
    assert differences(full_bridge, site, probes) == {}
    assert target.is_untouched()


@pytest.mark.parametrize(("kind", "count"), [("base64_bridge", 4000), ("full_bridge", 1000)])
def test_5000_hellos_that_are_not_quite_right(
    kind: str, count: int, site: int, request: pytest.FixtureRequest
) -> None:
    bridge = request.getfixturevalue(kind)
    assert differences(bridge, site, nearly_hellos(bridge, count)) == {}


# Programs


def run(*command: object, timeout: float = 60.0) -> tuple[int, bytes, bytes]:
    """Run a program with all that it starts; its status, stdout and stderr."""
    process = subprocess.Popen(
        [str(word) for word in command],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )
    try:
        stdout, stderr = process.communicate(timeout=timeout)
    finally:
        with ExitStack() as stack:
            stack.callback(process.wait)
            with suppress(ProcessLookupError):
                os.killpg(process.pid, signal.SIGKILL)
    return process.returncode, stdout, stderr


def same_at_both(bridge: Bridge, site: int, *command: str) -> tuple[int, bytes, bytes]:
    """Run a program at both ports (PORT in its arguments); what it says must be the same."""
    said = []
    for port in (bridge.port, site):
        status, *outputs = run(*(word.replace("PORT", str(port)) for word in command))
        stdout, stderr = (without_date(each.replace(b"%d" % port, b"PORT")) for each in outputs)
        said.append((status, stdout, stderr))
    assert said[0] == said[1]
    return said[0]


CURL = [
    ["/"],
    ["--head", "/"],
    ["--http1.0", "/"],
    ["--http2-prior-knowledge", "/"],
    ["--http2", "/"],
    ["--data", "name=value", "/"],
    ["--request", "DELETE", "/"],
    ["--range", "100-199", "/large.png"],
    ["--location", "/album"],
    ["--compressed", "/album/"],
    ["/", "/script.js", "/no"],
]


@pytest.mark.parametrize("arguments", CURL, ids=" ".join)
def test_curl(base64_bridge: Bridge, site: int, arguments: list[str]) -> None:
    words = [
        f"http://{LOOPBACK}:PORT{word}" if word.startswith("/") else word for word in arguments
    ]
    summary = "%{http_version} %{num_connects} %{size_download} %{exitcode}"
    options = ["--silent", "--show-error", "--raw", "--include", "--write-out", summary]
    same_at_both(base64_bridge, site, tool("curl"), *options, *words)


def test_wget(base64_bridge: Bridge, site: int, tmp_path: Path) -> None:
    options = ["--quiet", "--recursive", "--no-host-directories", "--save-headers"]
    trees = []
    for port in (base64_bridge.port, site):
        directory = tmp_path / str(port)
        run(tool("wget"), *options, "-P", directory, f"http://{LOOPBACK}:{port}/")
        trees.append(
            {
                str(path.relative_to(directory)): without_date(path.read_bytes())
                for path in directory.rglob("*")
                if path.is_file()
            }
        )
    assert len(trees[0]) >= 3
    assert trees[0] == trees[1]


def test_openssl(base64_bridge: Bridge, site: int) -> None:
    said = []
    for port in (base64_bridge.port, site):
        status, stdout, stderr = run(tool("openssl"), "s_client", "-connect", f"{LOOPBACK}:{port}")
        # Errors begin with the number of the thread.
        said.append((status, stdout, re.sub(rb"(?m)^[0-9A-F]{8,}:", b"", stderr)))
    assert b"wrong version number" in said[0][2]
    assert said[0] == said[1]


def test_nmap_finds_the_same_service(base64_bridge: Bridge, site: int) -> None:
    ports = f"{base64_bridge.port},{site}"
    status, stdout, stderr = run(
        tool("nmap"), "-sV", "-sT", "-Pn", "-n", "-p", ports, "-oX", "-", LOOPBACK
    )
    assert status == 0, stderr
    services = {}
    for port in ElementTree.fromstring(stdout).iter("port"):
        services[int(port.attrib["portid"])] = [
            ElementTree.tostring(each).strip() for each in port if each.tag != "state"
        ]
    assert b'product="nginx"' in services[site][0]
    assert services[base64_bridge.port] == services[site]


def test_chromium_shows_the_same_page(base64_bridge: Bridge, site: int, tmp_path: Path) -> None:
    options = ["--headless", "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run"]
    options += ["--disable-background-networking", "--disable-component-update", "--disable-sync"]
    pages = []
    for port in (base64_bridge.port, site):
        profile = f"--user-data-dir={tmp_path / str(port)}"
        address = f"http://{LOOPBACK}:{port}/"
        pages.append(run(tool("chromium"), *options, profile, "--dump-dom", address)[:2])
    assert b"Taken in 1997" in pages[0][1]
    assert pages[0] == pages[1]


# Times

#: How far the medians may be apart, in seconds. The gate's own work is some tenths of a
#: millisecond, and some milliseconds for a string of its language; a network's jitter is more.
MARGIN = 0.01

SAMPLES = 120


def shift(bridge: Bridge, site: int, probe: Probe) -> tuple[float, float]:
    """By how much the bridge is slower: the medians' difference, and a bound above it.

    Bridge and site are asked in turn, so that whatever else the machine does meets both
    alike. The bound is the upper end of the sign test's confidence interval for the median of
    the pairs' differences; it is too low once in a thousand times, however the times are
    distributed. That the bound is below a margin shows that the times are alike; merely to
    find no difference would show nothing.
    """
    at_bridge, at_site = visit_in_turn(bridge.port, site, probe, SAMPLES)
    assert at_bridge == at_site
    times = [[each.seconds for each in answers] for answers in (at_bridge, at_site)]
    pairs = sorted(one - other for one, other in zip(*times, strict=True))
    upper = round(SAMPLES / 2 + 3.1 * SAMPLES**0.5 / 2)
    return median(times[0]) - median(times[1]), pairs[upper]


@pytest.mark.parametrize("kind", ["base64_bridge", "full_bridge"])
def test_answers_take_as_long(
    kind: str, target: Target, site: int, request: pytest.FixtureRequest
) -> None:
    bridge, random = request.getfixturevalue(kind), Random(5)
    other = BridgeKeys.generate(random.randbytes)
    seen = hello(bridge.keys, "base64", random)
    visit_all(bridge.port, [[Send(seen), Hear(), Reset()]])
    target.accept().close()
    probes: dict[str, tuple[Probe, float]] = {
        "a long request": ([Send(BROWSER_LONG)], MARGIN),
        "random bytes": ([Send(random.randbytes(300))], MARGIN),
        "a hello for another bridge": ([Send(hello(other, "base64", random))], MARGIN),
        "a hello seen before": ([Send(seen)], MARGIN),
        "one byte": ([Send(b"g")], MARGIN),
        "a WebSocket for another bridge": (
            [Send(hello(other, "websocket", random) + CLOSING)],
            MARGIN,
        ),
    }
    for name, (probe, margin) in probes.items():
        # Another load on the machine can only add to the difference: the least counts.
        attempts = [shift(bridge, site, probe)]
        while attempts[-1][1] > margin and len(attempts) < 3:
            attempts.append(shift(bridge, site, probe))
        difference, bound = min(attempts, key=lambda each: each[1])
        print(f"{kind}, {name}: {difference * 1e3:.2f} ms, at most {bound * 1e3:.2f} ms")
        assert bound < margin, name


# Without a fallback


@pytest.fixture(scope="module")
def silent_bridge(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    state = tmp_path_factory.mktemp("silent") / "state"
    with bridge(target, state, COVERS, classic=True) as running:
        yield running


def test_without_a_fallback_nobody_is_ever_answered(silent_bridge: Bridge, target: Target) -> None:
    random = Random(6)
    other = BridgeKeys.generate(random.randbytes)
    probes: list[Probe] = [*ALL_RAW.values()]
    probes += [[Send(hello(other, cover, random))] for cover in CATALOGUE.names for _ in range(10)]
    probes += list(nearly_hellos(silent_bridge, 200).values())
    answers = visit_all(silent_bridge.port, probes, patience=3.0)
    assert {(each.data, each.ending) for each in answers} == {(b"", "open")}
    assert target.is_untouched()


# One port


def test_sessions_in_several_covers_and_classic_on_one_port(
    full_bridge: Bridge, target: Target
) -> None:
    arguments: list[Sequence[object]] = [("--bridge", full_bridge.line(each)) for each in COVERS]
    connect = f"tcp:{LOOPBACK}:{full_bridge.port}"
    arguments.append(("--classic", "--key-file", full_bridge.classic_key, "--connect", connect))
    with ExitStack() as stack:
        clients = [
            stack.enter_context(half("client", "--listen", LISTEN, *each)) for each in arguments
        ]
        for client in clients:
            with Tunnel(client.port, target).open():
                pass
    assert target.is_untouched()
