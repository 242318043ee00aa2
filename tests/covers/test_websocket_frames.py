"""Frames: against wsproto and the websockets library, in any split; hostile bytes."""

import struct
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from websockets.frames import Frame
from websockets.frames import Opcode as TheirOpcode
from wsproto.frame_protocol import FrameProtocol
from wsproto.frame_protocol import Opcode as WsprotoOpcode

from obfsfte.covers.websocket_frames import (
    MAX_CONTROL,
    MAX_MESSAGE,
    FrameReader,
    Opcode,
    frame,
)
from obfsfte.errors import WireError

SIZES = (0, 1, 2, 3, 4, 5, 125, 126, 127, 128, 65535, 65536, 65539, MAX_MESSAGE)
MASK = b"\x8a\x01\xff\x40"


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


def read(data: bytes, cuts: list[int], *, masked: bool) -> list[tuple[Opcode, bytes]]:
    reader = FrameReader(masked=masked)
    found = [event for piece in split(data, cuts) for event in reader.feed(piece)]
    assert reader.at_boundary
    return found


@pytest.mark.parametrize("mask", [None, MASK])
@pytest.mark.parametrize("size", SIZES)
def test_frames_are_those_that_wsproto_reads(size: int, mask: bytes | None) -> None:
    payload = Random(size).randbytes(size)
    theirs = FrameProtocol(client=mask is None, extensions=[])
    theirs.receive_bytes(b"".join(frame(Opcode.BINARY, payload, mask)))
    parts = list(theirs.received_frames())
    assert {part.opcode for part in parts} == {WsprotoOpcode.BINARY}
    assert [part.message_finished for part in parts][-1]
    assert b"".join(bytes(part.payload) for part in parts) == payload


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("size", SIZES)
def test_frames_of_the_websockets_library_are_read(size: int, masked: bool) -> None:
    payload = Random(size).randbytes(size)
    wire = Frame(TheirOpcode.BINARY, payload).serialize(mask=masked)
    assert read(wire, [], masked=masked) == [(Opcode.BINARY, payload)]


message = st.lists(st.binary(max_size=300), min_size=1, max_size=4)
control = st.tuples(st.sampled_from([Opcode.PING, Opcode.PONG]), st.binary(max_size=MAX_CONTROL))


@settings(max_examples=150)
@given(
    st.lists(st.tuples(message, st.lists(control, max_size=3)), max_size=5),
    st.lists(st.integers(0, 5000), max_size=25),
    st.booleans(),
    st.randoms(use_true_random=False),
)
def test_messages_in_any_fragments_and_any_split(
    messages: list[tuple[list[bytes], list[tuple[Opcode, bytes]]]],
    cuts: list[int],
    masked: bool,
    random: Random,
) -> None:
    """An intermediary's work: other frames, control frames between them, other reads."""
    wire = b""
    expected = []
    for fragments, controls in messages:
        left = list(controls)
        for index, fragment in enumerate(fragments):
            is_last = index == len(fragments) - 1
            opcode = TheirOpcode.CONT if index else TheirOpcode.BINARY
            wire += Frame(opcode, fragment, fin=is_last).serialize(mask=masked)
            if is_last:
                expected.append((Opcode.BINARY, b"".join(fragments)))
            while left and (is_last or random.random() < 0.5):
                kind, payload = left.pop(0)
                wire += Frame(TheirOpcode(kind), payload).serialize(mask=masked)
                expected.append((kind, payload))
    assert read(wire, cuts, masked=masked) == expected
    assert read(wire, list(range(len(wire))), masked=masked) == expected


def judged(data: bytes, *, masked: bool) -> bool:
    """Whether wsproto finds nothing wrong with the bytes."""
    theirs = FrameProtocol(client=not masked, extensions=[])
    theirs.receive_bytes(data)
    try:
        list(theirs.received_frames())
    except Exception as error:
        assert type(error).__name__ == "ParseFailed", error
        return False
    return True


header = st.builds(
    lambda first, second, rest: bytes((first, second)) + rest,
    st.sampled_from([0x82, 0x02, 0x80, 0x00, 0x88, 0x89, 0x8A, 0x81, 0x83, 0xC2, 0x08, 0x8B]),
    st.sampled_from([0, 1, 2, 5, 125, 126, 127, 0x80, 0x81, 0x82, 0x85, 0xFD, 0xFE, 0xFF]),
    st.binary(max_size=12) | st.sampled_from([b"\0\x7d", b"\0\x7e\0\0\0\0", b"\0\0\0\0\0\1\0\0"]),
)


@settings(max_examples=400)
@given(st.lists(header, min_size=1, max_size=4), st.booleans(), st.lists(st.integers(0, 50)))
def test_hostile_bytes(headers: list[bytes], masked: bool, cuts: list[int]) -> None:
    """Whatever they are: the verdict is the same in any split, and no laxer than wsproto's."""
    data = b"".join(headers)

    def verdict(pieces: list[bytes]) -> list[tuple[Opcode, bytes]] | None:
        reader = FrameReader(masked=masked)
        try:
            return [event for piece in pieces for event in reader.feed(piece)]
        except WireError:
            return None

    assert verdict([data]) == verdict(split(data, cuts))
    if verdict([data]) is not None:
        events = verdict([data]) or []
        closes = [payload for opcode, payload in events if opcode is Opcode.CLOSE]
        # wsproto also judges close frames' codes and reasons, and we do not use them.
        assert closes or judged(data, masked=masked)


@pytest.mark.parametrize(
    "data",
    [
        b"\xc2",  # reserved bit 1: compressed, which nobody agreed to
        b"\xa2",
        b"\x92",
        b"\x81",  # text
        b"\x83",
        b"\x8b",
        b"\x80",  # goes on, and nothing began
        b"\x02\x00\x82",  # begins, and the last has not ended
        b"\x09",  # a ping in fragments
        b"\x89\x7e",  # a ping that is too long
        b"\x88\x01",  # half of a status code
        b"\x82\x80",  # masked, from a server
        b"\x82\x7e\x00\x7d",  # 125 in two bytes
        b"\x82\x7f" + struct.pack(">Q", 65535),
        b"\x82\x7f" + struct.pack(">Q", MAX_MESSAGE + 1),
        b"\x82\x7f" + b"\xff" * 8,
        b"\x02\x7f" + struct.pack(">Q", MAX_MESSAGE) + bytes(MAX_MESSAGE) + b"\x80\x01",
    ],
)
def test_faults_are_found_at_the_last_byte_that_shows_them(data: bytes) -> None:
    """No payload is waited for."""
    reader = FrameReader(masked=False)
    assert all(opcode is Opcode.BINARY for opcode, _ in reader.feed(data[:-1]))
    with pytest.raises(WireError):
        list(reader.feed(data[-1:]))


def test_a_client_must_mask() -> None:
    with pytest.raises(WireError, match="not masked"):
        list(FrameReader(masked=True).feed(b"\x82\x00"))


def test_the_boundary() -> None:
    """Between messages, not between their frames."""
    reader = FrameReader(masked=False)
    boundaries = []
    for byte in b"\x02\x01a\x89\x00\x80\x00":
        list(reader.feed(bytes([byte])))
        boundaries.append(reader.at_boundary)
    assert boundaries == [False, False, False, False, False, False, True]


def test_the_buffer_is_bounded() -> None:
    """One message and what is left of one read, however it comes."""
    reader = FrameReader(masked=False)
    wire = b"".join(frame(Opcode.BINARY, bytes(MAX_MESSAGE), None)) * 3
    for start in range(0, len(wire), 1000):
        list(reader.feed(wire[start : start + 1000]))
        assert len(reader._frame) <= MAX_MESSAGE + 10
