"""Our halves with each other, and each with the real fteproxy 0.3.2 at the other end.

The same tests run through all three tunnels. What differs between them is only what
fteproxy cannot do: it closes both directions of a connection when either ends.
"""

from __future__ import annotations

import contextlib
import secrets
import socket
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from random import Random

import pytest

from obfsfte.classic import RELEASES
from tests.e2e.fteproxy_peer import fteproxy_client, fteproxy_command, fteproxy_server
from tests.e2e.halves import (
    Target,
    Tunnel,
    assert_ends,
    client_half,
    connect,
    exchange,
    half,
    is_reset,
    is_silent,
    receive,
    receive_to_end,
    reset,
    server_half,
)
from tests.e2e.waiting import free_port

pytestmark = pytest.mark.e2e

KINDS = ("ours-ours", "ours-theirs", "theirs-ours")

PAIRS = [
    pytest.param(release.name, request.pair_name, id=f"{release.name}-{request.pair_name}")
    for release in RELEASES.values()
    for request in release.requests()
]


@pytest.fixture(scope="module", autouse=True)
def installed() -> None:
    fteproxy_command()


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture(scope="module", params=KINDS)
def kind(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture(scope="module")
def tunnel(kind: str, target: Target) -> Iterator[Tunnel]:
    client_kind, server_kind = kind.split("-")
    with ExitStack() as stack:
        enter = stack.enter_context
        if server_kind == "ours":
            server_port = enter(server_half(target)).port
        else:
            server_port = enter(fteproxy_server(target))
        if client_kind == "ours":
            client_port = enter(client_half(server_port)).port
        else:
            client_port = enter(fteproxy_client(server_port))
        yield Tunnel(client_port, target)


def test_20_megabytes_each_way_at_once_arrive_as_they_were(tunnel: Tunnel) -> None:
    with tunnel.open() as (application, service):
        exchange(application, service, 20_000_000)


def test_thousands_of_requests_each_answered_before_the_next(tunnel: Tunnel) -> None:
    random = Random(1)
    with tunnel.open() as (application, service):
        for _ in range(2000):
            request = random.randbytes(random.randint(1, 200))
            application.sendall(request)
            assert receive(service, len(request)) == request
            answer = random.randbytes(random.randint(1, 200))
            service.sendall(answer)
            assert receive(application, len(answer)) == answer


@pytest.mark.parametrize("way", ["up", "down"])
def test_thousands_of_small_messages_one_way(tunnel: Tunnel, way: str) -> None:
    messages = [secrets.token_bytes(1 + i % 100) for i in range(5000)]
    with tunnel.open() as (application, service):
        sender, receiver = (application, service) if way == "up" else (service, application)
        for message in messages:
            sender.sendall(message)
        whole = b"".join(messages)
        assert receive(receiver, len(whole)) == whole


def test_100_connections_at_once(tunnel: Tunnel, target: Target) -> None:
    with ExitStack() as stack:
        applications = [stack.enter_context(tunnel.connect()) for _ in range(100)]
        for number, application in enumerate(applications):
            application.sendall(b"%03d" % number)
        services = {receive(service := target.accept(), 3): service for _ in applications}
        for service in services.values():
            stack.enter_context(service)
        assert sorted(services) == [b"%03d" % number for number in range(100)]
        for name, service in services.items():
            service.sendall(name[::-1])
        for number, application in enumerate(applications):
            assert receive(application, 3) == (b"%03d" % number)[::-1]


@pytest.mark.parametrize("end", ["application", "service"])
def test_the_end_of_a_stream_comes_after_all_its_bytes(tunnel: Tunnel, kind: str, end: str) -> None:
    data = secrets.token_bytes(300_000)
    with tunnel.open() as (application, service):
        first, last = (application, service)[:: 1 if end == "application" else -1]
        first.sendall(data)
        first.shutdown(socket.SHUT_WR)
        assert receive_to_end(last) == data
        if kind == "ours-ours":
            last.sendall(data)
            assert receive(first, len(data)) == data
            last.shutdown(socket.SHUT_WR)
        assert_ends(first)


@pytest.mark.parametrize("end", ["application", "service"])
def test_a_reset_ends_the_other_side(tunnel: Tunnel, end: str) -> None:
    with tunnel.open() as (application, service):
        one, other = (application, service) if end == "application" else (service, application)
        reset(one)
        assert_ends(other)


@pytest.mark.parametrize("end", ["application", "service"])
def test_our_halves_carry_a_reset_as_a_reset(end: str, target: Target) -> None:
    with (
        server_half(target) as server,
        client_half(server.port) as client,
        Tunnel(client.port, target).open() as (application, service),
    ):
        one, other = (application, service) if end == "application" else (service, application)
        reset(one)
        assert is_reset(other)


@pytest.mark.parametrize(("release", "pair"), PAIRS)
def test_our_client_in_every_format(release: str, pair: str, target: Target) -> None:
    options = format_options(release, pair)
    port = free_port()
    with (
        fteproxy_server(target, *options) as server_port,
        half(
            *("fteproxy", "--mode", "client", "--client_port", port),
            *("--server_port", server_port, *options),
        ),
        Tunnel(port, target).open() as (application, service),
    ):
        exchange(application, service, 20_000)


@pytest.fixture(scope="module")
def servers(target: Target) -> Iterator[dict[str, int]]:
    """One server half for each release, with all its formats: their ports."""
    with ExitStack() as stack:
        ports = {}
        for release in RELEASES:
            ports[release] = free_port()
            options = ["--server_port", ports[release], "--proxy_port", target.port]
            arguments = ["fteproxy", "--mode", "server", "--release", release, *options]
            stack.enter_context(half(*arguments))
        yield ports


@pytest.mark.parametrize(("release", "pair"), PAIRS)
def test_our_server_in_every_format(
    release: str, pair: str, target: Target, servers: dict[str, int]
) -> None:
    with (
        fteproxy_client(servers[release], *format_options(release, pair)) as client_port,
        Tunnel(client_port, target).open() as (application, service),
    ):
        exchange(application, service, 20_000)


def format_options(release: str, pair: str) -> list[str]:
    """The options with which both fteproxy and ours speak one pair."""
    directions = ["--upstream-format", f"{pair}-request", "--downstream-format", f"{pair}-response"]
    return ["--release", release, *directions]


def test_a_key_of_ones_own(target: Target) -> None:
    key = ["--key", secrets.token_hex(32)]
    port, other_port = free_port(), free_port()
    with (
        fteproxy_server(target, *key) as server_port,
        half(
            *("fteproxy", "--mode", "client", "--client_port", port),
            *("--server_port", server_port, *key),
        ),
        half(
            *("fteproxy", "--mode", "server", "--server_port", other_port),
            *("--proxy_port", target.port, *key),
        ),
        fteproxy_client(other_port, *key) as client_port,
    ):
        for tunnel in (Tunnel(port, target), Tunnel(client_port, target)):
            with tunnel.open() as (application, service):
                exchange(application, service, 20_000)


def test_our_client_with_a_wrong_key(target: Target, tmp_path: Path) -> None:
    wrong = ["--key-file", key_file(tmp_path)]
    with (
        fteproxy_server(target) as server_port,
        client_half(server_port, *wrong) as client,
        client_half(server_port) as good_client,
    ):
        with contextlib.suppress(ConnectionError), connect(client.port) as application:
            application.sendall(b"secret")
            assert receive_to_end(application) == b""
        # fteproxy connects to its target before it knows who is there.
        with target.accept() as service:
            assert receive_to_end(service) == b""
        with Tunnel(good_client.port, target).open():
            pass
        with contextlib.suppress(ConnectionError), connect(client.port) as application:
            receive_to_end(application)
        target.accept().close()
        assert client.status is None


@pytest.mark.parametrize("client_kind", ["ours", "theirs"])
def test_our_server_meets_a_client_with_a_wrong_key(
    client_kind: str, target: Target, tmp_path: Path
) -> None:
    path = key_file(tmp_path)
    with ExitStack() as stack:
        server = stack.enter_context(server_half(target))
        if client_kind == "ours":
            port = stack.enter_context(client_half(server.port, "--key-file", path)).port
        else:
            port = stack.enter_context(fteproxy_client(server.port, "--key-file", path))
        stranger = stack.enter_context(connect(port))
        stranger.sendall(b"secret")
        good_client = stack.enter_context(client_half(server.port))
        stack.enter_context(Tunnel(good_client.port, target).open())
        # The stranger was there first: had he been let in, the target would know by now.
        assert target.is_untouched()
        assert is_silent(stranger)


def key_file(directory: Path) -> Path:
    """A file with a key that nobody else has."""
    path = directory / "key"
    path.touch(0o600)
    path.write_text(secrets.token_hex(32))
    return path
