"""A session in a cover whose ends take turns: what passes, when, and on whose word."""

from __future__ import annotations

from functools import partial
from random import Random

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.covers.catalogue import Catalogue
from obfsfte.covers.turns import (
    REQUEST_LIMITS,
    RESPONSE_LIMITS,
    SILENCE,
    SILENCE_AFTER_END,
    SLOWEST_LINK,
)
from obfsfte.errors import NotOurs, Truncated, WireError
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import ReplayFilter
from obfsfte.session_channel import CoverChoice
from obfsfte.turn_channel import QUEUE_LIMIT, TurnChannel, TurnClient
from obfsfte.turn_server import SessionTurnOpening, TurnServer
from tests.session.seeded import seeded_key

CATALOGUE = Catalogue()
COVERS = [name for name in CATALOGUE.names if CATALOGUE.get(name).takes_turns]
NOW = 1_800_000_000
KEYS = BridgeKeys.generate(Random(1).randbytes)


def sent(channel: TurnChannel) -> bytes:
    return b"".join(channel.data_to_send())


def sent_in_time(channel: TurnChannel) -> bytes:
    """The message whose turn it is, when its time has come."""
    while not (message := sent(channel)):
        channel.wake()
    return message


class Pair:
    """A client and a server that have shaken hands; every request is seen by h11, too."""

    server: TurnServer

    def __init__(self, cover: str = "http", seed: int = 2, forwarded_for: bytes = b"") -> None:
        self.random = Random(seed)
        self.bridge = CoverChoice(CATALOGUE.get(cover), {"seed": str(seed)}).at(KEYS.cert)
        self.seen = ReplayFilter()
        self.tickets: dict[bytes, TurnServer] = {}
        self.said: list[bytes] = []
        self.answered: list[bytes] = []
        self.client = TurnClient(
            self.bridge, NOW, Random(seed + 1), partial(seeded_key, self.random)
        )
        request = sent(self.client)
        if forwarded_for:
            head = request.removesuffix(b"\r\n")
            request = head + b"X-Forwarded-For: " + forwarded_for + b"\r\n\r\n"
        channel = self.opening().feed(request)
        assert isinstance(channel, TurnServer)
        self.server = channel
        self.said.append(request)
        assert self.server.receive(b"") == []
        self.answer()
        assert self.client.ready

    def opening(self) -> SessionTurnOpening:
        return SessionTurnOpening(
            self.bridge, KEYS, self.seen, lambda: NOW, self.tickets, self.random
        )

    def ask(self) -> bytes:
        """The client's turn: what the server's application gets."""
        request = sent_in_time(self.client)
        self.said.append(request)
        return self.hear(request)

    def hear(self, request: bytes) -> bytes:
        assert self.opening().feed(request) is self.server
        return b"".join(self.server.receive(b""))

    def answer(self) -> bytes:
        """The server's turn: what the client's application gets."""
        response = sent_in_time(self.server)
        self.answered.append(response)
        return b"".join(self.client.receive(response))


@pytest.mark.parametrize("cover", COVERS)
@pytest.mark.parametrize("seed", range(12))
def test_data_passes_both_ways_at_once_and_h11_agrees(cover: str, seed: int) -> None:
    pair = Pair(cover, seed)
    up, down = pair.random.randbytes(2_500_000), pair.random.randbytes(2_500_000)
    pair.client.send(up)
    pair.server.send(down)
    got_up = got_down = b""
    while len(got_up) < len(up) or len(got_down) < len(down):
        got_up += pair.ask()
        got_down += pair.answer()
    assert (got_up, got_down) == (up, down)
    pair.ask()  # perhaps a poll
    pair.answer()
    server, client = h11.Connection(h11.SERVER), h11.Connection(h11.CLIENT)
    for request, response in zip(pair.said, pair.answered, strict=True):
        server.receive_data(request)
        event = server.next_event()
        assert isinstance(event, h11.Request)
        client.send(h11.Request(method=event.method, target="/", headers=[("Host", "x")]))
        client.send(h11.EndOfMessage())
        while not isinstance(server.next_event(), h11.EndOfMessage):
            pass
        client.receive_data(response)
        answer = client.next_event()
        assert isinstance(answer, h11.Response)
        while not isinstance(client.next_event(), h11.EndOfMessage):
            pass
        server.send(h11.Response(status_code=200, headers=[("Content-Length", "0")]))
        server.send(h11.EndOfMessage())
        server.start_next_cycle()
        client.start_next_cycle()
    assert server.trailing_data == (b"", False)
    assert client.trailing_data == (b"", False)


@given(st.lists(st.integers(1, 900), max_size=40), st.binary(min_size=1, max_size=4000))
@settings(deadline=None, max_examples=40)
def test_any_split_of_the_wire_gives_the_same(cuts: list[int], data: bytes) -> None:
    pair = Pair("http-api", 5)
    pair.client.send(data)
    pair.server.send(data)
    opening = pair.opening()
    channel = None
    got = []
    for piece in cut(sent(pair.client), cuts):
        if channel is None:
            channel = opening.feed(piece)
            piece = b""
        if channel is not None:
            got += channel.receive(piece)
    assert b"".join(got) == data
    got = []
    for piece in cut(sent(pair.server), cuts):
        got += pair.client.receive(piece)
    assert b"".join(got) == data


def cut(data: bytes, sizes: list[int]) -> list[bytes]:
    pieces = []
    for size in sizes:
        pieces.append(data[:size])
        data = data[size:]
    return [piece for piece in [*pieces, data] if piece]


def test_a_record_is_delivered_when_it_is_there_and_not_with_the_message() -> None:
    pair = Pair()
    pair.server.send(bytes(200_000))
    pair.ask()
    response = sent(pair.server)
    got = b"".join(pair.client.receive(response[: len(response) // 2]))
    assert 60_000 < len(got) < 110_000


def test_messages_are_no_larger_than_their_limits_and_never_of_the_same_size() -> None:
    pair = Pair("http", 3)
    pair.client.send(bytes(12_000_000))
    pair.server.send(bytes(12_000_000))
    for _ in range(8):
        pair.ask()
        pair.answer()
    for messages, limits in ((pair.said[1:], REQUEST_LIMITS), (pair.answered[1:], RESPONSE_LIMITS)):
        sizes = [len(message) for message in messages]
        assert len({*sizes}) == len(sizes)
        assert limits[0] <= min(sizes)
        # nginx takes 1 MiB unless told otherwise.
        assert max(sizes) < limits[1] * 1.01
    assert max(map(len, pair.said)) < 1 << 20


def test_bulk_costs_less_than_one_percent() -> None:
    for cover in COVERS:
        for seed in range(10):
            pair = Pair(cover, seed)
            pair.server.send(bytes(20_000_000))
            got = 0
            while got < 20_000_000:
                pair.ask()
                got += len(pair.answer())
            assert sum(map(len, [*pair.said, *pair.answered])) < 20_000_000 * 1.01


def test_short_messages_have_all_lengths() -> None:
    pair = Pair("http", 4)
    sizes = []
    for _ in range(200):
        pair.client.send(bytes(514))
        pair.ask()
        pair.answer()
        sizes.append(len(pair.said[-1]))
    assert max(sizes.count(size) for size in sizes) < 10


def test_each_stream_ends_by_itself_and_then_all_is_over() -> None:
    pair = Pair()
    pair.client.send(b"last words")
    pair.client.close()
    assert pair.ask() == b"last words"
    assert pair.server.peer_closed
    assert not pair.server.finished
    pair.server.send(b"an answer after the end")
    assert pair.answer() == b"an answer after the end"
    assert not pair.client.peer_closed
    pair.server.close()
    pair.ask()
    pair.answer()
    assert pair.client.finished
    assert pair.server.finished
    assert sent(pair.client) == sent(pair.server) == b""
    assert pair.tickets == {}


def test_the_request_that_ends_a_stream_is_answered_when_the_other_has_ended() -> None:
    pair = Pair()
    pair.server.close()
    pair.ask()
    pair.answer()
    assert pair.client.peer_closed
    pair.client.close()
    pair.ask()
    assert not pair.server.finished
    assert sent(pair.server)  # without waiting for anything
    assert pair.server.finished


def test_a_server_with_nothing_to_say_waits_a_moment() -> None:
    pair = Pair()
    pair.client.send(b"echo")
    pair.ask()
    assert sent(pair.server) == b""
    assert pair.server.alarm is not None
    assert 0 < pair.server.alarm.seconds < 0.1
    pair.server.send(b"echo")
    assert sent(pair.server) != b""


@pytest.mark.parametrize("words", [0, 500])
def test_every_request_is_answered_in_time_and_no_two_after_as_long(words: int) -> None:
    """Without data, and with so little that an answer may come soon."""
    pair = Pair("http", 7)
    waits = []
    for _ in range(40):
        pair.client.send(bytes(words))
        pair.ask()
        assert sent(pair.server) == b""
        assert pair.server.alarm is not None
        waits.append(pair.server.alarm.seconds)
        pair.answer()
    assert min(waits) > 0
    assert max(waits) <= 0.1
    assert len({*waits}) == len(waits)


def test_a_server_answers_much_at_once() -> None:
    pair = Pair()
    pair.client.send(bytes(100_000))
    pair.ask()
    assert sent(pair.server) != b""


def test_a_client_asks_again_at_once_after_much_and_ever_later_after_nothing() -> None:
    pair = Pair()
    pair.server.send(bytes(100_000))
    pair.ask()
    pair.answer()
    assert sent(pair.client) != b""
    pair = Pair("http", 7)
    pauses = []
    for _ in range(40):
        assert sent(pair.client) == b""
        assert pair.client.alarm is not None
        pauses.append(pair.client.alarm.seconds)
        pair.ask()
        pair.answer()
    assert 0.02 <= pauses[0] <= 0.1
    assert pauses[3] > pauses[0]
    assert max(pauses) <= 6
    assert min(pauses[20:]) >= 2
    assert len({*pauses}) > 35
    pair.client.send(b"x")
    pair.ask()
    pair.answer()
    assert pair.client.alarm.seconds <= 0.1


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_silent_peer_is_given_up(who: str) -> None:
    pair = Pair()
    channel: TurnChannel = pair.server
    if who == "client":
        pair.client.wake()
        assert sent(pair.client)
        channel = pair.client
    assert channel.alarm is not None
    assert channel.alarm.seconds >= SILENCE
    with pytest.raises(WireError):
        channel.wake()


@pytest.mark.parametrize("who", ["client", "server"])
def test_a_slow_link_has_the_time_that_it_needs(who: str) -> None:
    """For what we said, which may not be heard yet, and for what comes, if only by bytes."""
    pair = Pair()
    data = bytes(10_000_000)
    pair.client.send(data)
    pair.server.send(data)
    request = sent(pair.client)
    listener: TurnChannel = pair.server
    if who == "client":
        listener = pair.client
        pair.hear(request)
        answer = sent(pair.server)
    alarm = listener.alarm
    assert alarm is not None
    said = len(request) if who == "client" else 0
    assert alarm.seconds >= SILENCE + said / SLOWEST_LINK / 1.01
    if who == "server":
        opening = pair.opening()
        assert opening.feed(request[:3000]) is listener
    else:
        listener.receive(answer[:3000])
    listener.wake()  # something has come
    message = answer if who == "client" else request
    for start in range(3000, 6000, 1000):
        listener.receive(message[start : start + 1000])
        listener.wake()
        assert listener.alarm is not None
        assert listener.alarm.seconds >= SILENCE
    with pytest.raises(WireError):
        listener.wake()


@pytest.mark.parametrize("through", [True, False])
def test_a_connection_that_a_proxy_closes_says_nothing_of_the_client(through: bool) -> None:
    pair = Pair(forwarded_for=b"192.0.2.7" if through else b"")
    before = pair.server.alarm
    pair.server.receive_eof()
    assert (pair.server.alarm is before) is through
    assert pair.server.alarm is not None
    assert (pair.server.alarm.seconds == SILENCE_AFTER_END) is not through


def test_the_wire_may_end_between_messages_only() -> None:
    pair = Pair()
    pair.server.receive_eof()
    assert pair.server.alarm is not None
    assert pair.server.alarm.seconds == SILENCE_AFTER_END
    pair.client.receive_eof()
    pair.client.send(b"x")
    request = sent(pair.client)
    with pytest.raises(Truncated):
        pair.client.receive_eof()
    pair.hear(request)
    with pytest.raises(Truncated):
        pair.server.receive_eof()


def test_a_blocked_side_waits_a_little_and_then_gets_no_data() -> None:
    pair = Pair()
    pair.client.blocked = True
    pair.server.send(b"x" * 10_000)
    pair.client.wake()
    assert sent(pair.client) == b""  # it may be over soon
    assert pair.client.alarm is not None
    assert pair.client.alarm.seconds <= 0.3
    pair.ask()
    assert pair.answer() == b""  # the server heard of it
    pair.client.unblock()
    pair.hear(sent(pair.client))  # at once
    assert pair.answer() == b"x" * 10_000


def test_a_side_that_is_unblocked_in_time_says_nothing_of_it() -> None:
    pair = Pair()
    pair.client.blocked = True
    pair.server.send(b"x")
    pair.client.wake()
    assert sent(pair.client) == b""
    pair.client.unblock()
    pair.hear(sent(pair.client))
    assert pair.answer() == b"x"


def test_two_blocked_sides_go_on_talking() -> None:
    pair = Pair()
    pair.client.blocked = pair.server.blocked = True
    pair.client.send(b"up")
    pair.server.send(b"down")
    assert pair.ask() == b"up"  # the client could not know
    for _ in range(5):
        assert pair.answer() == b""
        pair.client.send(b"up")
        assert pair.ask() == b""
    pair.server.unblock()
    pair.answer()
    assert pair.ask() == b"up" * 5
    pair.client.unblock()
    pair.answer()
    pair.ask()
    assert pair.answer() == b"down"


def test_a_channel_is_full_until_its_turn() -> None:
    pair = Pair()
    pair.server.send(bytes(QUEUE_LIMIT - 1))
    assert not pair.server.is_full
    pair.server.send(bytes(65536))
    assert pair.server.is_full
    pair.ask()
    pair.answer()
    assert not pair.server.is_full


def test_a_request_is_the_sessions_once() -> None:
    pair = Pair()
    pair.client.send(b"x")
    request = sent(pair.client)
    assert pair.hear(request) == b"x"
    with pytest.raises(NotOurs):
        pair.opening().feed(request)
    pair.answer()
    with pytest.raises(NotOurs):
        pair.opening().feed(request)
    pair.client.send(b"y")
    assert pair.hear(sent(pair.client)) == b"y"


def test_a_hello_is_good_once() -> None:
    pair = Pair()
    with pytest.raises(NotOurs):
        pair.opening().feed(pair.said[0])


def test_a_session_that_is_over_waits_for_no_request() -> None:
    pair = Pair()
    assert pair.tickets
    pair.server.forget()
    assert pair.tickets == {}
    pair.client.send(b"x")
    with pytest.raises(NotOurs):
        pair.opening().feed(sent(pair.client))


def test_tickets_do_not_repeat_and_belong_to_one_session() -> None:
    seen: set[bytes] = set()
    for seed in range(4):
        pair = Pair("http", seed)
        for _ in range(10):
            assert not seen & pair.tickets.keys()
            seen |= pair.tickets.keys()
            pair.ask()
            assert pair.tickets == {}  # until it is answered
            pair.answer()


def test_altered_bodies_end_the_session() -> None:
    pair = Pair()
    pair.client.send(bytes(3000))
    request = bytearray(sent(pair.client))
    request[-1500] ^= 1
    with pytest.raises(WireError):
        pair.hear(bytes(request))
    pair = Pair()
    pair.ask()
    pair.server.send(bytes(3000))
    response = bytearray(sent(pair.server))
    response[-1500] ^= 1
    with pytest.raises(WireError):
        pair.client.receive(bytes(response))


def test_nobody_may_speak_out_of_turn() -> None:
    pair = Pair()
    with pytest.raises(WireError):
        pair.client.receive(pair.answered[0])
    pair = Pair()
    pair.client.send(b"x")
    request = sent(pair.client)
    with pytest.raises(WireError):
        pair.hear(request + request)


@pytest.mark.parametrize(
    ("status", "message"),
    [
        (404, "HTTP status 404: a site's"),
        (502, "web server in front does not reach the bridge: HTTP status 502"),
        (504, "web server in front does not reach the bridge: HTTP status 504"),
    ],
)
def test_an_answer_that_is_not_the_bridges_says_whose(status: int, message: str) -> None:
    pair = Pair()
    pair.client.wake()
    sent(pair.client)
    with pytest.raises(WireError, match=message):
        pair.client.receive(f"HTTP/1.1 {status} No\r\nContent-Length: 0\r\n\r\n".encode())


def test_nothing_may_be_sent_after_the_end() -> None:
    pair = Pair()
    pair.client.close()
    with pytest.raises(RuntimeError):
        pair.client.send(b"x")
