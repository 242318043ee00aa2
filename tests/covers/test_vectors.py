"""The vectors of the stream cover, against docs/covers.md followed a second time, by hand.

Nothing but the definition's text comes from `obfsfte`. The strings of `hex` are numbers that
Python can read by itself.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import re
import tomllib
from importlib import resources
from typing import Any

import pytest

from tests.vectors import generate

STREAMS = json.loads(generate.STREAM_FILE.read_text())["streams"]


def definition(cover: str) -> dict[str, Any]:
    file = resources.files("obfsfte.covers") / f"{cover}.toml"
    return tomllib.loads(file.read_text("utf-8"))


def test_the_vectors_are_what_the_generator_writes() -> None:
    assert generate.make_stream_document() == generate.STREAM_FILE.read_text()


@pytest.mark.parametrize("vector", STREAMS, ids=lambda vector: vector["cover"])
def test_fingerprints_and_lengths(vector: dict[str, Any]) -> None:
    values = definition(vector["cover"])
    directions = {"upstream": values["upstream"], "downstream": values["upstream"]} | {
        name: values[name] for name in ("downstream",) if name in values
    }
    canonical: dict[str, Any] = {
        name: [each["pattern"], sorted(each["lengths"])] for name, each in directions.items()
    }
    text = json.dumps(canonical | {"kind": "stream"}, sort_keys=True, separators=(",", ":"))
    assert hashlib.sha256(text.encode()).hexdigest() == vector["fingerprint"]
    pattern, lengths = canonical["downstream"]
    key = bytes.fromhex(vector["downstream_cover_key"])
    for number, message in enumerate(vector["downstream_messages"]):
        digest = hmac.digest(key, number.to_bytes(8, "big"), "sha256")
        which = int.from_bytes(digest[:16], "big")
        assert len(message["string"]) == lengths[which % len(lengths)]
        assert re.fullmatch(pattern, message["string"])


def test_strings_of_hexadecimal_digits() -> None:
    (vector,) = (each for each in STREAMS if each["cover"] == "hex")
    key = bytes.fromhex(vector["downstream_cover_key"])
    for number, message in enumerate(vector["downstream_messages"]):
        digits = message["string"].replace("\n", "")
        strings = 16 ** len(digits)
        size = (strings.bit_length() - 1) // 8 - 1
        place, record = divmod(int(digits, 16), 256**size)
        assert record.to_bytes(size, "big").hex() == message["record"]
        digest = hmac.digest(key, number.to_bytes(8, "big"), "sha256")
        drawn = int.from_bytes(digest[16:], "big")
        possible = -(-(strings - record) // 256**size)
        assert place == drawn % possible
