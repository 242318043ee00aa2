"""The websocket cover: both ends against each other, against h11, wsproto and websockets."""

import base64
import math
import re
from collections import Counter
from itertools import pairwise
from random import Random

import h11
import pytest
import wsproto
from hypothesis import given, settings
from hypothesis import strategies as st
from wsproto.events import (
    AcceptConnection,
    BytesMessage,
    CloseConnection,
    Ping,
    Pong,
)
from wsproto.events import Request as WsprotoRequest

from obfsfte.covers import Catalogue, Cover, Definition
from obfsfte.covers.websocket import MAX_FROM_CLIENT
from obfsfte.covers.websocket_frames import MAX_MESSAGE
from obfsfte.errors import NotOurs, WireError
from obfsfte.session.handshake import MIN_HELLO
from obfsfte.session.records import OVERHEAD
from tests.libraries import library

client_library = library("websockets.client", has="ClientProtocol")
server_library = library("websockets.server", has="ServerProtocol")
frame_library = library("websockets.frames")
uri_library = library("websockets.uri")

CATALOGUE = Catalogue()
NAMES = [name for name in CATALOGUE.names if CATALOGUE.get(name).kind == "websocket"]
DEFINITION = CATALOGUE.get("websocket")
KEYS = (bytes(range(32)), bytes(range(32, 64)))
OTHER_KEYS = KEYS[::-1]
NOW = 1_800_000_000

#: Enough of them to have each template of the built-in definitions.
SEEDS = [str(number) for number in range(40)]


def greet(
    definition: Definition = DEFINITION, seed: str = "1", number: int = 0, **parameters: str
) -> tuple[Cover, bytes, bytes]:
    """A client's cover, its hello's record, and its request."""
    random = Random(number)
    greeting = definition.look({"seed": seed, **parameters}).greeting(random)
    record = random.randbytes(greeting.record_size(MIN_HELLO))
    assert greeting.record_size(10_000) == len(record) >= MIN_HELLO
    cover = greeting.begin(record, *KEYS)
    request = b"".join(cover.data_to_send())
    assert cover.data_to_send() == []
    return cover, record, request


def answer(
    request: bytes, record: bytes, definition: Definition = DEFINITION, seed: str = "1"
) -> tuple[Cover, bytes]:
    """A server's cover and its response's head."""
    opening = definition.look({"seed": seed}).opening(Random(5))
    [hello] = [hello for hello in opening.feed(request) if hello.record == record]
    assert not opening.possible
    server = hello.accept(*KEYS, NOW)
    return server, b"".join(server.data_to_send())


def connect(definition: Definition = DEFINITION, seed: str = "1") -> tuple[Cover, Cover]:
    """Both ends' covers, the opening having gone through."""
    client, record, request = greet(definition, seed)
    server, response = answer(request, record, definition, seed)
    assert client.unwrap(response) == []
    assert server.unwrap(b"") == []
    return client, server


def messages(cover: Cover, sizes: list[int], random: Random) -> tuple[list[bytes], list[bytes]]:
    """Random records of about these sizes, and their messages."""
    records, wires = [], []
    for size in sizes:
        records.append(random.randbytes(cover.record_size(size)))
        wires.append(b"".join(cover.wrap(records[-1])))
    return records, wires


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS[:12])
def test_records_come_through(name: str, seed: str) -> None:
    client, server = connect(CATALOGUE.get(name), seed)
    for sender, receiver in [(client, server), (server, client)]:
        records, wires = messages(sender, [20, 90, 600, 70_000, 200_000, 1], Random(3))
        assert receiver.unwrap(b"".join(wires)) == records
        assert receiver.at_boundary


@settings(max_examples=60)
@given(
    st.lists(st.integers(0, 4000), max_size=25),
    st.lists(st.integers(0, 4000), max_size=25),
    st.sampled_from(SEEDS),
)
def test_any_split_gives_the_same(up_cuts: list[int], down_cuts: list[int], seed: str) -> None:
    client, record, request = greet(seed=seed)
    opening = DEFINITION.look({}).opening(Random(0))
    pieces = split(request + b"\x82\x82abcd\x01\x02", up_cuts)
    taken, found = 0, []
    while not found:
        assert opening.possible
        piece = pieces.pop(0)
        taken += len(piece)
        found = list(opening.feed(piece))
        assert bool(found) == (taken >= len(request))
    assert [hello.record for hello in found] == [record]
    server = found[0].accept(*KEYS, NOW)
    received = server.unwrap(b"")
    for piece in pieces:
        received += server.unwrap(piece)
    assert received == [bytes((1 ^ ord("a"), 2 ^ ord("b")))]
    records, wires = messages(server, [74, 500], Random(1))
    head = b"".join(server.data_to_send())
    wire = head + b"".join(wires)
    received = []
    taken = 0
    for piece in split(wire, down_cuts):
        received += client.unwrap(piece)
        taken += len(piece)
        assert client.at_boundary == (taken in (len(head), len(head) + len(wires[0]), len(wire)))
    assert received == records


# What is shown


@pytest.mark.parametrize("name", NAMES)
def test_the_hello_has_many_lengths(name: str) -> None:
    """No length is that of more than 10 % of a bridge's first messages."""
    for seed in SEEDS[:8]:
        lengths = Counter(len(greet(CATALOGUE.get(name), seed, n)[2]) for n in range(600))
        # 8.3 % at most is meant, and 600 draws may stray by three standard deviations.
        assert max(lengths.values()) <= 600 * (1 / 12 + 0.034)


@pytest.mark.parametrize("name", NAMES)
def test_bridges_look_different(name: str) -> None:
    """Two of them have no header field in common but those of every WebSocket."""
    requests = [greet(CATALOGUE.get(name), seed)[2] for seed in SEEDS]
    lines = [set(request.split(b"\r\n")[1:-2]) for request in requests]
    common = set.intersection(*lines)
    assert {line.split(b":")[0] for line in common} <= {
        b"Upgrade",
        b"Connection",
        b"Sec-WebSocket-Version",
        b"Pragma",
        b"Cache-Control",
        b"Accept-Encoding",
    }
    assert len({request.split(b"\r\n")[0] for request in requests}) > 0.9 * len(SEEDS)


@pytest.mark.parametrize("name", NAMES)
def test_uris_are_not_what_fteproxys_were_flagged_for(name: str) -> None:
    """Wang et al., CCS 2015: 239 bytes, of 5.5 bits of entropy or more each."""
    for seed in SEEDS:
        uri = greet(CATALOGUE.get(name), seed)[2].split(b" ")[1]
        counts = Counter(uri)
        entropy = -sum(n / len(uri) * math.log2(n / len(uri)) for n in counts.values())
        assert len(uri) < 100
        assert entropy < 5.5


def test_one_bridge_keeps_what_a_site_keeps() -> None:
    """Host and path do not change between connections; key, hello and masks do."""
    requests = [greet(number=number)[2] for number in range(10)]
    for name in (rb"^GET [^ ?]*", rb"(?m)^Host: .*$", rb"(?m)^User-Agent: .*$"):
        assert len({re.search(name, request)[0] for request in requests}) == 1  # type: ignore[index]
    for name in (rb"(?m)^Sec-WebSocket-Key: .*$", rb"(?m)^Cookie: .*$"):
        assert len({re.search(name, request)[0] for request in requests}) == 10  # type: ignore[index]


def test_host_and_path_of_the_bridge_line() -> None:
    _, record, request = greet(host="chat.example.org:8080", path="/a/b")
    assert request.startswith(b"GET /a/b")
    assert b"\r\nHost: chat.example.org:8080\r\n" in request
    answer(request, record)


def test_masks_and_keys_are_fresh() -> None:
    client, _ = connect()
    masks = {b"".join(client.wrap(bytes(10)))[2:6] for _ in range(20)}
    assert len(masks) == 20


@pytest.mark.parametrize(("side", "largest"), [(0, MAX_FROM_CLIENT), (1, MAX_MESSAGE)])
def test_sizes_are_padded_and_vary(side: int, largest: int) -> None:
    """Cells of 514 bytes cannot be counted, and bulk costs less than 1 % more."""
    cover = connect()[side]
    sizes = []
    for _ in range(2000):
        sizes.append(cover.record_size(536))
        assert cover.record_size(536) == sizes[-1]
        cover.wrap(bytes(sizes[-1]))
    assert min(sizes) >= 536
    assert Counter(sizes).most_common(1)[0][1] < 30
    assert max(sizes) - min(sizes) > 514
    for wanted in (1, OVERHEAD, 5000, 20_000, 65_000, largest, 1 << 24):
        drawn = set()
        for _ in range(50):
            size = cover.record_size(wanted)
            drawn.add(size)
            assert size <= largest
            assert size >= 3 * largest // 4 if wanted > largest * 0.99 else size >= wanted
            if 20_000 <= wanted < largest:
                assert size + 14 < (wanted - OVERHEAD) * 1.01
            cover.wrap(bytes(size))
        assert len(drawn) > 10


@pytest.mark.parametrize(
    ("side", "size"), [(0, 0), (0, MAX_FROM_CLIENT + 1), (1, 0), (1, MAX_MESSAGE + 1)]
)
def test_a_record_of_an_impossible_size_is_refused(side: int, size: int) -> None:
    with pytest.raises(ValueError, match="is needed"):
        connect()[side].wrap(bytes(size))


# Judges


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_h11_accepts_both_directions(name: str, seed: str) -> None:
    definition = CATALOGUE.get(name)
    _, record, request = greet(definition, seed)
    _, response = answer(request, record, definition, seed)
    theirs = h11.Connection(h11.SERVER)
    theirs.receive_data(request)
    event = theirs.next_event()
    assert isinstance(event, h11.Request)
    assert isinstance(theirs.next_event(), h11.EndOfMessage)
    assert theirs.next_event() is h11.PAUSED
    assert theirs.trailing_data == (b"", False)
    theirs = h11.Connection(h11.CLIENT)
    theirs.send(event)
    theirs.send(h11.EndOfMessage())
    theirs.receive_data(response)
    informational = theirs.next_event()
    assert isinstance(informational, h11.InformationalResponse)
    assert informational.status_code == 101
    assert theirs.their_state is h11.SWITCHED_PROTOCOL
    assert theirs.trailing_data == (b"", False)


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_wsproto_as_the_server(name: str, seed: str) -> None:
    client, _, request = greet(CATALOGUE.get(name), seed)
    theirs = wsproto.WSConnection(wsproto.ConnectionType.SERVER)
    theirs.receive_data(request)
    [event] = theirs.events()
    assert isinstance(event, WsprotoRequest)
    assert client.unwrap(theirs.send(AcceptConnection())) == []
    records, wires = messages(client, [20, 300, 70_000], Random(2))
    theirs.receive_data(b"".join(wires))
    received = [event for event in theirs.events() if isinstance(event, BytesMessage)]
    assert b"".join(bytes(event.data) for event in received) == b"".join(records)
    assert sum(event.message_finished for event in received) == 3
    assert client.unwrap(theirs.send(Ping(b"are you there")) + theirs.send(BytesMessage(b"x"))) == [
        b"x"
    ]
    theirs.receive_data(b"".join(client.data_to_send()))
    assert list(theirs.events()) == [Pong(bytearray(b"are you there"))]
    assert not client.finished
    client.unwrap(theirs.send(CloseConnection(1001)))
    assert client.finished
    theirs.receive_data(b"".join(client.finish()))
    assert list(theirs.events()) == [CloseConnection(1000, "")]


@pytest.mark.parametrize("seed", SEEDS[:10])
def test_wsproto_as_the_client(seed: str) -> None:
    theirs = wsproto.WSConnection(wsproto.ConnectionType.CLIENT)
    cookie = re.search(rb"Cookie: (.*)\r\n", greet(seed=seed)[2])
    assert cookie
    headers = [(b"cookie", cookie[1])]
    request = theirs.send(WsprotoRequest(host="x", target="/", extra_headers=headers))
    server, response = answer(request, greet(seed=seed)[1])
    records, wires = messages(server, [74, 400, 65_556], Random(0))
    theirs.receive_data(response + b"".join(wires))
    first, *events = theirs.events()
    assert isinstance(first, AcceptConnection)
    assert b"".join(bytes(event.data) for event in events) == b"".join(records)  # type: ignore[union-attr]
    assert server.unwrap(theirs.send(BytesMessage(b"y" * 70_000))) == [b"y" * 70_000]
    server.unwrap(theirs.send(CloseConnection(1000)))
    assert server.finished


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_the_websockets_library_as_the_server(name: str, seed: str) -> None:
    client, _, request = greet(CATALOGUE.get(name), seed)
    theirs = server_library.ServerProtocol()
    theirs.receive_data(request)
    [event] = theirs.events_received()
    theirs.send_response(theirs.accept(event))  # type: ignore[arg-type]
    client.unwrap(b"".join(theirs.data_to_send()))
    records, wires = messages(client, [20, 300, 70_000], Random(2))
    theirs.receive_data(b"".join(wires))
    assert [event.data for event in theirs.events_received()] == records  # type: ignore[union-attr]
    theirs.send_ping(b"1")
    theirs.send_binary(b"part", fin=False)
    theirs.send_ping(b"2")
    theirs.send_continuation(b"ed", fin=True)
    assert client.unwrap(b"".join(theirs.data_to_send())) == [b"parted"]
    theirs.receive_data(b"".join(client.data_to_send()))
    assert theirs.parser_exc is None
    assert [event.data for event in theirs.events_received()] == [b"2"]  # type: ignore[union-attr]


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS[:10])
def test_the_websockets_library_as_the_client(name: str, seed: str) -> None:
    """Its request, with the field of ours that has the hello."""
    definition = CATALOGUE.get(name)
    _, record, ours = greet(definition, seed)
    uri = uri_library.parse_uri("ws://example.org/chat")
    theirs = client_library.ClientProtocol(uri, subprotocols=["b"])
    request = theirs.connect()
    for line in ours.decode().split("\r\n"):
        field, _, value = line.partition(": ")
        if field == "Cookie" or field.endswith(("-Token", "-Api-Key")):
            request.headers[field] = value
    theirs.send_request(request)
    server, response = answer(b"".join(theirs.data_to_send()), record, definition, seed)
    records, wires = messages(server, [74, 400, 65_556], Random(0))
    theirs.receive_data(response + b"".join(wires))
    assert theirs.handshake_exc is None
    assert theirs.subprotocol == "b"
    _, *frames = theirs.events_received()
    assert [each.data for each in frames] == records  # type: ignore[union-attr]
    theirs.send_binary(b"z" * 300)
    theirs.send_close(1000)
    assert server.unwrap(b"".join(theirs.data_to_send())) == [b"z" * 300]
    assert server.finished


# Intermediaries


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("seed", SEEDS)
def test_a_rewritten_request_is_understood(name: str, seed: str) -> None:
    """Other order and case, other Host, more fields, another path: as nginx or a CDN does it."""
    definition = CATALOGUE.get(name)
    _, record, request = greet(definition, seed)
    start, *fields = request.decode().removesuffix("\r\n\r\n").split("\r\n")
    fields = [field for field in fields if not field.startswith("Host")]
    Random(seed).shuffle(fields)
    pairs = [field.split(": ", 1) for field in fields]
    pairs = [[name.upper(), value] for name, value in pairs]
    extra = "\r\n".join(["Host: backend", "X-Forwarded-For: 192.0.2.1", "cookie: a=b;c=d"])
    head = start.replace("GET /", "GET /prefix/") + f"\r\n{extra}\r\n"
    head += "".join(f"{name}:{value} \r\n" for name, value in pairs) + "\r\n"
    answer(head.encode(), record, definition, seed)


def test_a_rewritten_response_is_understood() -> None:
    client, record, request = greet()
    _, response = answer(request, record)
    accept = re.search(rb"(?i)sec-websocket-accept: (.*)\r\n", response)
    assert accept
    rewritten = b"\r\n".join(
        [
            b"HTTP/1.1 103 Early Hints",
            b"Link: </style.css>; rel=preload",
            b"",
            b"HTTP/1.1 101 OK",
            b"date: Mon, 01 Jan 2024 00:00:00 GMT",
            b"SEC-WEBSOCKET-ACCEPT:" + accept[1],
            b"connection: keep-alive, UPGRADE",
            b"upgrade: WebSocket",
            b"",
            b"\x82\x01x",
        ]
    )
    assert client.unwrap(rewritten) == [b"x"]


def test_other_frames_of_an_intermediary() -> None:
    client, server = connect()
    wire = b"".join(
        [
            frame_library.Frame(frame_library.Opcode.BINARY, b"re", fin=False).serialize(mask=True),
            frame_library.Frame(frame_library.Opcode.PING, b"1").serialize(mask=True),
            frame_library.Frame(frame_library.Opcode.CONT, b"", fin=False).serialize(mask=True),
            frame_library.Frame(frame_library.Opcode.PONG, b"").serialize(mask=True),
            frame_library.Frame(frame_library.Opcode.CONT, b"cord", fin=True).serialize(mask=True),
        ]
    )
    assert server.unwrap(wire) == [b"record"]
    assert server.data_to_send() == [b"\x8a\x011"]
    assert server.data_to_send() == []
    assert client.unwrap(b"\x8a\x00") == []
    assert client.data_to_send() == []


def test_a_server_pings_time_and_again_before_nginx_loses_its_patience() -> None:
    client, server = connect()
    seconds = set()
    for _ in range(20):
        alarm = server.alarm
        assert alarm is not None and 40 < alarm.seconds < 60
        seconds.add(alarm.seconds)
        server.wake()
        assert server.alarm is not alarm
        assert client.unwrap(b"".join(server.data_to_send())) == []
        pong = b"".join(client.data_to_send())
        assert pong[:2] == b"\x8a\x80"
        assert server.unwrap(pong) == []
        assert server.data_to_send() == []
    assert len(seconds) == 20
    assert client.alarm is None


def test_nobody_pings_after_the_end() -> None:
    _, server = connect()
    server.finish()
    assert server.alarm is None
    client, server = connect()
    server.unwrap(b"".join(client.finish()))
    assert server.alarm is None


def test_after_a_close_frame_nothing_counts() -> None:
    _, server = connect()
    close = frame_library.Frame(frame_library.Opcode.CLOSE, b"\x03\xe8").serialize(mask=True)
    data = frame_library.Frame(frame_library.Opcode.BINARY, b"more").serialize(mask=True)
    assert server.unwrap(data + close + data) == [b"more"]
    assert server.finished
    assert server.at_boundary
    assert server.unwrap(data) == []


# Strangers

SITE = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"


@pytest.mark.parametrize(
    ("data", "known_after"),
    [
        (b"POST / HTTP/1.1\r\n", 1),
        (b"GET\r\n", 4),
        (b"get / HTTP/1.1\r\n", 1),
        (b"\x16\x03\x01\x02\x00\x01", 1),
        (b"SSH-2.0-x\r\n", 1),
        (b"GET / HTTP/1.1\x00\r\n\r\n", 19),
        (SITE, len(SITE)),
    ],
)
def test_a_stranger_is_known_early(data: bytes, known_after: int) -> None:
    opening = DEFINITION.look({}).opening(Random(0))
    assert opening.feed(data[: known_after - 1]) == []
    with pytest.raises(NotOurs):
        opening.feed(data[known_after - 1 : known_after])
    with pytest.raises(NotOurs):
        DEFINITION.look({}).opening(Random(0)).feed(data)


def altered(request: bytes, pattern: bytes, replacement: bytes) -> bytes:
    changed, count = re.subn(pattern, replacement, request, count=1)
    assert count
    return changed


@pytest.mark.parametrize(
    ("pattern", "replacement"),
    [
        (rb"HTTP/1.1", b"HTTP/1.0"),
        (rb"\nUpgrade: websocket\r", b"\nUpgrade: h2c\r"),
        (rb"\nUpgrade: websocket\r\n", b"\n"),
        (rb"\nConnection: .*\r", b"\nConnection: keep-alive\r"),
        (rb"\nSec-WebSocket-Version: 13", b"\nSec-WebSocket-Version: 8"),
        (rb"\nSec-WebSocket-Version: 13\r\n", b"\n"),
        (rb"\nSec-WebSocket-Key: .*\r\n", b"\n"),
        (rb"\nSec-WebSocket-Key: .", b"\nSec-WebSocket-Key: *"),
        (rb"\nSec-WebSocket-Key: ....", b"\nSec-WebSocket-Key: "),
        (rb"\n(Sec-WebSocket-Key: .*)\r\n", rb"\n\1\r\n\1\r\n"),
        (rb"\nCookie: .*\r\n", b"\n"),
        (rb"\n(Cookie: .*)=.*\r\n", rb"\n\1=abcdef\r\n"),
        (rb"\nUpgrade:", b"\nContent-Length: 5\r\nUpgrade:"),
        (rb"\nUpgrade:", b"\nContent-Length: " + b"9" * 5000 + b"\r\nUpgrade:"),
        (rb"\nUpgrade:", b"\nTransfer-Encoding: chunked\r\nUpgrade:"),
        (rb"\nUpgrade:", b"\n Upgrade:"),
        (rb"\nUpgrade:", b"\nUpgrade :"),
        (rb"\r\n\r\n", b"\r\nX: " + b"x" * 16_384 + b"\r\n\r\n"),
    ],
)
def test_what_is_not_quite_our_request_is_a_strangers(pattern: bytes, replacement: bytes) -> None:
    _, _, request = greet()
    changed = altered(request, pattern, replacement)
    for pieces in ([changed], [bytes([byte]) for byte in changed]):
        opening = DEFINITION.look({}).opening(Random(0))
        with pytest.raises(NotOurs):
            for piece in pieces:
                opening.feed(piece)


def test_the_longest_head_is_the_same_in_any_split() -> None:
    _, _, request = greet()
    for extra in range(16_384 - len(request) - 6, 16_384 - len(request)):
        padded = request.replace(b"\r\n\r\n", b"\r\nX: " + b"x" * extra + b"\r\n\r\n")
        verdicts = []
        for pieces in (
            [padded],
            [padded[:-1], padded[-1:]],
            split(padded, list(range(0, 17_000, 7))),
        ):
            opening = DEFINITION.look({}).opening(Random(0))
            try:
                verdicts.append(sum(len(opening.feed(piece)) for piece in pieces))
            except NotOurs:
                verdicts.append(0)
        assert verdicts == [int(len(padded) <= 16_384)] * 3


def test_another_path_is_a_strangers() -> None:
    _, _, request = greet(path="/ours")
    for path, count in (("/ours", 1), ("/our", 0), ("/ours/", 0)):
        opening = DEFINITION.look({"path": path}).opening(Random(0))
        if count:
            assert len(opening.feed(request)) == count
        else:
            with pytest.raises(NotOurs, match="path"):
                opening.feed(request)


def test_a_hello_at_another_place_of_its_language_is_not_accepted() -> None:
    _, record, request = greet()
    [hello] = DEFINITION.look({}).opening(Random(0)).feed(request)
    assert hello.record == record
    with pytest.raises(NotOurs, match="altered"):
        hello.accept(*OTHER_KEYS, NOW)


def test_few_strings_are_taken_for_hellos() -> None:
    """Each costs the server a key agreement."""
    _, _, request = greet()
    many = altered(request, rb"\n(Cookie: .*)\r\n", rb"\n" + rb"\1\r\n" * 20)
    assert len(DEFINITION.look({}).opening(Random(0)).feed(many)) == 8


@settings(max_examples=150)
@given(st.binary(max_size=300), st.integers(0, 900), st.lists(st.integers(0, 900), max_size=8))
def test_hostile_bytes_raise_nothing_else(data: bytes, at: int, cuts: list[int]) -> None:
    client, record, request = greet()
    _, response = answer(request, record)
    server, _ = answer(request, record)
    for wire, feed, allowed in (
        (
            request[:at] + data + request[at + 5 :],
            DEFINITION.look({}).opening(Random(0)).feed,
            NotOurs,
        ),
        (data, DEFINITION.look({}).opening(Random(0)).feed, NotOurs),
        (response[:at] + data + response[at + 5 :], client.unwrap, WireError),
        (data, server.unwrap, WireError),
    ):
        try:
            for piece in split(wire, cuts):
                if feed(piece) and allowed is NotOurs:
                    break
        except allowed:
            pass


# Not our server


@pytest.mark.parametrize(
    ("pattern", "replacement", "message"),
    [
        (rb"101", b"404", "HTTP status 404"),
        (rb"101", b"200", "HTTP status 200"),
        (rb"101", b"502", "web server in front does not reach the bridge: HTTP status 502"),
        (rb"101(.*)", rb"200\1\nContent-Length: " + b"9" * 5000, "not HTTP"),
        (rb"HTTP/1.1", b"SSH-2.0-", "not HTTP"),
        (rb"(?i)sec-websocket-accept: .", b"Sec-WebSocket-Accept: *", "does not open"),
        (rb"(?i)sec-websocket-accept: .*\r\n", b"", "does not open"),
        (rb"(?i)\nupgrade: websocket", b"\nUpgrade: h2c", "does not open"),
        (rb"(?i)\nconnection: upgrade", b"\nConnection: close", "does not open"),
        (rb"\r\n", b"\r\nSec-WebSocket-Extensions: permessage-deflate\r\n", "not offered"),
        (rb"\r\n", b"\r\nSec-WebSocket-Protocol: mqtt\r\n", "not offered"),
        (rb"\r\n", b"\r\nX: " + b"x" * 16_384 + b"\r\n", "too long|not HTTP"),
    ],
)
def test_an_answer_that_is_not_the_bridges(
    pattern: bytes, replacement: bytes, message: str
) -> None:
    _, record, request = greet()
    _, response = answer(request, record)
    changed = altered(response, pattern, replacement)
    for pieces in ([changed], [bytes([byte]) for byte in changed]):
        client, _, again = greet()
        assert again == request
        with pytest.raises(WireError, match=message):
            for piece in pieces:
                client.unwrap(piece)


def test_the_key_is_16_bytes_of_base64() -> None:
    found = re.search(rb"Sec-WebSocket-Key: (\S+)\r\n", greet()[2])
    assert found
    assert len(base64.b64decode(found[1], validate=True)) == 16
