"""What detectors see of first messages: the figures, on messages made for them."""

from __future__ import annotations

from random import Random

import pytest

from obfsfte.covers import Catalogue
from obfsfte.covers.openings import (
    entropy,
    facts_of_first_messages,
    facts_of_uris,
    first_messages,
    is_suspect,
)

#: Half its bytes below 0x20, half above 0x7e, four bits set in each: what the firewall blocks.
ENCRYPTED = bytes([0x0F, 0xF0]) * 50


@pytest.mark.parametrize(
    ("text", "bits"), [(b"aaaa", 0), (b"abab", 1), (b"abcd", 2), (bytes(range(256)), 8)]
)
def test_entropy(text: bytes, bits: float) -> None:
    assert entropy(text) == pytest.approx(bits)


def test_first_messages_are_counted() -> None:
    messages = [b"GET / HTTP/1.1", b"get / HTTP/1.1\r\n", ENCRYPTED, b"\x16\x03\x01" + ENCRYPTED]
    lengths, blocked = facts_of_first_messages([*messages, ENCRYPTED])
    assert lengths.startswith(
        "first messages of 5 connections: 14 to 103 bytes; 4 lengths, the commonest in 40.0%; "
    )
    assert blocked.startswith("of these 2 would be blocked as fully encrypted (Wu et al. 2023); ")
    assert blocked.endswith("exempt: 2 by Ex2, 1 by Ex5")


def test_uris_are_counted() -> None:
    varied = "".join(map(chr, range(0x30, 0x7B))).encode()
    messages = [b"GET %b HTTP/1.1\r\n" % uri for uri in (b"/a", b"/" + b"a" * 238, varied)]
    [line] = facts_of_uris([*messages, b"x /a HTTP/1.1\r\n", b"GET /a"])
    assert line.startswith("URIs of 2 to 239 bytes, with an entropy of 0.")
    assert line.endswith(" flags 2 of 3")
    assert facts_of_uris([ENCRYPTED]) == []


def test_what_fteproxy_sends_is_suspect() -> None:
    """239 bytes, and what a random string of letters, digits and a few more has of entropy."""
    random = Random(1)
    letters = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.?=&%"
    assert is_suspect(bytes(random.choices(letters, k=239)))
    assert is_suspect(b"a" * 239)
    assert not is_suspect(b"/index.html")


@pytest.mark.parametrize("cover", ["hex", "http", "http-api", "websocket", "websocket-api"])
def test_first_messages_are_those_of_clients(cover: str) -> None:
    definition = Catalogue().get(cover)
    messages = first_messages(definition, {}, Random(3), 50)
    assert len({*messages}) == 50
    for message in messages:
        assert definition.look({}).opening(Random(4)).feed(message)
