"""The stream cover: both sides of a connection, any split, hostile bytes."""

import re
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.covers import Cover, Definition, load_definition
from obfsfte.errors import NotOurs, WireError
from obfsfte.regular import Language, Matcher, Prefix
from obfsfte.session.handshake import MIN_HELLO

UP = rb"(?:[a-z]{2,9}[ ,;]){3}(?:[a-z]{2,9}(?: |\n))*"
DOWN = rb"[0-9A-F]*"
TEXT = f"""
kind = "stream"
description = "letters one way, digits the other"
[upstream]
pattern = '{UP.decode()}'
lengths = [250, 170, 201]
[downstream]
pattern = '{DOWN.decode()}'
lengths = [160, 240]
"""
DEFINITION = load_definition(TEXT, "some/dir/both.toml")
UPSTREAM_KEY, DOWNSTREAM_KEY = bytes(range(32)), bytes(range(32, 64))
KEYS = (UPSTREAM_KEY, DOWNSTREAM_KEY)
NOW = 1_800_000_000


def begin(seed: int, definition: Definition = DEFINITION) -> tuple[Cover, bytes, bytes]:
    """A client's cover, its hello's record, and the hello on the wire."""
    random = Random(seed)
    greeting = definition.look({}).greeting(random)
    record = random.randbytes(greeting.record_size(MIN_HELLO))
    assert greeting.record_size(10_000) == len(record) >= MIN_HELLO
    cover = greeting.begin(record, *KEYS)
    wire = b"".join(cover.data_to_send())
    assert cover.data_to_send() == []
    return cover, record, wire


def connect(seed: int, definition: Definition = DEFINITION) -> tuple[Cover, Cover]:
    """Both ends' covers, the hello having gone through."""
    client, record, wire = begin(seed, definition)
    opening = definition.look({}).opening(Random(seed))
    [hello] = [hello for hello in opening.feed(wire) if hello.record == record]
    server = hello.accept(*KEYS, NOW)
    assert server.unwrap(b"") == []
    return client, server


def send(cover: Cover, count: int, random: Random) -> tuple[list[bytes], list[bytes]]:
    """`count` random records and their messages."""
    records, messages = [], []
    for _ in range(count):
        records.append(random.randbytes(cover.record_size(1)))
        messages.append(b"".join(cover.wrap(records[-1])))
    return records, messages


def split(data: bytes, cuts: list[int]) -> list[bytes]:
    edges = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[start:end] for start, end in pairwise(edges)]


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(0, 5000), max_size=30))
def test_records_come_through_in_any_split(seed: int, cuts: list[int]) -> None:
    client, server = connect(seed)
    for sender, receiver in [(server, client), (client, server)]:
        records, messages = send(sender, 8, Random(seed))
        received = []
        taken, ends = 0, {sum(map(len, messages[:n])) for n in range(9)}
        for piece in split(b"".join(messages), cuts):
            received += receiver.unwrap(piece)
            taken += len(piece)
            assert receiver.at_boundary == (taken in ends)
        assert received == records


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 1000), st.lists(st.integers(0, 600), max_size=20))
def test_the_opening_finds_the_hello_in_any_split(seed: int, cuts: list[int]) -> None:
    client, record, wire = begin(seed)
    early_records, early = send(client, 2, Random(seed))
    opening = DEFINITION.look({}).opening(Random(0))
    pieces = iter(split(wire + b"".join(early), cuts))
    taken = 0
    for piece in pieces:
        taken += len(piece)
        assert opening.possible
        found = [hello for hello in opening.feed(piece) if hello.record == record]
        assert bool(found) == (taken >= len(wire))
        if found:
            break
    server = found[0].accept(*KEYS, NOW)
    received = server.unwrap(b"")
    for piece in pieces:
        received += server.unwrap(piece)
    assert received == early_records


def test_every_byte_of_both_directions_is_in_the_language() -> None:
    random = Random(3)
    lengths: dict[bytes, set[int]] = {UP: set(), DOWN: set()}
    for seed in range(30):
        _, _, wire = begin(seed)
        client, server = connect(seed)
        for pattern, messages in [
            (UP, [wire, *send(client, 6, random)[1]]),
            (DOWN, send(server, 6, random)[1]),
        ]:
            assert all(re.fullmatch(pattern, message) for message in messages)
            lengths[pattern] |= {len(message) for message in messages}
    assert lengths == {UP: {170, 201, 250}, DOWN: {160, 240}}


def test_lengths_follow_from_the_keys_and_only_from_them() -> None:
    def lengths(seed: int, *keys: bytes) -> list[int]:
        greeting = DEFINITION.look({}).greeting(Random(seed))
        cover = greeting.begin(bytes(greeting.record_size(0)), *keys)
        return [len(message) for message in send(cover, 40, Random(seed))[1]]

    assert lengths(1, *KEYS) == lengths(2, *KEYS)
    assert lengths(1, *KEYS) != lengths(1, DOWNSTREAM_KEY, UPSTREAM_KEY)


def test_the_hello_has_every_length() -> None:
    assert {len(begin(seed)[2]) for seed in range(40)} == {170, 201, 250}


def test_one_record_twice_gives_different_messages() -> None:
    client, _ = connect(1)
    messages = {b"".join(client.wrap(bytes(client.record_size(0)))) for _ in range(12)}
    assert len(messages) == 12


@pytest.mark.parametrize("difference", [-1, 1])
def test_a_record_of_another_size_is_refused(difference: int) -> None:
    client, _ = connect(1)
    with pytest.raises(ValueError, match="bytes is needed"):
        client.wrap(bytes(client.record_size(0) + difference))
    greeting = DEFINITION.look({}).greeting(Random(1))
    with pytest.raises(ValueError, match="bytes is needed"):
        greeting.begin(bytes(greeting.record_size(0) + difference), *KEYS)


# Strangers and altered bytes


@pytest.mark.parametrize(
    "data",
    [b"GET / HTTP/1.1\r\n\r\n", b"\x16\x03\x01\x02\x00\x01", b"SSH-2.0-x\r\n", b"ab a", b"a" * 10],
)
def test_a_stranger_is_known_at_the_first_impossible_byte(data: bytes) -> None:
    # The oracle: some string of one of the lengths begins with these bytes.
    languages = [Language(UP, length) for length in (170, 201, 250)]
    fits = [
        any(language.test_prefix(data[:end]) is not Prefix.IMPOSSIBLE for language in languages)
        for end in range(len(data) + 1)
    ]
    opening = DEFINITION.look({}).opening(Random(0))
    for end, byte in enumerate(data, 1):
        if fits[end]:
            assert opening.feed(bytes([byte])) == []
        else:
            with pytest.raises(NotOurs):
                opening.feed(bytes([byte]))
            break
    else:
        assert opening.possible


def test_after_the_longest_length_nothing_is_possible() -> None:
    wire = Language(UP, 250).unrank(5) + b"and so on"
    opening = DEFINITION.look({}).opening(Random(0))
    hellos = opening.feed(wire)
    assert hellos
    assert not opening.possible


def test_every_altered_byte_is_noticed() -> None:
    """What unwraps at all to the same record is refused: an attacker cannot test the wire."""
    client, _ = connect(5)
    [record], [message] = send(client, 1, Random(5))
    changed = same = 0
    for position in range(len(message)):
        for replacement in b"ak5 \n\xff":
            altered = bytearray(message)
            altered[position] = replacement
            _, server = connect(5)
            try:
                received = server.unwrap(bytes(altered))
            except WireError:
                continue
            if altered == message:
                same += 1
                assert received == [record]
            else:
                changed += 1
                assert received != [record]  # the session's AEAD refuses this
    assert same
    assert changed


def test_the_place_is_authenticated() -> None:
    """Of a string of hexadecimal digits the first two are nothing but the place."""
    client, server = connect(1)
    _, [message] = send(server, 1, Random(1))
    other = b"1" if message[:1] != b"1" else b"2"
    with pytest.raises(WireError, match="altered"):
        client.unwrap(other + message[1:])


def test_an_altered_hello_is_not_accepted() -> None:
    definition = load_definition(
        "kind='stream'\ndescription='d'\n[upstream]\npattern='[0-9a-f]*'\nlengths=[200]", "x.toml"
    )
    _, record, wire = begin(1, definition)
    altered = (b"1" if wire[:1] != b"1" else b"2") + wire[1:]
    [hello] = definition.look({}).opening(Random(0)).feed(altered)
    assert hello.record == record
    with pytest.raises(NotOurs, match="altered"):
        hello.accept(*KEYS, NOW)


def test_another_key_finds_another_wire() -> None:
    _, record, wire = begin(1)
    [hello] = [h for h in DEFINITION.look({}).opening(Random(0)).feed(wire) if h.record == record]
    with pytest.raises(NotOurs):
        hello.accept(DOWNSTREAM_KEY, UPSTREAM_KEY, NOW)


def test_impossible_bytes_are_refused_before_the_message_is_complete() -> None:
    client, server = connect(1)
    _, [first, second] = send(server, 2, Random(1))
    assert len(client.unwrap(first + second[:20])) == 1
    with pytest.raises(WireError):
        client.unwrap(b"g")


@settings(deadline=None, max_examples=60)
@given(st.integers(0, 20), st.binary(max_size=600), st.lists(st.integers(0, 600), max_size=8))
def test_hostile_bytes_raise_nothing_else(seed: int, data: bytes, cuts: list[int]) -> None:
    client, server = connect(seed)
    for cover in (client, server):
        try:
            for piece in split(data, cuts):
                cover.unwrap(piece)
        except WireError:
            pass
    opening = DEFINITION.look({}).opening(Random(0))
    try:
        for piece in split(data, cuts):
            if opening.possible:
                opening.feed(piece)
    except NotOurs:
        pass


def test_each_byte_is_matched_and_ranked_at_most_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """However the bytes arrive: the worst split costs two passes and keeps one message."""
    matched = ranked = 0
    feed, rank = Matcher.feed, Language.rank

    def counting_feed(self: Matcher, data: bytes) -> Prefix:
        nonlocal matched
        matched += len(data)
        return feed(self, data)

    def counting_rank(self: Language, data: bytes) -> int:
        nonlocal ranked
        ranked += len(data)
        return rank(self, data)

    client, server = connect(2)
    wire = b"".join(send(client, 10, Random(2))[1])
    monkeypatch.setattr(Matcher, "feed", counting_feed)
    monkeypatch.setattr(Language, "rank", counting_rank)
    for position in range(len(wire)):
        server.unwrap(wire[position : position + 1])
    assert ranked == len(wire)
    assert matched <= len(wire)
    matched = ranked = 0
    _, server = connect(2)
    matched = ranked = 0
    server.unwrap(wire)
    assert (matched, ranked) == (0, len(wire))
