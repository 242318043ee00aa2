from __future__ import annotations

import pytest

from obfsfte.classic import DEFAULT_KEY, ClassicKey
from obfsfte.errors import ConfigError

HEX = "00112233445566778899aabbccddeeff" + "0123456789ABCDEF0123456789abcdef"


def test_hexadecimal_text_is_two_keys():
    key = ClassicKey.from_hex(HEX)
    assert key.encryption == bytes.fromhex("00112233445566778899aabbccddeeff")
    assert key.authentication == bytes.fromhex("0123456789abcdef0123456789abcdef")


def test_white_space_around_the_text_is_allowed():
    assert ClassicKey.from_hex(f"  {HEX}\r\n") == ClassicKey.from_hex(HEX)


def test_the_public_key_is_known_as_such():
    assert ClassicKey.from_hex("ff" * 16 + "00" * 16) == DEFAULT_KEY
    assert DEFAULT_KEY.is_default
    assert not ClassicKey.from_hex(HEX).is_default


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a classic key has 64 hexadecimal characters, this one has 0"),
        (HEX[:-1], "a classic key has 64 hexadecimal characters, this one has 63"),
        (HEX + "0", "a classic key has 64 hexadecimal characters, this one has 65"),
        (HEX[:-1] + "g", "a classic key has only the characters 0-9, a-f and A-F"),
        # bytes.fromhex alone would skip the space and give a shorter key.
        (HEX[:62] + " a", "a classic key has only the characters 0-9, a-f and A-F"),
        (HEX[:63] + "٣", "a classic key has only the characters 0-9, a-f and A-F"),
        (HEX[:32] + "\n" + HEX[33:], "a classic key has only the characters 0-9, a-f and A-F"),
    ],
)
def test_a_bad_key_is_explained_in_one_line(text: str, message: str):
    with pytest.raises(ConfigError) as caught:
        ClassicKey.from_hex(text)
    assert str(caught.value) == message


def test_the_secret_is_not_shown():
    shown = repr(ClassicKey.from_hex(HEX)) + str(ClassicKey.from_hex(HEX))
    assert shown == "ClassicKey()" * 2


@pytest.mark.parametrize("lengths", [(16, 15), (15, 17), (0, 32), (32, 0)])
def test_both_keys_have_sixteen_bytes(lengths: tuple[int, int]):
    with pytest.raises(ValueError, match="16 bytes each"):
        ClassicKey(bytes(lengths[0]), bytes(lengths[1]))
