"""Requests of an http session, by somebody who recorded them, and out of turn.

Whoever repeats a client's request, at whatever time and on whatever connection, must get what the
site says to it, to the byte; the session goes on as if he were not there.
"""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from obfsfte.bridge import unix_time
from obfsfte.bridge_line import BridgeLine
from obfsfte.channel import Channel
from obfsfte.covers.catalogue import Catalogue
from obfsfte.turn_channel import TurnClient
from obfsfte.wires import client_wire
from tests.e2e.halves import Half, Target, assert_ends, connect, is_reset, receive
from tests.e2e.nginx import nginx
from tests.e2e.probes import Finish, Probe, Send, visit_both, without_date
from tests.e2e.sessions import bridge_line, server
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e


class Visitor:
    """A client of the bridge that a test leads by the hand, request by request."""

    def __init__(self, bridge: Half, channel: Channel) -> None:
        assert isinstance(channel, TurnClient)
        self.channel = channel
        self.requests: list[bytes] = []
        self._port = bridge.port
        self.connection = connect(self._port)

    def request(self) -> bytes:
        """The next, as soon as it may go."""
        while not (buffers := self.channel.data_to_send()):
            self.channel.wake()
        self.requests.append(b"".join(buffers))
        return self.requests[-1]

    def take_answer(self) -> bytes:
        """Read the answer; what it carried."""
        taken = b""
        while not self.channel.is_idle:
            data = self.connection.recv(1 << 16)
            assert data, "closed without an answer"
            taken += b"".join(self.channel.receive(data))
        return taken

    def ask(self) -> bytes:
        """One turn: what the answer carried."""
        self.connection.sendall(self.request())
        return self.take_answer()


class Bridge:
    """An http bridge, its site, and its target."""

    def __init__(self, stack: ExitStack, state: Path) -> None:
        self.target = stack.enter_context(Target())
        self.site = stack.enter_context(nginx())
        options = ("--cover", "http", "--fallback", f"tcp:{LOOPBACK}:{self.site}")
        self.half = stack.enter_context(server(self.target, state, *options))
        line = BridgeLine.parse(bridge_line(self.half, state))
        self._open_channel = client_wire(line.arguments, Catalogue(), unix_time)

    def new_visitor(self) -> Visitor:
        return Visitor(self.half, self._open_channel())

    @contextmanager
    def visitor(self) -> Iterator[tuple[Visitor, socket.socket]]:
        """A visitor who has shaken hands, and the target's end."""
        visitor = self.new_visitor()
        with visitor.connection:
            visitor.ask()
            with self.target.accept() as service:
                yield visitor, service

    def differences(self, requests: list[bytes]) -> list[tuple[bytes, object, object]]:
        """Those whose answers, or whose ends, are not the site's."""
        probes: list[Probe] = [[Send(request), Finish()] for request in requests]
        answers = visit_both(self.half.port, self.site, probes)
        pairs = zip(requests, answers, strict=True)
        return [(request[:80], *pair) for request, pair in pairs if pair[0] != pair[1]]


@pytest.fixture
def bridge(tmp_path: Path) -> Iterator[Bridge]:
    with ExitStack() as stack:
        yield Bridge(stack, tmp_path / "state")


def test_requests_are_repeated_at_any_time(bridge: Bridge) -> None:
    with bridge.visitor() as (visitor, service):
        for turn in range(6):
            visitor.channel.send(b"up" * turn * 1000)
            request = visitor.request()
            # Before its end has been sent, and after its answer.
            visitor.connection.sendall(request[:-1])
            assert bridge.differences(visitor.requests[:-1]) == []
            visitor.connection.sendall(request[-1:])
            visitor.take_answer()
            assert bridge.differences(visitor.requests) == []
            assert receive(service, turn * 2000) == b"up" * turn * 1000
        service.sendall(b"down")
        assert visitor.ask() + visitor.ask() == b"down"
        assert bridge.target.is_untouched()


def test_one_of_two_that_race_with_a_ticket_is_a_stranger(bridge: Bridge) -> None:
    with bridge.visitor() as (visitor, service):
        for _ in range(20):
            request = visitor.request()
            answers = race(bridge, request)
            assert sum(b" 200 OK\r\n" in each[:20] for each in answers) == 1
            [mine] = [each for each in answers if b" 200 OK\r\n" in each[:20]]
            others = {without_date(each) for each in answers if each is not mine}
            with connect(bridge.site) as direct:
                direct.sendall(request)
                assert others == {without_date(answer(direct))}
            visitor.channel.receive(mine)
            assert visitor.channel.is_idle
        service.sendall(b"down")
        assert visitor.ask() + visitor.ask() == b"down"


def race(bridge: Bridge, request: bytes) -> list[bytes]:
    """The answers to one request that comes on four connections at once."""
    with ExitStack() as stack:
        rivals = [stack.enter_context(connect(bridge.half.port)) for _ in range(4)]
        for rival in rivals:
            rival.sendall(request)
        return [answer(rival) for rival in rivals]


def answer(connection: socket.socket) -> bytes:
    """One whole answer, framed by its length or in chunks."""
    data = b""
    while True:
        head, end, body = data.partition(b"\r\n\r\n")
        length = head.lower().partition(b"content-length: ")[2]
        if end and length and len(body) >= int(length.split()[0]):
            return data
        if end and not length and body.endswith(b"\r\n0\r\n\r\n"):
            return data
        data += connection.recv(1 << 16) or pytest.fail("cut short")


def test_one_of_two_that_race_with_a_hello_is_a_stranger(bridge: Bridge) -> None:
    for _ in range(10):
        visitor = bridge.new_visitor()
        visitor.connection.close()
        hello = visitor.request()
        answers = race(bridge, hello)
        with connect(bridge.site) as direct:
            direct.sendall(hello)
            sites = without_date(answer(direct))
        assert sorted(without_date(each) == sites for each in answers) == [False, True, True, True]
        bridge.target.accept().close()
    assert bridge.target.is_untouched()


def test_two_requests_at_once_cut_their_own_session_only(bridge: Bridge) -> None:
    with bridge.visitor() as (visitor, service), bridge.visitor() as (other, other_service):
        visitor.connection.sendall(visitor.request() * 2)
        assert is_reset(service)
        assert_ends(visitor.connection)
        other_service.sendall(b"down")
        assert other.ask() + other.ask() == b"down"
