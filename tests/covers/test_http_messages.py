"""HTTP messages as intermediaries leave them, and bodies with records in them."""

from __future__ import annotations

from random import Random

import h11
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.covers.http_body import MAX_RECORD, BodyReader, BodyWriter
from obfsfte.covers.http_fields import http_date
from obfsfte.covers.http_messages import (
    Framed,
    RequestFollower,
    RequestReader,
    ResponseReader,
)
from obfsfte.covers.templates import Head, Template
from obfsfte.errors import NotOurs, WireError

KEY = bytes(range(32))


def framed(text: str, chunk: int | None) -> Framed:
    return Framed(Head.of(Template("next", text)), chunk)


CHUNKED = framed(
    "HTTP/1.1 200 OK\nTransfer-Encoding: chunked\nConnection: keep-alive\nX: y\n", 8192
)
PLAIN = framed("HTTP/1.1 200 OK\ncontent-length: {length}\nKeep-Alive: timeout=5\n", None)
RANDOM = Random(4)
OLD = b"GET / HTTP/1.0\r\nConnection: close\r\n\r\n"
NEW = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
LAST = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"


@given(st.lists(st.binary(min_size=1, max_size=500), max_size=20), st.lists(st.integers(1, 300)))
@settings(deadline=None)
def test_records_come_out_of_bodies_however_they_are_split(
    records: list[bytes], sizes: list[int]
) -> None:
    body = BodyWriter(KEY).body(records)
    assert len(body) == sum(map(len, records)) + 3 * len(records)
    reader = BodyReader(KEY)
    got = []
    for size in sizes:
        got += reader.feed([body[:size]])
        body = body[size:]
    got += reader.feed([body[:7], body[7:]])
    assert got == records
    assert reader.at_boundary


def test_bodies_of_equal_records_differ_and_show_no_length() -> None:
    writer = BodyWriter(KEY)
    lengths = {writer.body([bytes(1000)])[:3] for _ in range(100)}
    assert len(lengths) == 100


def test_the_mask_is_what_the_documentation_says() -> None:
    """Computed with the other half of the library: AES in ECB mode, counter by counter."""
    import hmac

    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = hmac.digest(KEY, b"obfsfte 1 http lengths", "sha256")
    encryptor = Cipher(algorithms.AES(key), modes.ECB()).encryptor()
    keystream = b"".join(encryptor.update(n.to_bytes(16, "big")) for n in range(4))
    writer = BodyWriter(KEY)
    for number in range(20):
        masked = writer.body([bytes(number + 1)])[:3]
        mask = keystream[3 * number : 3 * number + 3]
        assert bytes(a ^ b for a, b in zip(masked, mask, strict=True)) == bytes([0, 0, number + 1])


@pytest.mark.parametrize("size", [0, MAX_RECORD + 1])
def test_records_have_limits(size: int) -> None:
    with pytest.raises(ValueError, match="a record has 1 to"):
        BodyWriter(KEY).body([bytes(size)])


def test_an_impossible_length_is_refused() -> None:
    good = BodyWriter(KEY).body([bytes(1)])
    with pytest.raises(WireError):
        BodyReader(KEY).feed([bytes([good[0] ^ 0x80]) + good[1:]])


def read(text: bytes) -> RequestReader:
    reader = RequestReader()
    reader.feed(text)
    assert reader.complete
    return reader


@pytest.mark.parametrize("head", [CHUNKED, PLAIN])
@pytest.mark.parametrize("asked", [OLD, NEW, LAST])
def test_a_response_is_framed_as_the_request_can_take_it(head: Framed, asked: bytes) -> None:
    body = Random(1).randbytes(40_000)
    wire = b"".join(head.response(RANDOM, {}, body, read(asked)))
    assert (b"chunked" in wire[:100]) == (head is CHUNKED and asked is not OLD)
    assert wire.lower().count(b"content-length") == (b"chunked" not in wire[:100])
    assert (b"Connection: close\r\n" in wire) == (asked is not NEW)
    assert wire[:200].count(b"Connection") <= 1
    assert (b"Keep-Alive" in wire) == (head is PLAIN and asked is NEW)
    reader = ResponseReader()
    assert b"".join(reader.feed(wire)) == body
    assert reader.complete
    assert reader.closes == (asked is not NEW)


def test_responses_are_read_as_intermediaries_frame_them() -> None:
    body = Random(2).randbytes(5000)
    ways = [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n" + body,
        b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 \r\ncontent-length:5000\r\n\r\n"
        + body,
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
        + b"".join(b"%X;x=y\r\n%b\r\n" % (len(p), p) for p in (body[:1], body[1:4999], body[4999:]))
        + b"0\r\nTrailer: x\r\n\r\n",
    ]
    for wire in ways:
        for step in (1, 7, len(wire)):
            reader = ResponseReader()
            got = [b"".join(reader.feed(wire[at : at + step])) for at in range(0, len(wire), step)]
            assert b"".join(got) == body
            assert reader.complete
            assert not reader.closes


@pytest.mark.parametrize(
    "wire",
    [
        b"HTTP/1.1 502 Bad Gateway\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\nxy",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"SSH-2.0-OpenSSH\r\n\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"x" * 20_000,
        b"HTTP/1.1 200 OK\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n",
    ],
)
def test_other_answers_are_refused(wire: bytes) -> None:
    with pytest.raises(WireError):
        ResponseReader().feed(wire)


#: More digits than int() takes.
LONG = b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n"


@pytest.mark.parametrize(
    "wire",
    [
        *[b"H", b"PUT", b"GETS", b"GET / HTTP/1.1\r\n\r\n", b"POST x", b"GET /" + b"x" * 20_000],
        LONG,
    ],
)
def test_what_is_no_request_of_ours_is_known_early(wire: bytes) -> None:
    reader = RequestReader()
    if wire == b"POST x":
        assert reader.feed(wire) == []
        return
    with pytest.raises(NotOurs):
        reader.feed(wire)


def test_dates_are_those_of_http() -> None:
    assert http_date(784111777) == b"Sun, 06 Nov 1994 08:49:37 GMT"  # RFC 9110's example


FOLLOWED = [
    NEW,
    b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n0123456789",
    b"PUT / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\n\r\n",
    b"HEAD /x HTTP/1.1\r\nHost: x\r\n\r\n",
]


@given(st.lists(st.sampled_from(FOLLOWED), min_size=1), st.lists(st.integers(1, 50)))
@settings(deadline=None)
def test_a_follower_knows_where_each_request_begins(said: list[bytes], sizes: list[int]) -> None:
    follower = RequestFollower()
    wire = b"".join(said)
    ends = {sum(map(len, said[: n + 1])) for n in range(len(said))} | {0}
    at = 0
    for size in sizes:
        assert follower.at_boundary == (at in ends)
        assert follower.feed(wire[at : at + size])
        at = min(at + size, len(wire))
    assert follower.feed(wire[at:])
    assert follower.at_boundary


@pytest.mark.parametrize(
    "said",
    [
        OLD,
        LAST,
        b"CONNECT x:443 HTTP/1.1\r\nHost: x\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n",
        b"GET / HTTP/1.1\r\n\r\n",
        b"\x16\x03\x01\x02\x00\x01",
        b"nonsense\r\n\r\n",
        b"GET /" + b"x" * 20_000,
        LONG,
    ],
)
def test_what_may_be_followed_by_something_else_is_not_followed(said: bytes) -> None:
    assert not RequestFollower().feed(said)


def test_h11_knows_of_a_response_what_we_do() -> None:
    """One parser, two uses: what we render is what h11 as a whole accepts."""
    parser = h11.Connection(h11.CLIENT)
    parser.send(h11.Request(method="GET", target="/", headers=[("Host", "x")]))
    parser.send(h11.EndOfMessage())
    parser.receive_data(b"".join(CHUNKED.response(RANDOM, {}, bytes(20_000), read(NEW))))
    kinds = []
    while not kinds or kinds[-1] is not h11.EndOfMessage:
        kinds.append(type(parser.next_event()))
    assert kinds == [h11.Response, h11.Data, h11.Data, h11.Data, h11.EndOfMessage]
