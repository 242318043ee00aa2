"""The client half: dialling, the handshake's limits, and giving up."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionRefusedError, DNSLookupError
from twisted.internet.task import Clock
from twisted.logger import capturedLogs, formatEvent

from obfsfte.channel import Channel
from obfsfte.transport.client import Bridge, TunnelClientFactory
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.side import HELD_BYTES, Side

from .fakes import FakeEndpoint, FakeTransport, LineChannel, connected, is_at_rest, lose


class Client:
    """One application connection to a client half."""

    def __init__(self, ready: bool = True, now: float = 0.0) -> None:
        self.clock = Clock()
        self.clock.advance(now)
        self.endpoint = FakeEndpoint()
        self.context = Context(
            Deadlines(self.clock), Connections(), Timeouts(connect=10.0, handshake=20.0)
        )
        self.channel: Channel = LineChannel(ready)
        factory = TunnelClientFactory(Bridge(self.endpoint, lambda: self.channel), self.context)
        side = factory.buildProtocol(None)
        assert isinstance(side, Side)
        self.plain_side = side
        self.plain: FakeTransport = connected(side)


def test_the_application_waits_until_the_bridge_is_there() -> None:
    client = Client()
    client.plain_side.dataReceived(b"hi")
    _, wire = client.endpoint.accept()
    client.plain_side.dataReceived(b"again")
    assert wire.value() == b"+hi\n+again\n"


def test_the_application_waits_until_the_handshake_is_done() -> None:
    client = Client(ready=False)
    wire_side, wire = client.endpoint.accept()
    client.plain_side.dataReceived(b"hi")
    assert wire.value() == b"hello\n"
    wire_side.dataReceived(b"welcome\n+first\n")
    assert wire.value() == b"hello\n+hi\n"
    assert client.plain.value() == b"first"


def test_an_application_that_says_much_before_is_not_read_to_the_end() -> None:
    client = Client()
    client.plain_side.dataReceived(bytes(HELD_BYTES - 1))
    assert client.plain.producerState == "producing"
    client.plain_side.dataReceived(b"x")
    assert client.plain.producerState == "paused"
    _, wire = client.endpoint.accept()
    assert client.plain.producerState == "producing"
    assert wire.value() == b"+" + bytes(HELD_BYTES - 1) + b"\n+x\n"


def test_an_application_may_end_its_stream_before_the_bridge_is_there() -> None:
    client = Client()
    client.plain_side.dataReceived(b"all")
    client.plain_side.readConnectionLost()
    assert client.endpoint.cancelled == 0
    _, wire = client.endpoint.accept()
    assert wire.value() == b"+all\n.\n"


def test_a_refused_connection_cuts_the_application_with_one_line() -> None:
    client = Client()
    with capturedLogs() as events:
        client.endpoint.refuse(ConnectionRefusedError())
    assert client.plain.aborted
    assert [event["reason"] for event in events] == ["connection refused"]
    lose(client.plain_side)
    assert len(client.context.connections) == 0


@pytest.mark.parametrize(
    ("error", "reason"),
    [
        (DNSLookupError("no results for bridge.example"), "its name cannot be resolved"),
        (ValueError("invalid hostname: bridge..example"), "its name cannot be one of a host"),
    ],
)
def test_no_line_names_the_address(error: Exception, reason: str) -> None:
    client = Client()
    with capturedLogs() as events:
        client.endpoint.refuse(error)
    assert [event["reason"] for event in events] == [reason]


def test_connecting_has_a_limit() -> None:
    client = Client()
    client.clock.pump([1.0] * 11)
    assert client.plain.aborted
    assert client.endpoint.cancelled == 1
    assert len(client.context.connections) == 0


def fail_handshake(client: Client, wire_side: Side, how: str) -> None:
    match how:
        case "silence":
            client.clock.pump([1.0] * 22)
        case "garbage":
            wire_side.dataReceived(b"HTTP/1.1 400 Bad Request\n")
        case "fin":
            wire_side.readConnectionLost()
        case "reset":
            lose(wire_side)


@pytest.mark.parametrize("how", ["silence", "garbage", "fin", "reset"])
def test_a_handshake_that_fails_cuts_both(how: str) -> None:
    client = Client(ready=False)
    wire_side, wire = client.endpoint.accept()
    with capturedLogs() as events:
        fail_handshake(client, wire_side, how)
    assert client.plain.aborted
    assert wire.aborted or how == "reset"
    assert len(events) == 1
    assert len(client.context.connections) == 0
    assert is_at_rest(client.clock)


@pytest.mark.parametrize("how", ["silence", "garbage", "fin", "reset"])
def test_a_handshake_that_fails_says_what_may_be_wrong_and_what_time_it_is_here(how: str) -> None:
    """A bridge cannot tell a client that his clock is wrong: it does not know him then."""
    client = Client(ready=False, now=1_800_000_000)
    wire_side, _ = client.endpoint.accept()
    with capturedLogs() as events:
        fail_handshake(client, wire_side, how)
    (event,) = events
    assert "bridge line" in event["reason"]
    assert "clock, which says 2027-01-15 08:00 UTC" in event["reason"]


@pytest.mark.parametrize(
    ("difference", "says"),
    [
        (None, None),
        (0, None),
        (600, None),
        (-600, None),
        (601, "10 minutes ahead of"),
        (-3600, "60 minutes behind"),
    ],
)
def test_clocks_that_disagree_are_worth_a_line(difference: int | None, says: str | None) -> None:
    client = Client(ready=False, now=1_800_000_000)
    client.channel.clock_difference = difference
    wire_side, _ = client.endpoint.accept()
    with capturedLogs() as events:
        wire_side.dataReceived(b"welcome\n")
    assert len(client.context.connections) == 1
    lines = [formatEvent(event) for event in events]
    if says is None:
        assert lines == []
    else:
        (line,) = lines
        assert f"{says} this machine's, which says 2027-01-15 08:00 UTC" in line


def test_an_application_that_leaves_while_dialling_is_not_dialled_for() -> None:
    client = Client()
    lose(client.plain_side)
    assert client.endpoint.cancelled == 1
    assert len(client.context.connections) == 0
    assert is_at_rest(client.clock)


def test_an_application_that_leaves_during_the_handshake() -> None:
    client = Client(ready=False)
    _, wire = client.endpoint.accept()
    lose(client.plain_side)
    assert wire.aborted
    assert is_at_rest(client.clock)


@pytest.mark.parametrize("phase", ["dialling", "handshake", "relay"])
def test_every_phase_can_be_aborted(phase: str) -> None:
    client = Client(ready=phase == "relay")
    if phase != "dialling":
        _, wire = client.endpoint.accept()
    client.context.connections.abort_all()
    assert client.plain.aborted
    assert phase == "dialling" or wire.aborted
