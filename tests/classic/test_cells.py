"""Cells against fte 0.3.0, and against whatever else may arrive."""

from __future__ import annotations

import itertools
import random
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.classic import (
    DEFAULT_KEY,
    RELEASES,
    CellCipher,
    CellDecoder,
    CellEncoder,
    ClassicKey,
)
from obfsfte.classic.cells import MAX_PLAINTEXT
from obfsfte.errors import AuthenticationFailed, ConfigError
from obfsfte.regular import Language

from .oracle import ALL, DISTINCT, KEY, OTHER_KEY, fte_encoder

SIZES = [1, 64, 70_000, MAX_PLAINTEXT, 2 * MAX_PLAINTEXT + 5]

#: A language whose slice holds less than W1, and the default one.
BINARY = ("20260110", "binary-request")
HTTP = ("20260110", "manual-http-request")


def language_of(pair: tuple[str, str]) -> Language:
    release, name = pair
    return RELEASES[release].format(name).language()


def encoder_of(pair: tuple[str, str], key: ClassicKey = KEY, seed: int = 0) -> CellEncoder:
    return CellEncoder(language_of(pair), CellCipher(key), random.Random(seed).randbytes)


def decoder_of(pair: tuple[str, str], key: ClassicKey = KEY) -> CellDecoder:
    return CellDecoder(language_of(pair), CellCipher(key))


def decode(decoder: CellDecoder, *pieces: bytes) -> list[bytes]:
    cells = []
    for piece in pieces:
        decoder.feed(piece)
        cells += iter(decoder.next_cell, None)
    return cells


def message(size: int) -> bytes:
    return random.Random(size).randbytes(size)


@pytest.mark.parametrize("pair", ALL)
@pytest.mark.parametrize("size", SIZES)
def test_fte_reads_our_cells(pair: tuple[str, str], size: int):
    wire = b"".join(encoder_of(pair).encode(message(size)))
    oracle = fte_encoder(*pair)
    plaintext = b""
    while wire:
        cell, wire = oracle.decode(wire)
        assert 0 < len(cell) <= MAX_PLAINTEXT
        plaintext += cell
    assert plaintext == message(size)


@pytest.mark.parametrize("pair", ALL)
@pytest.mark.parametrize("size", [size for size in SIZES if size <= MAX_PLAINTEXT])
def test_we_read_the_cells_of_fte(pair: tuple[str, str], size: int):
    decoder = decoder_of(pair)
    assert decode(decoder, fte_encoder(*pair).encode(message(size))) == [message(size)]
    assert decoder.between_cells


@pytest.mark.parametrize("pair", DISTINCT)
@pytest.mark.parametrize("size", [1, 10, 11, 12, 95, 160, 161, 162, 163, 200, 5_000])
def test_the_bytes_are_those_of_fte(pair: tuple[str, str], size: int):
    # fte derives its "random" bytes from a seed, when it is given one.
    seed = b"\x01\x30\x05\x70\x09\xb0\x0d\xf0"
    iv = bytes(seed[i % 8] ^ seed[(i + 3) % 8] for i in range(7))

    draws = iter([lambda n: iv, lambda n: seed, lambda n: bytes(seed[i % 8] ^ i for i in range(n))])
    encoder = CellEncoder(language_of(pair), CellCipher(KEY), lambda n: next(draws)(n))
    ours = b"".join(encoder.encode(message(size)))
    assert ours == fte_encoder(*pair).encode(message(size), seed=seed)


def test_the_example_in_the_documentation_is_true():
    page = Path(__file__).parents[2].joinpath("docs", "classic.md").read_text(encoding="utf-8")
    example = page.split("### Example", 1)[1].split("```")[1]
    cell = "".join(re.findall("(?m)^[0-9a-f]+", example)).encode()
    draws = iter([bytes(range(1, 8)), bytes(range(0x11, 0x19)), bytes(range(0xA0, 0xEA))])
    language = language_of(("20260110", "hex-request"))
    encoder = CellEncoder(language, CellCipher(DEFAULT_KEY), lambda n: next(draws))
    assert encoder.encode(b"hello") == [cell]


def test_no_data_makes_no_cell():
    assert encoder_of(HTTP).encode(b"") == []


@pytest.mark.parametrize("pair", [BINARY, HTTP])
def test_random_bytes_are_asked_for_and_used(pair: tuple[str, str]):
    first, second = (encoder_of(pair, seed=seed).encode(b"x") for seed in (1, 2))
    assert first != second
    assert encoder_of(pair, seed=1).encode(b"x") == first


def test_a_body_leaves_without_being_joined_to_the_front():
    buffers = encoder_of(HTTP).encode(bytes(MAX_PLAINTEXT))
    assert [len(buffer) for buffer in buffers] == [256 + 16, MAX_PLAINTEXT - (179 - 16), 16]


@pytest.mark.parametrize("pair", [HTTP, ("20260110", "hex-request")])
def test_a_plaintext_of_the_right_size_leaves_nothing_raw(pair: tuple[str, str]):
    encoder, language = encoder_of(pair), language_of(pair)
    whole = encoder.whole_plaintext
    assert [len(buffer) for buffer in encoder.encode(bytes(whole))] == [language.length]
    assert [len(buffer) for buffer in encoder.encode(bytes(whole + 1))] == [language.length + 1]
    assert encoder_of(BINARY).whole_plaintext < 1


def test_a_language_without_room_for_a_cell_is_refused():
    # 2**137 strings are the fewest that carry a cell: 16 bytes, one more, and the unused bit.
    CellEncoder(Language(b"[01]+", 137), CellCipher(KEY))
    for build in (CellEncoder, CellDecoder):
        with pytest.raises(ConfigError) as caught:
            build(Language(b"[01]+", 136), CellCipher(KEY))
        assert str(caught.value) == (
            "the language carries 136 bits in 136 bytes and a cell needs 137: "
            "choose longer strings or a richer pattern"
        )


def test_the_smallest_language_carries_cells():
    language = Language(b"[01]+", 137)
    wire = b"".join(CellEncoder(language, CellCipher(KEY)).encode(b"hello"))
    assert decode(CellDecoder(language, CellCipher(KEY)), wire) == [b"hello"]


@settings(deadline=None, max_examples=60)
@given(
    pair=st.sampled_from(DISTINCT),
    messages=st.lists(st.binary(min_size=1, max_size=600), min_size=1, max_size=5),
    data=st.data(),
)
def test_any_split_gives_the_same_cells(
    pair: tuple[str, str], messages: list[bytes], data: st.DataObject
):
    encoder = encoder_of(pair)
    wire = b"".join(buffer for text in messages for buffer in encoder.encode(text))
    cuts = data.draw(st.lists(st.integers(0, len(wire)), max_size=20).map(sorted))
    edges = [0, *cuts, len(wire)]
    pieces = [wire[a:b] for a, b in itertools.pairwise(edges)]
    decoder = decoder_of(pair)
    assert decode(decoder, *pieces) == messages
    assert decoder.between_cells


class CountingLanguage:
    """A language that counts how often it is asked for a rank."""

    def __init__(self, language: Language) -> None:
        self._language = language
        self.ranked = 0

    def rank(self, text: bytes) -> int:
        self.ranked += 1
        return self._language.rank(text)

    def __getattr__(self, name: str) -> object:
        return getattr(self._language, name)


@pytest.mark.parametrize("pair", [BINARY, HTTP])
def test_each_slice_is_ranked_once_however_slowly_it_comes(pair: tuple[str, str]):
    encoder = encoder_of(pair)
    wire = b"".join(encoder.encode(bytes(3_000)) + encoder.encode(b"x") + encoder.encode(bytes(9)))
    language = CountingLanguage(language_of(pair))
    decoder = CellDecoder(language, CellCipher(KEY))
    cells = decode(decoder, *(bytes([byte]) for byte in wire))
    assert cells == [bytes(3_000), b"x", bytes(9)]
    assert language.ranked == 3


@pytest.mark.parametrize("pair", [BINARY, HTTP])
def test_every_cut_leaves_a_cell_unfinished(pair: tuple[str, str]):
    encoder = encoder_of(pair)
    first, second = (b"".join(encoder.encode(bytes(size))) for size in (40, 400))
    wire = first + second
    decoder = decoder_of(pair)
    for at, byte in enumerate(wire):
        assert decoder.between_cells == (at in (0, len(first)))
        cells = decode(decoder, bytes([byte]))
        assert bool(cells) == (at + 1 in (len(first), len(wire)))
    assert decoder.between_cells


@pytest.mark.parametrize("pair", [BINARY, HTTP, ("20260110", "dummy-request")])
def test_a_flipped_bit_anywhere_in_a_long_cell_is_noticed(pair: tuple[str, str]):
    wire = b"".join(encoder_of(pair).encode(message(700)))
    language = language_of(pair)
    decoded = 0
    for position in range(len(wire)):
        altered = bytearray(wire)
        altered[position] ^= 1 << position % 8
        with pytest.raises(AuthenticationFailed):
            decode(decoder_of(pair), bytes(altered))
        if position < language.length:
            # Another string of the language: here the ranks differ, not only the alphabet.
            other = language.rank(wire[: language.length]) ^ 1 << (position * 8 % 200)
            text = language.unrank(other) + wire[language.length :]
            with pytest.raises(AuthenticationFailed):
                decode(decoder_of(pair), text)
            decoded += 1
    assert decoded == language.length


def test_a_flipped_bit_in_a_short_cell_never_changes_what_is_delivered():
    pair = ("20260110", "dummy-request")
    wire = b"".join(encoder_of(pair).encode(b"short"))
    outcomes = []
    for position in range(len(wire)):
        altered = bytearray(wire)
        altered[position] ^= 0x10
        try:
            outcomes.append(decode(decoder_of(pair), bytes(altered)))
        except AuthenticationFailed:
            outcomes.append(None)
    # The header and the sealed message in the slice, then its padding, which nothing protects.
    assert outcomes[: 1 + 16 + 37] == [None] * (1 + 16 + 37)
    assert outcomes[1 + 16 + 37 :] == [[b"short"]] * (256 - 1 - 16 - 37)


@pytest.mark.parametrize("pair", DISTINCT)
def test_another_key_opens_nothing(pair: tuple[str, str]):
    wire = b"".join(encoder_of(pair, key=KEY).encode(b"hello"))
    with pytest.raises(AuthenticationFailed):
        decode(decoder_of(pair, key=OTHER_KEY), wire)


@pytest.mark.parametrize(
    "key",
    [
        ClassicKey(KEY.encryption, OTHER_KEY.authentication),
        ClassicKey(OTHER_KEY.encryption, KEY.authentication),
    ],
)
def test_half_the_key_opens_nothing(key: ClassicKey):
    wire = b"".join(encoder_of(HTTP).encode(b"hello"))
    with pytest.raises(AuthenticationFailed):
        decode(decoder_of(HTTP, key=key), wire)


def test_a_failure_stays():
    decoder = decoder_of(HTTP)
    wire = b"".join(encoder_of(HTTP).encode(bytes(1_000)))
    for more in (wire[:-1] + bytes([wire[-1] ^ 1]), b"", wire):
        decoder.feed(more)
        with pytest.raises(AuthenticationFailed):
            decoder.next_cell()


def test_a_cell_longer_than_any_honest_one_is_refused_by_its_header():
    wire = fte_encoder(*HTTP).encode(bytes(MAX_PLAINTEXT + 1))
    with pytest.raises(AuthenticationFailed):
        decode(decoder_of(HTTP), wire[:256])


@pytest.mark.parametrize("pair", DISTINCT)
def test_strings_of_the_language_that_no_key_made_are_refused_as_soon_as_complete(
    pair: tuple[str, str],
):
    language = language_of(pair)
    chosen = random.Random(pair[1])
    for rank in [0, language.size - 1, *(chosen.randrange(language.size) for _ in range(20))]:
        text = language.unrank(rank)
        decoder = decoder_of(pair)
        assert decode(decoder, text[:-1]) == []
        with pytest.raises(AuthenticationFailed):
            decode(decoder, text[-1:])


@settings(deadline=None, max_examples=40)
@given(pair=st.sampled_from(DISTINCT), garbage=st.binary(min_size=256, max_size=2_000))
def test_garbage_is_refused(pair: tuple[str, str], garbage: bytes):
    with pytest.raises(AuthenticationFailed):
        decode(decoder_of(pair), garbage)


def test_headers_that_contradict_the_slice_are_refused():
    # A holder of the key who is no honest encoder: m says 40 where n says all the room.
    language, cipher = language_of(HTTP), CellCipher(KEY)
    honest = b"".join(encoder_of(HTTP).encode(bytes(400)))
    payload = language.rank(honest[:256]).to_bytes(179, "big")
    for carried in (0, 1, 15, 16, 40, 162, 164, 2**32, 2**64 - 1):
        header = cipher.encrypt_block(bytes(8) + carried.to_bytes(8, "big"))
        text = language.unrank(int.from_bytes(header + payload[16:], "big"))
        with pytest.raises(AuthenticationFailed):
            decode(decoder_of(HTTP), text + honest[256:])
    header = cipher.encrypt_block(bytes(8) + (163).to_bytes(8, "big"))
    text = language.unrank(int.from_bytes(header + payload[16:], "big"))
    assert decode(decoder_of(HTTP), text + honest[256:]) == [bytes(400)]


def sealed_with(first: bytes, plaintext: bytes) -> bytes:
    """A cell as a holder of the key can make it, whatever the header's first byte."""
    language, cipher = language_of(HTTP), CellCipher(KEY)
    header = cipher.encrypt_block(first + bytes(7) + len(plaintext).to_bytes(8, "big"))
    body = cipher.stream(bytes(7)).update(plaintext)
    carried = header + body + cipher.tag(header, body)
    payload = cipher.encrypt_block(bytes(8) + len(carried).to_bytes(8, "big")) + carried
    return language.unrank(int.from_bytes(payload.ljust(179, b"\0"), "big"))


def test_a_header_no_encoder_writes_is_refused():
    assert decode(decoder_of(HTTP), sealed_with(b"\x01", b"hello")) == [b"hello"]
    for wrong in (
        sealed_with(b"\x00", b"hello"),
        sealed_with(b"\x02", b"hello"),
        sealed_with(b"\x01", b""),
    ):
        with pytest.raises(AuthenticationFailed):
            decode(decoder_of(HTTP), wrong)


def test_a_rank_beyond_the_payload_is_refused():
    language = language_of(HTTP)
    with pytest.raises(AuthenticationFailed):
        decode(decoder_of(HTTP), language.unrank(2 ** (8 * 179)))


def test_a_repeated_cell_is_refused():
    cells = [b"".join(encoder_of(HTTP, seed=seed).encode(b"%d" % seed)) for seed in range(3)]
    decoder = decoder_of(HTTP)
    assert decode(decoder, *cells) == [b"0", b"1", b"2"]
    with pytest.raises(AuthenticationFailed):
        decode(decoder, cells[1])


def test_the_memory_for_repeated_cells_is_bounded():
    encoder, decoder = encoder_of(HTTP), decoder_of(HTTP)
    cells = [b"".join(encoder.encode(b"x")) for _ in range(1025)]
    assert len(decode(decoder, *cells)) == 1025
    assert decode(decoder, cells[0]) == [b"x"]
    with pytest.raises(AuthenticationFailed):
        decode(decoder, cells[1024])


def test_the_wire_does_not_show_that_cells_were_swapped_or_left_out():
    encoder = encoder_of(HTTP)
    cells = [b"".join(encoder.encode(text)) for text in (b"a", b"b", b"c")]
    assert decode(decoder_of(HTTP), cells[2], cells[0]) == [b"c", b"a"]


def test_a_first_cell_may_be_limited():
    decoder = decoder_of(HTTP)
    decoder.feed(b"".join(encoder_of(HTTP).encode(bytes(65)))[:256])
    with pytest.raises(AuthenticationFailed):
        decoder.next_cell(at_most=64)
