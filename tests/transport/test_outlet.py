"""Writing at once, on real sockets, with the test in the reactor's place."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from random import Random
from typing import Self

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.protocol import Protocol
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock, StringTransport

from obfsfte.transport.outlet import READ_SIZE, SLOW_READ_SIZE, Outlet, takes_writes_at_once
from obfsfte.transport.side import Side

from .fakes import FakeTransport

BUFFER = 1 << 14


class Ends:
    """A TCP transport of Twisted's on one socket, and its peer."""

    def __init__(self) -> None:
        self._ours, self.peer = socket.socketpair()
        self._ours.setblocking(False)
        self._ours.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, BUFFER)
        self.peer.setblocking(False)
        self.reactor = MemoryReactorClock()
        self.transport = Connection(self._ours, Protocol(), self.reactor)
        self.transport.connected = 1
        self.source = StringTransport()
        self.outlet = Outlet(self.transport)
        self.outlet.take_from(self.source)

    @property
    def waits(self) -> bool:
        """Whether the reactor is to tell when the socket can be written to."""
        return self.transport in self.reactor.writers

    def turn(self) -> object:
        """The reactor finds that it can."""
        return self.transport.doWrite()

    def read(self, size: int = 1 << 20) -> bytes:
        try:
            return self.peer.recv(size)
        except BlockingIOError:
            return b""

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_error: object) -> None:
        self.peer.close()
        self._ours.close()


@pytest.fixture
def ends() -> Iterator[Ends]:
    with Ends() as ends:
        yield ends


def test_a_write_does_not_wait_for_the_reactor(ends: Ends) -> None:
    ends.outlet.write([b"at ", b"once"])
    assert ends.read() == b"at once"
    assert not ends.waits
    assert ends.source.producerState == "producing"


@pytest.mark.parametrize("pieces", [1, 2, 64, 65, 2000])
def test_any_number_of_pieces(ends: Ends, pieces: int) -> None:
    ends.outlet.write([b"%d," % number for number in range(pieces)])
    assert ends.read() == b"".join(b"%d," % number for number in range(pieces))


def test_the_source_is_not_read_while_something_waits(ends: Ends) -> None:
    data = Random(1).randbytes(4 * BUFFER)
    ends.outlet.write([data[:10], data[10:]])
    assert ends.source.producerState == "paused"
    assert ends.waits
    ends.outlet.write([b"end"])  # what a source that is being paused still had
    received = b""
    while ends.waits:
        assert ends.source.producerState == "paused"
        received += ends.read()
        ends.turn()
    assert received + ends.read() == data + b"end"
    assert ends.source.producerState == "producing"
    ends.outlet.write([b"again"])
    assert ends.read() == b"again"


@pytest.mark.parametrize(("seconds", "size"), [(0.01, READ_SIZE), (0.03, SLOW_READ_SIZE)])
def test_less_is_read_at_once_for_a_slow_link(ends: Ends, seconds: float, size: int) -> None:
    ends.source.bufferSize = READ_SIZE
    ends.outlet.write([bytes(4 * BUFFER)])
    ends.reactor.advance(seconds)
    while ends.waits:
        ends.read()
        ends.turn()
    for _ in range(15):
        assert ends.source.bufferSize == size
        ends.outlet.write([b"at once"])
        ends.read()
    ends.outlet.write([b"at once"])
    assert ends.source.bufferSize == READ_SIZE


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.lists(st.integers(0, 3 * BUFFER), min_size=1, max_size=4), max_size=6),
    st.integers(0, 1 << 32),
)
def test_every_byte_arrives_once_and_in_order(writes: list[list[int]], seed: int) -> None:
    random = Random(seed)
    expected = received = b""
    with Ends() as ends:
        for sizes in writes:
            pieces: list[bytes | memoryview] = [random.randbytes(size) for size in sizes]
            expected += b"".join(pieces)
            pieces[1:] = map(memoryview, pieces[1:])
            ends.outlet.write(pieces)
            for _ in range(random.randrange(3)):
                received += ends.read(random.randrange(1, 2 * BUFFER))
                if ends.waits:
                    ends.turn()
        while ends.waits:
            received += ends.read()
            ends.turn()
        while more := ends.read():
            received += more
    assert received == expected


def test_a_source_of_what_is_behind_already_is_not_read(ends: Ends) -> None:
    ends.outlet.write([bytes(4 * BUFFER)])
    source = StringTransport()
    ends.outlet.take_from(source)
    assert source.producerState == "paused"
    while ends.waits:
        ends.read()
        ends.turn()
    assert source.producerState == "producing"


@pytest.mark.parametrize("is_ended", [False, True])
def test_a_transport_that_was_told_to_close_does_when_all_is_sent(
    ends: Ends, is_ended: bool
) -> None:
    data = bytes(4 * BUFFER)
    ends.outlet.write([data])
    if is_ended:
        ends.outlet.end()
    ends.transport.loseConnection()
    received, result = b"", None
    while result is None:
        assert ends.waits
        received += ends.read()
        result = ends.turn()
    assert isinstance(result, ConnectionDone)
    assert received + ends.read() == data


def test_when_the_source_has_ended_nobody_is_resumed(ends: Ends) -> None:
    data = bytes(4 * BUFFER)
    ends.outlet.write([data])
    ends.outlet.end()
    ends.outlet.write([b"last"])
    received = b""
    while ends.waits:
        received += ends.read()
        ends.turn()
    assert received + ends.read() == data + b"last"
    assert ends.source.producerState == "paused"
    assert ends.transport.producer is None


def test_what_cannot_be_sent_is_the_transports_to_find(ends: Ends) -> None:
    ends.peer.close()
    ends.outlet.write([b"nobody there"])
    assert ends.waits
    assert isinstance(ends.turn(), ConnectionLost)


def test_the_source_of_a_lost_transport_is_left_to_the_relay(ends: Ends) -> None:
    ends.outlet.stopProducing()
    assert ends.source.producerState == "producing"


def test_other_transports_are_written_to_as_ever() -> None:
    side, source = Side(), Side()
    side.makeConnection(FakeTransport())
    source.makeConnection(FakeTransport())
    assert not takes_writes_at_once(side.transport)
    side.take_from(source)
    side.write_all([b"as ", memoryview(b"ever")])
    assert side.transport.value() == b"as ever"
    assert side.transport.producer is source.transport
    side.take_no_more()
    assert side.transport.producer is None


def test_reads_of_a_source_are_large(ends: Ends) -> None:
    side, source = Side(), Side()
    for each in (side, source):
        each.makeConnection(ends.transport)
    side.take_from(source)
    assert ends.transport.bufferSize == READ_SIZE
