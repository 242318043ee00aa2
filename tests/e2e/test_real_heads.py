"""The built-in definitions beside the programs that they imitate: web servers, libraries, curl.

Each line must be the same but for what differs between any two servers or two connections. The
browsers are in test_browser_heads.py.
"""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from obfsfte.covers.catalogue import Catalogue
from obfsfte.covers.http_fields import http_date
from tests.e2e import other_programs, templates
from tests.e2e.in_front import in_front
from tests.e2e.other_programs import ASK, BODY
from tests.e2e.process import PATIENCE
from tests.e2e.recorder import Recorder
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e

#: What a program's user sets, and not the program.
OF_THE_USER = re.compile(r"(?i)x-.*|content-type|cache-control|request-id")
#: Values that vary: where they stand, and what stands for them.
VARYING = [
    (r"(?mi)^(Sec-WebSocket-(?:Key|Accept)|Date|Content-Length|X-\S+|Content-Type): .*$", r"\1: -"),
    (r"(?mi)^(Cache-Control): .*$", r"\1: -"),
    (
        r"(nginx|Python|websockets|aiohttp|python-requests|okhttp|curl|lighttpd)/[0-9.]+( \(.*\))?",
        r"\1/-",
    ),
    (r"(?m)^Server: nginx$", "Server: nginx/-"),
]


def common(head: str) -> str:
    """A head without what varies."""
    return templates.common(head, VARYING)


WEBSOCKETS = ["websockets", "aiohttp", "websocket-client", "node", "go"]
HTTP = ["go", "requests", "aiohttp", "okhttp", "curl"]


@pytest.mark.parametrize(
    ("cover", "name"),
    [("websocket-api", name) for name in WEBSOCKETS] + [("http-api", name) for name in HTTP],
)
def test_what_a_program_asks(tmp_path: Path, cover: str, name: str) -> None:
    recorder = Recorder()
    strings = {
        "scheme": "http",
        "host": f"{LOOPBACK}:{recorder.port}",
        "key": "-",
        "length": str(len(BODY)),
    }
    scheme = "ws" if cover == "websocket-api" else "http"
    expected = [
        templates.filled(cover, template, strings) for template in templates.requests(cover, name)
    ]
    assert expected
    with recorder.serving():
        for head in expected:
            line, *fields = head.split("\n")
            method, target, _ = line.split(" ")
            pairs = [(key, value) for key, _, value in (each.partition(": ") for each in fields)]
            of_the_user = [pair for pair in pairs if OF_THE_USER.fullmatch(pair[0])]
            url = f"{scheme}://{LOOPBACK}:{recorder.port}{target}"
            ASK[name](tmp_path, url, method, of_the_user)
    assert [common(head) for head in recorder.heads] == [common(head) for head in expected]


def test_every_programs_requests_are_compared() -> None:
    for cover, names in (("websocket-api", WEBSOCKETS), ("http-api", HTTP)):
        for each in templates.definition(cover).requests["http"]:
            assert each.name.startswith(tuple(names))


UPGRADE = (
    "GET /live HTTP/1.1\r\nHost: localhost\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    "Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
    "Sec-WebSocket-Extensions: permessage-deflate\r\n\r\n"
)
GET = "GET {path} HTTP/1.1\r\nHost: localhost\r\nConnection: keep-alive\r\n\r\n"
POST = GET.replace("GET", "POST").replace("\r\n\r\n", "\r\nContent-Length: 3\r\n\r\none")


def answer(port: int, request: str) -> str:
    """The head of what a server answers."""
    with socket.create_connection((LOOPBACK, port), PATIENCE) as connection:
        connection.sendall(request.encode())
        head = b""
        while b"\r\n\r\n" not in head:
            received = connection.recv(4096)
            assert received, head
            head += received
    return head.partition(b"\r\n\r\n")[0].decode().replace("\r\n", "\n")


#: The responses of what stands in front of an application, by cover.
IN_FRONT = [
    ("websocket", "nginx"),
    ("websocket", "nginx-ubuntu"),
    ("websocket", "apache"),
    ("websocket", "haproxy"),
    ("websocket", "caddy"),
    ("websocket", "lighttpd"),
    ("websocket-api", "nginx"),
    ("websocket-api", "haproxy"),
    ("http", "nginx"),
    ("http", "nginx-chunked"),
    ("http", "apache"),
    ("http", "caddy"),
    ("http", "varnish"),
    ("http-api", "nginx"),
    ("http-api", "caddy"),
    ("http-api", "haproxy"),
]


def of_the_application(head: str) -> str:
    """What an application behind a web server says, for that one to say the head: HTTP."""
    lines = [
        line
        for line in head.split("\n")[1:]
        if re.match(r"(?i)content-|transfer-|cache-|x-|date: -$", line)
    ]
    body = "one" if "Content-Length: 3" in head else "3\r\none\r\n0\r\n\r\n"
    return "\r\n".join(["HTTP/1.1 200 OK", *lines, "", body])


@pytest.mark.parametrize(("cover", "name"), IN_FRONT)
def test_what_a_web_server_in_front_answers(tmp_path: Path, cover: str, name: str) -> None:
    strings = {"date": http_date(0).decode(), "accept": "-", "length": "3"}
    head = templates.filled(cover, templates.response(cover, name), strings)
    is_websocket = cover.startswith("websocket")
    program = name.partition("-")[0]
    with ExitStack() as stack:
        if (cover, name) == ("http-api", "haproxy"):
            behind = stack.enter_context(other_programs.go_serving(tmp_path))
        else:
            recorder = Recorder(of_the_application(head).encode())
            stack.enter_context(recorder.serving())
            behind = recorder.port
        port = stack.enter_context(in_front(program, tmp_path / program, behind))
        asked = [UPGRADE] if is_websocket else [each.format(path="/named") for each in (GET, POST)]
        answers = [answer(port, request) for request in asked]
    assert {common(real) for real in answers} == {common(head)}
    for date in re.findall(r"(?mi)^date: (.*)$", answers[0]):
        assert re.fullmatch(r"[A-Z][a-z]{2}, \d\d [A-Z][a-z]{2} \d{4} \d\d:\d\d:\d\d GMT", date)
        assert len(date) == len(http_date(0))


#: The responses of applications.
APPLICATIONS = [
    ("websocket", "node", "/live"),
    ("websocket-api", "go", "/live"),
    ("websocket-api", "websockets", "/live"),
    ("websocket-api", "aiohttp", "/live"),
    ("http", "node", "/"),
    ("http-api", "go", "/"),
    ("http-api", "uvicorn", "/"),
    ("http-api", "aiohttp", "/"),
]


@pytest.mark.parametrize(("cover", "name", "path"), APPLICATIONS)
def test_what_an_application_answers(tmp_path: Path, cover: str, name: str, path: str) -> None:
    serving = {
        "node": other_programs.node_serving,
        "go": lambda: other_programs.go_serving(tmp_path),
        "websockets": other_programs.websockets_serving,
        "aiohttp": other_programs.aiohttp_serving,
        "uvicorn": other_programs.uvicorn_serving,
    }[name]
    strings = {"date": http_date(0).decode(), "accept": "-", "length": "3"}
    head = templates.filled(cover, templates.response(cover, name), strings)
    with serving() as port:
        asked = [UPGRADE] if path == "/live" else [each.format(path=path) for each in (GET, POST)]
        answers = [answer(port, request) for request in asked]
    assert {common(real) for real in answers} == {common(head)}


def test_every_servers_responses_are_compared() -> None:
    compared = {(cover, name) for cover, name, *_ in [*IN_FRONT, *APPLICATIONS]}
    for cover in ("websocket", "websocket-api", "http", "http-api"):
        for each in templates.definition(cover).responses:
            assert (cover, each.name) in compared


def test_a_date_is_the_servers_clock() -> None:
    definition = Catalogue().get("websocket-api")
    dates = set()
    for seed in range(40):
        parameters, random, keys = {"seed": str(seed)}, Random(seed), (bytes(32), bytes(32))
        greeting = definition.look(parameters).greeting(random)
        client = greeting.begin(bytes(greeting.record_size(74)), *keys)
        hellos = definition.look(parameters).opening(random).feed(b"".join(client.data_to_send()))
        head = b"".join(hellos[0].accept(*keys, 784_111_777).data_to_send()).decode()
        dates |= set(re.findall(r"^Date: (.*)\r$", head, re.M))
    assert dates == {"Sun, 06 Nov 1994 08:49:37 GMT"}  # RFC 9110, section 5.6.7
