"""A session in a cover: what passes, what ends, and that nothing forged gets through."""

from __future__ import annotations

from functools import partial
from random import Random
from sys import getrefcount

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.covers.catalogue import Catalogue
from obfsfte.errors import NotOurs, Truncated, WireError
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import WINDOW, ReplayFilter
from obfsfte.session_channel import (
    CoverChoice,
    SessionChannel,
    SessionClient,
    SessionOpening,
)
from tests.session.seeded import seeded_key

CATALOGUE = Catalogue()
NOW = 1_800_000_000
KEYS = BridgeKeys.generate(Random(1).randbytes)


def choice(cover: str = "base64") -> CoverChoice:
    return CoverChoice(CATALOGUE.get(cover))


def new_client(seed: int = 2, cover: str = "base64", now: int = NOW) -> SessionClient:
    random = Random(seed)
    return SessionClient(choice(cover).at(KEYS.cert), now, random, partial(seeded_key, random))


def new_opening(
    seed: int = 3,
    cover: str = "base64",
    keys: BridgeKeys = KEYS,
    seen: ReplayFilter | None = None,
) -> SessionOpening:
    random = Random(seed)
    seen = seen or ReplayFilter()
    return SessionOpening(
        choice(cover).at(keys.cert), keys, seen, lambda: NOW, random, partial(seeded_key, random)
    )


def sent(channel: SessionChannel) -> bytes:
    return b"".join(channel.data_to_send())


class Pair:
    """A client and a server that have shaken hands."""

    def __init__(self, cover: str = "base64", seed: int = 2) -> None:
        self.client = new_client(seed, cover)
        self.hello = sent(self.client)
        server = new_opening(seed + 1, cover).feed(self.hello)
        assert server is not None
        self.server: SessionChannel = server
        assert self.server.receive(b"") == []
        self.answer = sent(self.server)
        assert not self.client.ready
        assert self.client.receive(self.answer) == []
        assert self.client.ready


@pytest.mark.parametrize(
    "cover", [name for name in CATALOGUE.names if not CATALOGUE.get(name).takes_turns]
)
def test_data_passes_both_ways_in_every_cover(cover: str) -> None:
    pair = Pair(cover)
    pair.client.send(b"up" * 300)
    pair.server.send(b"down" * 300)
    assert b"".join(pair.server.receive(sent(pair.client))) == b"up" * 300
    assert b"".join(pair.client.receive(sent(pair.server))) == b"down" * 300


def test_neither_end_keeps_the_key_of_its_handshake() -> None:
    """Whoever breaks in later could open with it what was sent before."""
    ours, theirs = seeded_key(Random(1)), seeded_key(Random(2))
    unused = getrefcount(ours), getrefcount(theirs)
    bridge = choice().at(KEYS.cert)
    client = SessionClient(bridge, NOW, Random(3), lambda: ours)
    assert getrefcount(ours) > unused[0]
    opening = SessionOpening(bridge, KEYS, ReplayFilter(), lambda: NOW, Random(4), lambda: theirs)
    server = opening.feed(sent(client))
    assert server is not None
    client.receive(b"".join(server.data_to_send()))
    assert client.ready
    assert (getrefcount(ours), getrefcount(theirs)) == unused


@pytest.mark.parametrize("cover", ["websocket", "websocket-api"])
@pytest.mark.parametrize("piece", [1 << 16, 1 << 18])
def test_bulk_in_a_websocket_costs_less_than_one_percent(cover: str, piece: int) -> None:
    """The opening included, in pieces as a relay reads them of a socket."""
    total = 20 << 20
    for seed in range(5):
        for who in ("client", "server"):
            pair = Pair(cover, seed)
            said = len(pair.hello) + len(pair.answer)
            sender: SessionChannel = getattr(pair, who)
            for _ in range(total // piece):
                sender.send(bytes(piece))
                said += len(sent(sender))
            assert total < said < total * 1.01


@given(st.lists(st.integers(1, 700), max_size=30), st.binary(max_size=3000))
@settings(deadline=None, max_examples=40)
def test_any_split_of_the_wire_gives_the_same(cuts: list[int], data: bytes) -> None:
    client = new_client()
    opening = new_opening()
    server: SessionChannel | None = None
    received: list[bytes] = []
    wire = sent(client)

    def feed(piece: bytes) -> None:
        nonlocal server
        if server is None:
            server = opening.feed(piece)
            if server is not None:
                received.extend(server.receive(b""))
                client.receive(sent(server))
                client.send(data)
                client.close()
        else:
            received.extend(server.receive(piece))

    for cut in [*cuts, len(wire), None]:
        feed(wire[:cut])
        wire = b"" if cut is None else wire[cut:]
        wire += sent(client)
    feed(wire)
    assert server is not None
    assert b"".join(received) == data
    assert server.peer_closed
    server.receive_eof()


def test_data_that_comes_with_the_answer_is_delivered() -> None:
    client = new_client()
    server = new_opening().feed(sent(client))
    assert server is not None
    server.send(b"at once")
    assert client.receive(sent(server)) == [b"at once"]


def test_each_direction_ends_by_itself() -> None:
    pair = Pair()
    pair.client.send(b"last")
    pair.client.close()
    assert pair.server.receive(sent(pair.client)) == [b"last"]
    assert pair.server.peer_closed
    assert not pair.client.peer_closed
    pair.server.send(b"still")
    assert pair.client.receive(sent(pair.server)) == [b"still"]
    with pytest.raises(RuntimeError):
        pair.client.send(b"more")


def test_an_end_that_was_not_announced_is_a_truncation() -> None:
    pair = Pair()
    with pytest.raises(Truncated):
        pair.server.receive_eof()
    pair.client.close()
    wire = sent(pair.client)
    pair.server.receive(wire[:-1])
    with pytest.raises(Truncated):
        pair.server.receive_eof()
    pair.server.receive(wire[-1:])
    pair.server.receive_eof()


def messages(channel: SessionChannel, count: int) -> list[bytes]:
    """`count` wire messages of one small record each."""
    wires = []
    for number in range(count):
        channel.send(b"message %d" % number)
        wires.append(sent(channel))
    return wires


@pytest.mark.parametrize("fault", ["dropped", "repeated", "swapped", "altered", "reflected"])
def test_what_was_done_to_messages_ends_the_connection_there(fault: str) -> None:
    pair = Pair("hex")
    wires = messages(pair.client, 4)
    match fault:
        case "dropped":
            del wires[1]
        case "repeated":
            wires.insert(1, wires[0])
        case "swapped":
            wires[1], wires[2] = wires[2], wires[1]
        case "altered":
            wires[1] = wires[1][:-1] + bytes([wires[1][-1] ^ 1])
        case "reflected":
            wires[1] = messages(pair.server, 2)[1]
    delivered = []
    with pytest.raises(WireError):
        for wire in wires:
            delivered += pair.server.receive(wire)
    assert delivered == [b"message 0"]
    with pytest.raises(WireError):
        pair.server.receive(wires[-1])


@pytest.mark.parametrize("position", range(0, 400, 7))
def test_an_altered_answer_is_no_answer(position: int) -> None:
    client = new_client()
    server = new_opening().feed(sent(client))
    assert server is not None
    answer = bytearray(sent(server))
    position %= len(answer)
    answer[position] = ord("A") if answer[position] != ord("A") else ord("B")
    with pytest.raises(WireError):
        client.receive(bytes(answer))
        client.receive_eof()
    assert not client.ready


def test_another_bridges_client_is_a_stranger() -> None:
    other = BridgeKeys.generate(Random(9).randbytes)
    with pytest.raises(NotOurs):
        new_opening(keys=other).feed(sent(new_client()) + bytes(1000))


def test_a_client_with_another_cover_is_a_stranger() -> None:
    with pytest.raises(NotOurs):
        new_opening(cover="base64").feed(sent(new_client(cover="digits")) * 3)


@pytest.mark.parametrize("offset", [-WINDOW - 60, WINDOW + 60])
def test_a_client_out_of_time_is_a_stranger(offset: int) -> None:
    with pytest.raises(NotOurs):
        new_opening().feed(sent(new_client(now=NOW + offset)) + bytes(1000))


def test_a_hello_is_answered_once() -> None:
    seen = ReplayFilter()
    hello = sent(new_client())
    assert new_opening(seen=seen).feed(hello) is not None
    with pytest.raises(NotOurs):
        new_opening(seen=seen).feed(hello + bytes(1000))


def test_the_client_learns_the_bridges_clock() -> None:
    client = new_client(now=NOW - 3000)
    assert client.clock_difference is None
    server = new_opening().feed(sent(client))
    assert server is not None
    client.receive(sent(server))
    assert client.clock_difference == 3000


def test_both_wires_differ_for_every_connection() -> None:
    assert sent(new_client(1)) != sent(new_client(2))
    first, second = Pair(seed=10), Pair(seed=20)
    first.client.send(b"same")
    second.client.send(b"same")
    assert sent(first.client) != sent(second.client)


# The cover's own end


def test_a_websocket_is_closed_by_the_end_that_is_last() -> None:
    pair = Pair("websocket")
    pair.client.close()
    assert pair.server.receive(sent(pair.client)) == []
    pair.server.send(b"last words")
    pair.server.close()
    wire = sent(pair.server)
    assert wire.endswith(b"\x88\x02\x03\xe8")
    assert pair.client.receive(wire) == [b"last words"]
    assert pair.client.peer_closed
    assert sent(pair.client) == b""
    pair.client.receive_eof()


@pytest.mark.parametrize("ended", [False, True])
def test_a_close_frame_before_both_streams_ended_is_a_truncation(ended: bool) -> None:
    pair = Pair("websocket")
    if ended:
        pair.server.close()
    with pytest.raises(Truncated):
        pair.client.receive(sent(pair.server) + b"\x88\x02\x03\xe8")


# What a bridge line's parameters and a bridge's seed do


def first_message(keys: BridgeKeys, **parameters: str) -> bytes:
    random = Random(4)
    chosen = CoverChoice(CATALOGUE.get("websocket"), parameters)
    return sent(SessionClient(chosen.at(keys.cert), NOW, random, partial(seeded_key, random)))


def test_bridges_differ_by_a_seed_of_their_own() -> None:
    bridges = [BridgeKeys.generate(Random(number).randbytes) for number in range(8)]
    lines = [first_message(keys).split(b"\r\n")[:2] for keys in bridges]
    assert len({b"".join(each) for each in lines}) == 8
    assert [first_message(keys).split(b"\r\n")[:2] for keys in bridges] == lines
    seeded = [first_message(keys, seed="x").split(b"\r\n")[:2] for keys in bridges]
    assert all(each == seeded[0] for each in seeded)


def test_a_server_needs_no_parameters_of_its_clients() -> None:
    hello = first_message(KEYS, host="example.org", path="/chat", seed="3")
    assert hello.startswith(b"GET /chat")
    assert new_opening(cover="websocket").feed(hello) is not None
