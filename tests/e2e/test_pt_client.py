"""The client side of a managed proxy, asked over SOCKS as tor's client asks."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, suppress
from pathlib import Path
from random import Random

import pytest

from obfsfte.session.keys import BridgeKeys
from tests.e2e.halves import (
    Target,
    connect,
    exchange,
    is_reset,
    receive,
    receive_to_end,
    reset,
)
from tests.e2e.pt_process import (
    Bridge,
    Managed,
    ask,
    carries,
    client_environment,
    greeted,
    managed_bridge,
    refusal,
    socks,
    tunnel,
)
from tests.e2e.waiting import LOOPBACK, free_port
from tests.transport.processes import require

pytestmark = pytest.mark.e2e

HEX_KEY = "0123456789abcdef" * 4

SUCCEEDED = 0
GENERAL_FAILURE = 1
NOT_ALLOWED = 2
NETWORK_UNREACHABLE = 3
HOST_UNREACHABLE = 4
CONNECTION_REFUSED = 5


@pytest.fixture(scope="module")
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Managed]:
    """One for all tests: no connection may leave a trace that another one notices."""
    with Managed(client_environment(tmp_path_factory.mktemp("client"))) as client:
        client.launched()
        yield client
        assert client.status is None
        assert "Traceback" not in client.stderr


@pytest.fixture(scope="module")
def port(client: Managed) -> int:
    (method,) = (line for line in client.lines if line.startswith("CMETHOD "))
    return int(method.rpartition(":")[2])


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory, target: Target) -> Iterator[Bridge]:
    """It takes sessions, and classic clients with fteproxy's public key."""
    options = "fte:cover=base64,words,websocket,http;fte:classic=1"
    state = tmp_path_factory.mktemp("bridge")
    with managed_bridge(state, target, TOR_PT_SERVER_TRANSPORT_OPTIONS=options) as bridge:
        yield bridge


# Wires


@pytest.mark.parametrize(
    "arguments",
    [
        {},
        {"cover": "words"},
        {"cover": "websocket"},
        {"cover": "http"},
    ],
    ids=str,
)
def test_a_session_in_each_cover(port: int, bridge: Bridge, arguments: dict[str, str]) -> None:
    application, reply = socks(port, LOOPBACK, bridge.port, {**bridge.arguments, **arguments})
    with application, greeted(application, bridge.target) as service:
        assert reply == SUCCEEDED
        exchange(application, service, 200_000)
        application.shutdown(socket.SHUT_WR)
        assert receive_to_end(service) == b""
        service.close()
        assert receive_to_end(application) == b""


@pytest.mark.parametrize(
    "arguments", [None, {"format": "words"}, {"format": "dummy", "release": "20131224"}], ids=str
)
def test_without_cert_the_wire_is_classic(
    port: int, bridge: Bridge, arguments: dict[str, str] | None
) -> None:
    application, reply = socks(port, LOOPBACK, bridge.port, arguments)
    with application, greeted(application, bridge.target) as service:
        assert reply == SUCCEEDED
        exchange(application, service, 100_000)


def test_several_bridges_at_once(
    tmp_path: Path, client: Managed, port: int, bridge: Bridge
) -> None:
    """Of one client: other keys, other covers, another wire."""
    options = f"fte:cover=words,http;fte:classic=1;fte:key={HEX_KEY};fte:format=dummy"
    with Target() as target, ExitStack() as stack:
        other = stack.enter_context(
            managed_bridge(tmp_path, target, TOR_PT_SERVER_TRANSPORT_OPTIONS=options)
        )
        asked: list[tuple[Bridge, dict[str, str]]] = [
            (bridge, bridge.arguments),
            (other, other.arguments),
            (bridge, {**bridge.arguments, "cover": "websocket"}),
            (bridge, {**bridge.arguments, "cover": "http"}),
            (other, {**other.arguments, "cover": "http"}),
            (bridge, {}),
            (other, {"key": HEX_KEY, "format": "dummy"}),
        ]
        pairs = []
        for where, arguments in asked:
            application, reply = socks(port, LOOPBACK, where.port, arguments)
            assert reply == SUCCEEDED
            stack.enter_context(application)
            pairs.append((application, stack.enter_context(greeted(application, where.target))))
        for application, service in reversed(pairs):
            assert carries(application, service)


def test_fifty_at_once(port: int, bridge: Bridge) -> None:
    def ask(number: int) -> socket.socket:
        application, reply = socks(port, LOOPBACK, bridge.port, bridge.arguments)
        assert reply == SUCCEEDED
        application.sendall(b"%08d" % number)
        return application

    with ExitStack() as stack, ThreadPoolExecutor(50) as threads:
        applications = [stack.enter_context(each) for each in threads.map(ask, range(50))]
        services = [stack.enter_context(bridge.target.accept()) for _ in applications]
        by_number = {int(receive(service, 8)): service for service in services}
        assert sorted(by_number) == list(range(50))
        for number, application in enumerate(applications):
            assert carries(application, by_number[number])


# What the reply says


@pytest.mark.parametrize("host", [LOOPBACK, "localhost", "LOCALHOST"])
def test_addresses_and_names(port: int, bridge: Bridge, host: str) -> None:
    application, reply = socks(port, host, bridge.port, bridge.arguments)
    with application, greeted(application, bridge.target) as service:
        assert reply == SUCCEEDED
        assert carries(application, service)


def test_ipv6(tmp_path: Path, port: int) -> None:
    with (
        Target() as target,
        managed_bridge(tmp_path, target, TOR_PT_SERVER_BINDADDR="fte-[::1]:0") as bridge,
    ):
        application, reply = socks(port, "::1", bridge.port, bridge.arguments)
        with application, greeted(application, target) as service:
            assert reply == SUCCEEDED
            assert carries(application, service)


def test_success_is_said_after_the_handshake(port: int, bridge: Bridge) -> None:
    with Target() as between, ThreadPoolExecutor(3) as threads:
        asked = threads.submit(socks, port, LOOPBACK, between.port, bridge.arguments)
        with between.accept() as wire, connect(bridge.port) as onward:
            threads.submit(forward, wire, onward)
            answer = onward.recv(65536)
            assert answer
            assert not asked.done()
            wire.sendall(answer)
            threads.submit(forward, onward, wire)
            application, reply = asked.result()
            with application, greeted(application, bridge.target) as service:
                assert reply == SUCCEEDED
                assert carries(application, service)


def forward(source: socket.socket, sink: socket.socket) -> None:
    """Carry bytes one way until they end."""
    with suppress(OSError):
        while data := source.recv(65536):
            sink.sendall(data)
        sink.shutdown(socket.SHUT_WR)


def test_a_bridge_that_hangs_up_in_the_handshake(port: int, bridge: Bridge) -> None:
    with Target() as moody, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(refusal, port, LOOPBACK, moody.port, bridge.arguments)
        with moody.accept() as wire:
            assert receive(wire, 1)
            assert not asked.done()
        assert asked.result() == GENERAL_FAILURE


def test_a_classic_bridge_is_connected_when_tcp_is(port: int) -> None:
    with Target() as silent:
        application, reply = socks(port, LOOPBACK, silent.port)
        application.close()
        assert reply == SUCCEEDED


def test_another_bridges_cert(port: int, bridge: Bridge) -> None:
    """The bridge takes us for a stranger, and says nothing."""
    cert = BridgeKeys.generate(Random(1).randbytes).cert.encode()
    with Target() as stranger, ThreadPoolExecutor(1) as threads:
        asked = threads.submit(refusal, port, LOOPBACK, stranger.port, {"cert": cert})
        with stranger.accept() as wire:
            assert receive(wire, 1)
            wire.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n" * 20)
            assert asked.result() == GENERAL_FAILURE


def test_nobody_there(port: int, bridge: Bridge) -> None:
    for arguments in (bridge.arguments, {}):
        assert refusal(port, LOOPBACK, free_port(), arguments) == CONNECTION_REFUSED


def test_what_the_system_does_not_connect_to(port: int) -> None:
    assert refusal(port, "255.255.255.255", 443) in (NOT_ALLOWED, NETWORK_UNREACHABLE)


@pytest.mark.parametrize("name", ["bridge..example", "a" * 64, "-"])
def test_names_that_cannot_be_resolved(port: int, name: str) -> None:
    assert refusal(port, name, 443) in (GENERAL_FAILURE, HOST_UNREACHABLE)


@pytest.mark.parametrize(
    "arguments",
    [
        {"cert": "s3cret"},
        {"cert": "A" * 86},
        {"key": "s3cret"},
        {"key": "s" * 64},
        {"s3cret": "s3cret"},
        {"format": "nonsense"},
        {"release": "nonsense"},
        {"cover": "words"},
    ],
    ids=str,
)
def test_arguments_that_cannot_be_used(
    client: Managed, port: int, bridge: Bridge, arguments: dict[str, str]
) -> None:
    assert refusal(port, LOOPBACK, bridge.port, arguments) == GENERAL_FAILURE
    line = client.wait_for_line('LOG SEVERITY=warning MESSAGE="the bridge line cannot be used: .*')
    assert "=s3cret" not in line[0]


@pytest.mark.parametrize("extra", [{"cover": "nonsense"}, {"colour": "blue"}, {"key": HEX_KEY}])
def test_arguments_that_do_not_fit_a_session(
    port: int, bridge: Bridge, extra: dict[str, str]
) -> None:
    arguments = {**bridge.arguments, **extra}
    assert refusal(port, LOOPBACK, bridge.port, arguments) == GENERAL_FAILURE


# Applications that do not wait


def test_what_comes_with_the_request_is_carried(port: int, bridge: Bridge) -> None:
    """RFC 1928 wants a client to wait for each answer; not all do."""
    with socket.create_connection((LOOPBACK, port)) as application:
        request = b"\x05\x01\x00\x01\x7f\x00\x00\x01" + bridge.port.to_bytes(2, "big")
        application.sendall(b"\x05\x01\x00" + request + b"hello")
        assert receive(application, 12)[:4] == b"\x05\x00\x05\x00"
        with bridge.target.accept() as service:
            assert receive(service, 5) == b"hello"
            assert carries(application, service)


def test_an_application_that_leaves_while_we_dial(
    client: Managed, port: int, bridge: Bridge
) -> None:
    with Target() as silent:
        for leave in (socket.socket.close, reset):
            application = ask(port, LOOPBACK, silent.port, bridge.arguments)
            with silent.accept() as wire:
                assert receive(wire, 1)
                leave(application)
                assert is_reset(wire)  # long before the bridge, which is silent, is given up
    application, service = tunnel(port, bridge)
    with application, service:
        assert carries(application, service)


def test_noise_costs_one_connection(client: Managed, port: int, bridge: Bridge) -> None:
    random = Random(1)
    for size in (1, 3, 100, 5000):
        with socket.create_connection((LOOPBACK, port)) as connection:
            connection.sendall(random.randbytes(size))
            connection.shutdown(socket.SHUT_WR)
            with suppress(ConnectionResetError):
                receive_to_end(connection)
    application, service = tunnel(port, bridge)
    with application, service:
        assert carries(application, service)


# curl, which reads RFC 1928 in its own way


def curl(port: int, url: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("curl"), "--silent", "--show-error", "--max-time", "20"]
        + ["--proxy", f"socks5h://{LOOPBACK}:{port}", *options, url],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("with_cert", [True, False], ids=["session", "classic"])
def test_curl_is_served(port: int, bridge: Bridge, with_cert: bool) -> None:
    # Both fields of a login together are the arguments; curl wants something in each.
    login = ";".join(f"{key}={value}" for key, value in bridge.arguments.items())
    options = ["--proxy-user", f"{login[:-1]}:{login[-1]}"] if with_cert else []
    with ThreadPoolExecutor(1) as threads:
        fetched = threads.submit(curl, port, f"http://{LOOPBACK}:{bridge.port}/", *options)
        with bridge.target.accept() as service:
            assert receive(service, 16) == b"GET / HTTP/1.1\r\n"
            service.sendall(b"HTTP/1.0 200 OK\r\n\r\nreached")
            service.shutdown(socket.SHUT_WR)
            result = fetched.result()
    assert (result.stdout, result.stderr) == ("reached", "")


def test_curl_is_told_why_not(port: int) -> None:
    result = curl(port, f"http://{LOOPBACK}:{free_port()}/")
    assert f"({CONNECTION_REFUSED})" in result.stderr


# Where connections come from


def test_the_source_that_tor_wants(tmp_path: Path) -> None:
    """Loopback is exempt, so the way to somewhere else must show it: by the error it gives."""
    source = "192.0.2.77"  # nobody's: the system cannot bind to it
    environment = client_environment(tmp_path, TOR_PT_OUTBOUND_BIND_ADDRESS_V4=source)
    with Managed(environment) as client, Target() as silent:
        port = client.port()
        application, reply = socks(port, LOOPBACK, silent.port)
        application.close()
        assert reply == SUCCEEDED
        assert refusal(port, "192.0.2.1", 443) == 8
        client.wait_for_line('LOG SEVERITY=warning MESSAGE="no connection to the bridge: .*"')
        assert source not in "".join(client.logged())
