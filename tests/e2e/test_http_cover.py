"""The http cover between real processes: judged, probed, and through intermediaries."""

from __future__ import annotations

import socket
import threading
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from random import Random

import h11
import pytest

from obfsfte.covers import Catalogue, Definition
from obfsfte.covers.http import HttpClient, HttpServer
from obfsfte.covers.http_look import HttpOpening
from tests.e2e.capture import capture, ndpi, tshark
from tests.e2e.halves import (
    LISTEN,
    Target,
    Tunnel,
    connect,
    exchange,
    half,
    receive,
    receive_to_end,
    reset,
)
from tests.e2e.nginx import nginx
from tests.e2e.probes import Finish, Send, visit_both
from tests.e2e.sessions import bridge_line, server, tunnel, use
from tests.e2e.waiting import LOOPBACK, free_port
from tests.e2e.web_servers import run_haproxy, run_nginx

pytestmark = pytest.mark.e2e

COVERS = ["http", "http-api"]
NOW = 1_800_000_000


def test_an_application_that_never_reads_stops_its_peer_and_nobody_else(tmp_path: Path) -> None:
    with tunnel(tmp_path / "state", "http") as (way, client, bridge), way.open() as (one, other):
        other.setblocking(False)
        sent = 0
        stalled = 0
        while stalled < 20:
            try:
                sent += other.send(bytes(1 << 16))
                stalled = 0
            except BlockingIOError:
                stalled += 1
                one.sendall(b"up")  # the other direction goes on meanwhile
                other.setblocking(True)
                assert receive(other, 2) == b"up"
                other.setblocking(False)
        other.setblocking(True)
        assert max(client.peak_memory(), bridge.peak_memory()) < 150_000_000
        assert len(receive(one, sent)) == sent


def test_a_target_that_answers_before_it_reads_on_cannot_stop_the_tunnel(tmp_path: Path) -> None:
    """It says more than it is told, and reads nothing until that is said."""
    size, times = 100_000, 60

    def answer(service: socket.socket) -> None:
        while request := receive(service, size):
            service.sendall(request * 3)
        service.shutdown(1)

    with tunnel(tmp_path / "state", "http") as (way, _, _), way.open() as (one, other):
        answering = threading.Thread(target=answer, args=(other,))
        answering.start()
        asking = threading.Thread(target=one.sendall, args=(bytes(size * times),))
        asking.start()
        assert len(receive(one, 3 * size * times)) == 3 * size * times
        asking.join()
        one.shutdown(1)
        assert receive_to_end(one) == b""
        answering.join()


@pytest.mark.parametrize("cover", COVERS)
def test_the_wire_is_http_to_its_judges(tmp_path: Path, cover: str) -> None:
    file = tmp_path / "wire.pcapng"
    with tunnel(tmp_path / "state", cover) as (way, _, bridge), capture(bridge.port, file):
        use(way, 2, 2_000_000)
    assert assert_judges_are_content(file, bridge.port) > 10


def assert_judges_are_content(file: Path, port: int) -> int:
    """How many requests the capture has."""
    fields = ["http.request.method", "http.response.code", "tcp.flags.reset", "_ws.malformed"]
    matched = ["http.request_in", "http.response_in", "_ws.expert.severity", "_ws.expert.message"]
    packets = tshark(file, port, fields + matched, "-2")
    assert {packet["_ws.malformed"] for packet in packets} == {""}
    requests = [packet for packet in packets if packet["http.request.method"]]
    responses = [packet for packet in packets if packet["http.response.code"]]
    assert len(requests) == len(responses)
    assert all(packet["http.response_in"] for packet in requests)
    assert all(packet["http.request_in"] for packet in responses)
    assert {packet["http.request.method"] for packet in requests} <= {"GET", "POST"}
    assert {packet["http.response.code"] for packet in responses} == {"200"}
    assert {packet["tcp.flags.reset"] for packet in packets} <= {"False", "0"}
    protocols, risks = ndpi(file)
    assert protocols == {"HTTP"}
    # The port is a test's; a bridge's is 80.
    assert risks <= {"Known Protocol on Non Standard Port"}
    return len(requests)


@pytest.mark.parametrize("cover", COVERS)
def test_every_template_is_http_to_its_judges(tmp_path: Path, cover: str) -> None:
    """As many bridges as it takes to have all requests and responses, without their processes."""
    file = tmp_path / "wire.pcapng"
    definition = Catalogue().get(cover)
    random = Random(1)
    with socket.create_server((LOOPBACK, 0)) as listening:
        port = listening.getsockname()[1]
        with capture(port, file):
            for seed in range(60):
                one = socket.create_connection((LOOPBACK, port))
                with one, listening.accept()[0] as other:
                    _talk(definition, {"seed": str(seed)}, random, one, other)
    assert assert_judges_are_content(file, port) == 60 * 4


def _talk(
    definition: Definition,
    parameters: dict[str, str],
    random: Random,
    one: socket.socket,
    other: socket.socket,
) -> None:
    keys = random.randbytes(32), random.randbytes(32)
    greeting = definition.look(parameters).greeting(random)
    client = greeting.begin(random.randbytes(greeting.record_size(74)), *keys)
    one.sendall(b"".join(client.data_to_send()))
    [hello] = definition.look(parameters).opening(random).feed(other.recv(1 << 16))
    bridge = hello.accept(*keys, 0)
    assert isinstance(bridge, HttpServer)
    assert isinstance(client, HttpClient)
    for number in range(4):
        if number:
            no_record = number == 2 and not client.needs_record
            records = [] if no_record else [random.randbytes(600)]
            one.sendall(b"".join(client.say(records, NOW)))
            opening = definition.look(parameters).opening(random)
            opening.feed(other.recv(1 << 16))
            assert isinstance(opening, HttpOpening)
            bridge.resume(opening)
        bridge.unwrap(b"")
        other.sendall(b"".join(bridge.say([random.randbytes(600)], NOW)))
        client.unwrap(one.recv(1 << 16))


class Recorder:
    """Passes connections on to a bridge, and keeps what both ends said."""

    bridge: int

    def __init__(self) -> None:
        self._socket = socket.create_server((LOOPBACK, 0))
        self.port: int = self._socket.getsockname()[1]
        self.connections: list[tuple[bytearray, bytearray]] = []
        threading.Thread(target=self._accept, daemon=True).start()

    def _accept(self) -> None:
        while True:
            one = self._socket.accept()[0]
            other = connect(self.bridge)
            said = bytearray(), bytearray()
            self.connections.append(said)
            for source, sink, kept in ((one, other, said[0]), (other, one, said[1])):
                copying = threading.Thread(target=self._copy, args=(source, sink, kept))
                copying.daemon = True
                copying.start()

    @staticmethod
    def _copy(source: socket.socket, sink: socket.socket, kept: bytearray) -> None:
        try:
            while data := source.recv(1 << 16):
                kept += data
                sink.sendall(data)
            sink.shutdown(1)
        except OSError:
            reset(sink)


@pytest.mark.parametrize("cover", COVERS)
def test_h11_accepts_every_byte_in_both_roles(tmp_path: Path, cover: str) -> None:
    recorder = Recorder()
    with tunnel(tmp_path / "state", cover, through=recorder.port) as (way, _, bridge):
        recorder.bridge = bridge.port
        use(way, 1, 3_000_000)
    for said, answered in recorder.connections:
        assert h11_exchanges(bytes(said), bytes(answered)) > 5


def h11_exchanges(said: bytes, answered: bytes) -> int:
    """How many requests and responses there are; raises h11's errors for anything else."""
    server = h11.Connection(h11.SERVER)
    client = h11.Connection(h11.CLIENT)
    server.receive_data(said)
    client.receive_data(answered)
    count = 0
    while True:
        event = server.next_event()
        if event is h11.NEED_DATA:
            break
        assert isinstance(event, h11.Request), event
        client.send(h11.Request(method=event.method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        while not isinstance(server.next_event(), h11.EndOfMessage):
            pass
        answer = client.next_event()
        assert isinstance(answer, h11.Response), answer
        assert answer.status_code == 200
        while not isinstance(client.next_event(), h11.EndOfMessage):
            pass
        server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        server.send(h11.EndOfMessage())
        server.start_next_cycle()
        client.start_next_cycle()
        count += 1
    assert not server.trailing_data[0]
    assert not client.trailing_data[0]
    return count


NGINX = """
    upstream bridge {{ server {host}:{bridge}; {pool} }}
    server {{
        listen {host}:{port} {tls};
        keepalive_requests {requests};
        location / {{
            proxy_pass http://bridge;
            {http}
            proxy_buffering {buffering};
            proxy_request_buffering {buffering};
            proxy_set_header X-Forwarded-For $remote_addr;
        }}
    }}
"""

HAPROXY = """
    mode http
    timeout http-keep-alive 2s
frontend wire
    bind {host}:{port}
    option forwardfor
    http-request set-header Host site.internal
    default_backend bridge
backend bridge
    http-reuse always
    server one {host}:{bridge}
"""

POOL = {"pool": "keepalive 2;", "http": 'proxy_http_version 1.1; proxy_set_header Connection "";'}
NO_POOL = {"pool": "", "http": ""}
INTERMEDIARIES = {
    "nginx, buffers, pool": ("nginx", {**POOL, "buffering": "on", "requests": 1000}),
    "nginx, no buffers, pool": ("nginx", {**POOL, "buffering": "off", "requests": 7}),
    "nginx, buffers, HTTP/1.0": ("nginx", {**NO_POOL, "buffering": "on", "requests": 1000}),
    "nginx, no buffers, HTTP/1.0": ("nginx", {**NO_POOL, "buffering": "off", "requests": 1000}),
    "haproxy": ("haproxy", {}),
}


@contextmanager
def intermediary(
    kind: str, directory: Path, port: int, bridge: int, tls: str = ""
) -> Iterator[None]:
    """A web server in front, which passes all requests on to the bridge."""
    directory.mkdir()
    name, settings = INTERMEDIARIES[kind]
    text = {"nginx": NGINX, "haproxy": HAPROXY}[name]
    text = text.format(host=LOOPBACK, port=port, bridge=bridge, **settings, tls=tls)
    with {"nginx": run_nginx, "haproxy": run_haproxy}[name](directory, text, port):
        yield


def visit(port: int, times: int, done: list[str]) -> None:
    """A visitor's requests, some on one connection; each must get the site."""
    for number in range(times):
        with connect(port) as visitor:
            for last in (False, True):
                end = "Connection: close\r\n" if last else ""
                body = "x" * number * 1000
                how = f"POST /script.js HTTP/1.1\r\nContent-Length: {len(body)}"
                if number % 2:
                    how, body = "GET /script.js HTTP/1.1", ""
                visitor.sendall(f"{how}\r\nHost: x\r\n{end}\r\n{body}".encode())
                if not last:
                    answer = b""
                    while b"\r\n\r\n" not in answer:
                        answer += visitor.recv(1 << 16)
                    length = int(answer.lower().partition(b"content-length: ")[2].split()[0])
                    missing = length - len(answer.partition(b"\r\n\r\n")[2])
                    answer += receive(visitor, missing)
                    done.append(what_it_is(answer))
            done.append(what_it_is(receive_to_end(visitor)))


def what_it_is(answer: bytes) -> str:
    """Which of the site's answers."""
    if b"Taken in" in answer:
        return "the script"
    return "no POST here" if b" 405 Not Allowed" in answer else str(answer[:60])


@pytest.mark.parametrize("kind", INTERMEDIARIES)
def test_through_an_intermediary_among_visitors(tmp_path: Path, kind: str) -> None:
    port = free_port()
    with (
        nginx() as site,
        tunnel(
            tmp_path / "state",
            "http",
            "--fallback",
            f"tcp:{LOOPBACK}:{site}",
            through=port,
            more="host=shop.example",
        ) as (way, _, bridge),
        intermediary(kind, tmp_path / "intermediary", port, bridge.port),
        ThreadPoolExecutor(6) as threads,
    ):
        done: list[str] = []
        visits = [threads.submit(visit, port, 15, done) for _ in range(2)]
        uses = [threads.submit(use, Tunnel(way.client_port, way.target), 1, 3_000_000)]
        for each in [*visits, *uses]:
            each.result()
        use(way, 2, 1_000_000)
        assert Counter(done) == {"the script": 28, "no POST here": 32}


def test_through_nginx_that_ends_tls(tmp_path: Path, certificate: Path) -> None:
    port = free_port()
    tls = f"ssl; ssl_certificate {certificate}/cert.pem; ssl_certificate_key {certificate}/key.pem"
    connect = f"tls:localhost:{port}:trustRoots={certificate}/trust"
    with (
        Target() as target,
        server(target, tmp_path / "state", "--cover", "http") as bridge,
        intermediary("nginx, no buffers, pool", tmp_path / "intermediary", port, bridge.port, tls),
    ):
        line = f"{bridge_line(bridge, tmp_path / 'state')} host=localhost:{port}"
        options = ("--listen", LISTEN, "--connect", connect, "--bridge", line)
        with half("client", *options) as process:
            use(Tunnel(process.port, target), 2, 1_000_000)


def test_whoever_repeats_requests_gets_the_site(tmp_path: Path) -> None:
    """With recorded requests, and with those of a session that goes on."""
    recorder = Recorder()
    with (
        nginx() as site,
        tunnel(
            tmp_path / "state",
            "http",
            "--fallback",
            f"tcp:{LOOPBACK}:{site}",
            through=recorder.port,
            more="path=/script.js",
        ) as (way, _, bridge),
    ):
        recorder.bridge = bridge.port
        with way.open() as (one, other):
            exchange(one, other, 100_000)
            [(said, _)] = recorder.connections
            recorded = requests_in(bytes(said))
            assert len(recorded) > 1
            last = recorded[-1]
            forged = last[:40] + bytes([last[40] ^ 1]) + last[41:]
            probes = [[Send(request), Finish()] for request in (*recorded, forged)]
            for at_bridge, at_site in visit_both(bridge.port, site, probes):
                assert at_bridge == at_site
            exchange(one, other, 100_000)
        assert way.target.is_untouched()


def requests_in(said: bytes) -> list[bytes]:
    """The requests that were recorded, cut apart by h11."""
    requests = []
    while said:
        parser = h11.Connection(h11.SERVER)
        parser.receive_data(said)
        while not isinstance(event := parser.next_event(), h11.EndOfMessage):
            if event is h11.NEED_DATA:
                return requests
        rest, _ = parser.trailing_data
        requests.append(said[: len(said) - len(rest)])
        said = rest
    return requests
