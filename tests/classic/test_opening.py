"""A server finds out who is there: any client of fteproxy's, in any format, or nobody."""

from __future__ import annotations

import itertools
import random
from collections.abc import Iterable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.classic import (
    RELEASES,
    CellCipher,
    CellEncoder,
    ClassicChannel,
    ClassicClient,
    ClassicKey,
    ClassicOpening,
    Release,
)
from obfsfte.errors import AuthenticationFailed, NotOurs
from obfsfte.regular import Language

from .oracle import ALL, KEY, OTHER_KEY, fte_encoder

EVERYTHING = tuple(RELEASES.values())
REQUESTS = [pair for pair in ALL if pair[1].endswith("-request")]
HTTP = ("20260110", "manual-http-request")


def first_cell(release: str, name: str, named: str | None = None) -> bytes:
    """What fteproxy's client of that release sends first."""
    text = (named or release + name.removesuffix("-request")).encode()
    return fte_encoder(release, name).encode(text.rjust(64, b"\0"))


def feed(opening: ClassicOpening, pieces: Iterable[bytes]) -> ClassicChannel | None:
    for piece in pieces:
        channel = opening.feed(piece)
        if channel is not None:
            return channel
    return None


def accept(wire: bytes, releases: Iterable[Release] = EVERYTHING) -> ClassicChannel:
    channel = ClassicOpening(tuple(releases), KEY).feed(wire)
    assert channel is not None
    return channel


@pytest.mark.parametrize("pair", REQUESTS)
def test_fteproxys_client_is_recognised_in_every_format(pair: tuple[str, str]):
    release, name = pair
    oracle = fte_encoder(*pair)
    channel = accept(first_cell(*pair) + oracle.encode(b"question"))
    assert channel.receive(b"") == [b"question"]
    assert channel.receive(oracle.encode(b"more")) == [b"more"]
    channel.send(b"answer")
    answer = fte_encoder(release, name.removesuffix("request") + "response")
    assert answer.decode(b"".join(channel.data_to_send())) == (b"answer", b"")


@pytest.mark.parametrize("pair", REQUESTS)
def test_our_client_is_recognised_in_every_format_byte_by_byte(pair: tuple[str, str]):
    release = RELEASES[pair[0]]
    request = release.format(pair[1])
    client = ClassicClient(request, release.response_to(request), KEY)
    wire = b"".join(client.data_to_send())
    opening = ClassicOpening(EVERYTHING, KEY)
    assert feed(opening, (wire[i : i + 1] for i in range(len(wire) - 1))) is None
    channel = opening.feed(wire[-1:])
    assert channel is not None
    assert channel.receive(b"") == []
    channel.receive_eof()
    channel.send(b"answer")
    assert client.receive(b"".join(channel.data_to_send())) == [b"answer"]


@settings(deadline=None, max_examples=60)
@given(pair=st.sampled_from(REQUESTS), cuts=st.lists(st.integers(0, 1_000), max_size=8))
def test_any_split_opens_the_same_channel(pair: tuple[str, str], cuts: list[int]):
    wire = first_cell(*pair) + b"".join(fte_encoder(*pair).encode(bytes(n)) for n in (1, 400))
    edges = [0, *sorted(cut for cut in cuts if cut < len(wire)), len(wire)]
    pieces = iter([wire[a:b] for a, b in itertools.pairwise(edges)])
    channel = feed(ClassicOpening(EVERYTHING, KEY), pieces)
    assert channel is not None
    received = channel.receive(b"")
    for piece in pieces:
        received += channel.receive(piece)
    assert received == [bytes(1), bytes(400)]


@pytest.mark.parametrize(
    ("releases", "pair", "named"),
    [
        # Both releases have it, and mean the same by it.
        (["20260110", "20131224"], ("20131224", "manual-http-request"), None),
        (["20260110"], ("20131224", "manual-http-request"), None),
        (["20131224"], ("20260110", "manual-http-request"), None),
        # A client with definitions of its own, which has one of fteproxy's under its name.
        (["20260110"], ("20260110", "words-request"), "20990101words"),
    ],
)
def test_the_name_decides_whatever_the_release(
    releases: list[str], pair: tuple[str, str], named: str | None
):
    channel = accept(first_cell(*pair, named), [RELEASES[release] for release in releases])
    channel.send(b"answer")
    oracle = fte_encoder(pair[0], pair[1].removesuffix("request") + "response")
    assert oracle.decode(b"".join(channel.data_to_send())) == (b"answer", b"")


def test_a_format_of_a_release_that_is_not_enabled_is_refused():
    opening = ClassicOpening([RELEASES["20260110"].only(["manual-http"])], KEY)
    with pytest.raises(NotOurs):
        opening.feed(first_cell("20131224", "manual-ssh-request"))


@pytest.mark.parametrize("named", ["20260110words", "20260110nothing", "x", "20260110"])
def test_a_client_that_names_another_format_than_it_speaks_is_refused(named: str):
    with pytest.raises(NotOurs):
        ClassicOpening(EVERYTHING, KEY).feed(first_cell(*HTTP, named))


@pytest.mark.parametrize("pair", REQUESTS)
def test_a_client_with_another_key_is_refused(pair: tuple[str, str]):
    release, name = pair
    only = RELEASES[release].only([name.removesuffix("-request")])
    with pytest.raises(NotOurs):
        ClassicOpening([only], OTHER_KEY).feed(first_cell(*pair))


def test_while_dummy_is_enabled_any_short_opening_is_still_possible():
    opening = ClassicOpening(EVERYTHING, OTHER_KEY)
    assert opening.feed(first_cell("20260110", "ssh-request")[:128]) is None
    assert opening.feed(bytes(127)) is None
    with pytest.raises(NotOurs):
        opening.feed(bytes(1))


@pytest.mark.parametrize("size", [1, 63, 65, 400])
def test_a_recorded_data_cell_does_not_open_a_connection(size: int):
    wire = fte_encoder(*HTTP).encode(bytes(size))
    with pytest.raises(NotOurs):
        ClassicOpening(EVERYTHING, KEY).feed(wire[:256])


@pytest.mark.parametrize(
    ("first", "refused_at"),
    [
        (b"GET / HTTP/1.1\r\nHost: example.com\r\n\r\n", 6),  # the string would be too short
        (b"POST /", 1),
        (b"\x16\x03\x01", 1),
        (b"GET /index.html?q=1 HTTP/1.1\r\n", 16),
    ],
)
def test_a_stranger_is_refused_at_the_first_byte_that_shows_it(first: bytes, refused_at: int):
    opening = ClassicOpening([RELEASES["20260110"].only(["manual-http"])], KEY)
    assert feed(opening, (first[i : i + 1] for i in range(refused_at - 1))) is None
    with pytest.raises(NotOurs):
        opening.feed(first[refused_at - 1 : refused_at])


@pytest.mark.parametrize("step", [1, 7, 1_000_000])
def test_garbage_is_refused_after_one_slice(step: int):
    garbage = random.Random(step).randbytes(1_000_000)
    opening = ClassicOpening(EVERYTHING, KEY)
    fed = 0
    with pytest.raises(NotOurs):
        for start in range(0, len(garbage), step):
            fed = start + step
            opening.feed(garbage[start:fed])
    # `dummy` has every string of 256 bytes.
    assert fed - step < 256


#: A string of many languages: digits are hexadecimal, alphanumeric, ...
SHARED = b"01" * 200


def test_no_candidate_is_ranked_twice_or_kept_after_its_slice(monkeypatch: pytest.MonkeyPatch):
    ranked: list[int] = []
    rank = Language.rank

    def counting(language: Language, text: bytes) -> int:
        ranked.append(id(language))
        return rank(language, text)

    monkeypatch.setattr(Language, "rank", counting)
    opening = ClassicOpening(EVERYTHING, KEY)
    with pytest.raises(NotOurs):
        feed(opening, (SHARED[i : i + 1] for i in range(400)))
    # alphanumeric, hex, digits, binary, base64 and dummy
    assert len(ranked) == len(set(ranked)) == 6


def test_a_failed_candidate_does_not_end_the_others():
    # This text of 256 digits is a cell in `binary`; `alphanumeric` and others are tried before
    # it is complete, and fail to authenticate.
    wire = first_cell("20260110", "binary-request")
    opening = ClassicOpening(EVERYTHING, KEY)
    assert opening.feed(wire[:256]) is None
    assert opening.feed(wire[256:-1]) is None
    assert opening.feed(wire[-1:]) is not None


def test_forged_data_behind_a_good_first_cell_is_the_channels_failure():
    channel = accept(first_cell(*HTTP) + bytes(256))
    with pytest.raises(AuthenticationFailed):
        channel.receive(b"")


def test_the_first_cell_again_is_refused():
    wire = first_cell(*HTTP)
    channel = accept(wire)
    with pytest.raises(AuthenticationFailed):
        channel.receive(wire)


def test_the_servers_random_source_can_be_replaced():
    wire = first_cell(*HTTP)
    answers = []
    for _ in range(2):
        source = random.Random(5).randbytes
        channel = ClassicOpening(EVERYTHING, KEY, random=source).feed(wire)
        assert channel is not None
        channel.send(b"answer")
        answers.append(channel.data_to_send())
    assert answers[0] == answers[1]


def test_a_cell_that_is_no_negotiation_is_refused():
    request = RELEASES["20260110"].format("manual-http-request")
    encoder = CellEncoder(request.language(), CellCipher(KEY))
    with pytest.raises(NotOurs):
        ClassicOpening(EVERYTHING, KEY).feed(b"".join(encoder.encode(b"x" * 64)))


def test_without_a_format_everybody_is_a_stranger():
    with pytest.raises(NotOurs):
        ClassicOpening([], ClassicKey(bytes(16), bytes(16))).feed(b"x")
