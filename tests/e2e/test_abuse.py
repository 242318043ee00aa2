"""Strangers, forgers and peers that stall: what they can cost a half.

Whatever they do, the process keeps its memory, logs no address, and serves the next client.
"""

from __future__ import annotations

import os
import select
import socket
import sys
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager

import attrs
import pytest

from obfsfte.classic import DEFAULT_KEY, DEFAULT_RELEASE, ClassicClient
from tests.e2e.halves import (
    COMMAND,
    Half,
    Target,
    Tunnel,
    assert_ends,
    client_half,
    connect,
    is_reset,
    receive,
    server_half,
)
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e

MEGABYTE = 1_000_000

#: How much more memory than before its abuse a process may ever have held.
GROWTH = 4 * MEGABYTE

#: The command with the times that it gives strangers, and that no option sets, cut short.
HASTY = """
import functools, sys
from obfsfte import cli, service
from obfsfte.commands import server
service._PATIENCE = (0.5, 1.0)
server.Timeouts = functools.partial(server.Timeouts, handshake=1.0)
sys.exit(cli.main())
"""


@attrs.frozen
class Guarded:
    """A server half, and a good client of it that comes before and after every abuse."""

    server: Half
    good: Tunnel

    @property
    def port(self) -> int:
        return self.server.port

    @contextmanager
    def abused(self) -> Iterator[None]:
        """The server must be as good after this block as it was before."""
        with self.good.open():
            before = self.server.resident_memory()
        yield
        assert self.server.peak_memory() < before + GROWTH
        with self.good.open():
            pass
        assert_no_addresses(self.server)


@contextmanager
def guarded(
    target: Target, *options: object, program: Sequence[object] = (COMMAND,)
) -> Iterator[Guarded]:
    with (
        server_half(target, *options, program=program) as server,
        client_half(server.port) as client,
    ):
        yield Guarded(server, Tunnel(client.port, target))


@pytest.fixture(scope="module")
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture(scope="module")
def server(target: Target) -> Iterator[Guarded]:
    with guarded(target) as server:
        yield server


@pytest.fixture(scope="module")
def hasty_server(target: Target) -> Iterator[Guarded]:
    with guarded(target, program=(sys.executable, "-c", HASTY)) as server:
        yield server


def assert_no_addresses(process: Half) -> None:
    said = [line for line in process.stderr.splitlines() if "half listening on" not in line]
    assert not [line for line in said if LOOPBACK in line]


def opening() -> bytes:
    """What a client with the default key says first."""
    request = DEFAULT_RELEASE.format("manual-http-request")
    client = ClassicClient(request, DEFAULT_RELEASE.response_to(request), DEFAULT_KEY)
    return b"".join(client.data_to_send())


def string_of_the_language() -> bytes:
    """256 bytes that any format's rank accepts, made without the key."""
    return DEFAULT_RELEASE.format("manual-http-request").language().unrank(12345 << 1000)


@pytest.mark.parametrize(
    "first",
    [
        pytest.param(b"", id="from the first byte"),
        pytest.param(string_of_the_language(), id="behind a string of the language"),
        pytest.param(opening()[:200], id="behind most of a true opening"),
    ],
)
def test_200_megabytes_of_garbage_are_swallowed(
    target: Target, server: Guarded, first: bytes
) -> None:
    garbage = os.urandom(MEGABYTE)
    with server.abused(), connect(server.port) as stranger:
        stranger.sendall(first)
        for _ in range(200):
            stranger.sendall(garbage)
        assert target.is_untouched()


def test_garbage_behind_a_true_opening_is_cut(target: Target, server: Guarded) -> None:
    garbage = os.urandom(MEGABYTE)
    with server.abused(), connect(server.port) as peer:
        peer.sendall(opening())
        with target.accept() as service:
            with pytest.raises(OSError, match=r"reset|pipe"):
                for _ in range(200):
                    peer.sendall(garbage)
            assert is_reset(service)
    assert "connection cut: " in server.server.stderr


def trickle(strangers: list[socket.socket], data: bytes) -> None:
    """Send `data` byte by byte on all of them in turn until each has been ended."""
    open_ones = list(strangers)
    for position in range(1 << 20):
        for stranger in list(open_ones):
            try:
                stranger.send(data[position : position + 1] or b"a")
            except (ConnectionResetError, BrokenPipeError):
                open_ones.remove(stranger)
        if not open_ones:
            return
        select.select([], [], [], 0.001)
    raise AssertionError(f"{len(open_ones)} connections were never ended")


@pytest.mark.parametrize(
    "data",
    [
        pytest.param(b"x", id="garbage"),
        pytest.param(b"GET /", id="the start of a string of the language"),
        pytest.param(opening()[:-1], id="all but the last byte of a true opening"),
    ],
)
def test_slow_single_bytes_are_ended_by_a_timeout(
    target: Target, hasty_server: Guarded, data: bytes
) -> None:
    with hasty_server.abused(), ExitStack() as stack:
        trickle([stack.enter_context(connect(hasty_server.port)) for _ in range(100)], data)
        assert target.is_untouched()


@pytest.mark.parametrize("ends", [False, True])
def test_silent_connections_are_ended_by_a_timeout(hasty_server: Guarded, ends: bool) -> None:
    with hasty_server.abused(), ExitStack() as stack:
        strangers = []
        for _ in range(100):
            strangers.append(stack.enter_context(connect(hasty_server.port)))
            if ends:
                strangers[-1].shutdown(socket.SHUT_WR)
        for stranger in strangers:
            assert_ends(stranger)


def test_a_client_that_falls_silent_is_ended_at_both_ends(target: Target) -> None:
    with (
        guarded(target, "--idle-timeout", "1") as server,
        server.abused(),
        connect(server.port) as peer,
    ):
        peer.sendall(opening())
        with target.accept() as service:
            assert is_reset(service)
        assert is_reset(peer)


def test_more_connections_than_the_process_may_have_files(target: Target) -> None:
    program = ("prlimit", "--nofile=64", sys.executable, "-c", HASTY)
    with (
        guarded(target, program=program) as server,
        server.abused(),
        ExitStack() as stack,
    ):
        strangers = [stack.enter_context(connect(server.port)) for _ in range(200)]
        for stranger in strangers:
            assert_ends(stranger)


def send_until_stalled(connection: socket.socket) -> int:
    """Send until nothing has been taken for a while; the bytes sent."""
    data = bytes(MEGABYTE)
    sent = 0
    connection.setblocking(False)
    while select.select([], [connection], [], 1.0)[1]:
        sent += connection.send(data)
        assert sent < 200 * MEGABYTE, "nothing stopped the writer"
    connection.settimeout(30)
    return sent


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_stalled_reader_stops_the_writer_and_loses_nothing(
    target: Target, server: Guarded, way: str
) -> None:
    with (
        server.abused(),
        client_half(server.port) as client,
        Tunnel(client.port, target).open() as (application, service),
    ):
        before = client.resident_memory()
        writer, reader = (application, service) if way == "up" else (service, application)
        sent = send_until_stalled(writer)
        writer.shutdown(socket.SHUT_WR)
        assert client.peak_memory() < before + GROWTH
        received = 0
        while data := reader.recv(1 << 18):
            received += len(data)
        assert received == sent


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_reader_that_stays_stalled_is_ended_by_the_timeout(target: Target, way: str) -> None:
    limit = ("--idle-timeout", "2")
    with (
        guarded(target, *limit) as server,
        server.abused(),
        client_half(server.port, *limit) as client,
        Tunnel(client.port, target).open() as (application, service),
    ):
        writer, _reader = (application, service) if way == "up" else (service, application)
        with pytest.raises(OSError, match=r"reset|pipe"):
            while True:
                writer.send(bytes(MEGABYTE))


@contextmanager
def tapped(server: Guarded, target: Target, way: str) -> Iterator[tuple[socket.socket, ...]]:
    """A connection whose wire runs through the test: sender, its wire, wire on, receiver."""
    with (
        Target() as wiretap,
        client_half(wiretap.port) as client,
        connect(client.port) as application,
        wiretap.accept() as from_client,
        connect(server.port) as to_server,
    ):
        to_server.sendall(receive(from_client, len(opening())))
        before = client.resident_memory()
        with target.accept() as service:
            ends = (application, from_client, to_server, service)
            yield ends if way == "up" else ends[::-1]
        with connect(client.port):
            wiretap.accept().close()
        assert client.peak_memory() < before + GROWTH
        assert_no_addresses(client)


#: Of a message of 1000 bytes in the default formats.
COVERTEXT_LENGTH = {"up": 256 + 1000 + 32 - 163, "down": 256 + 1000 + 32 - 204}


@pytest.mark.parametrize("way", ["up", "down"])
@pytest.mark.parametrize("place", [0, 255, 300, -1])
def test_an_altered_message_cuts_both_ends_and_nothing_of_it_arrives(
    target: Target, server: Guarded, way: str, place: int
) -> None:
    with (
        server.abused(),
        tapped(server, target, way) as (sender, wire_in, wire_out, receiver),
    ):
        sender.sendall(os.urandom(1000))
        covertext = bytearray(receive(wire_in, COVERTEXT_LENGTH[way]))
        covertext[place] ^= 1
        wire_out.sendall(covertext)
        for cut in (receiver, wire_out):
            with pytest.raises(ConnectionResetError):
                cut.recv(1)


@pytest.mark.parametrize("way", ["up", "down"])
def test_a_message_cut_short_is_no_clean_end(target: Target, server: Guarded, way: str) -> None:
    with (
        server.abused(),
        tapped(server, target, way) as (sender, wire_in, wire_out, receiver),
    ):
        sender.sendall(os.urandom(1000))
        wire_out.sendall(receive(wire_in, COVERTEXT_LENGTH[way])[:-1])
        wire_out.shutdown(socket.SHUT_WR)
        with pytest.raises(ConnectionResetError):
            receiver.recv(1)


def test_a_bridge_that_answers_garbage_costs_the_client_one_connection(
    target: Target, server: Guarded
) -> None:
    garbage = os.urandom(MEGABYTE)
    with tapped(server, target, "up") as (application, from_client, _to_server, _service):
        with pytest.raises(OSError, match=r"reset|pipe"):
            for _ in range(200):
                from_client.sendall(garbage)
        with pytest.raises(ConnectionResetError):
            application.recv(1)
