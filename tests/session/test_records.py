from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.errors import AuthenticationFailed, WireError
from obfsfte.session.noise import CipherState
from obfsfte.session.records import (
    MAX_PAYLOAD,
    OVERHEAD,
    REKEY_INTERVAL,
    Opener,
    RecordType,
    Sealer,
)

DATA, PADDING, END, HOLD = RecordType
KEY = b"k" * 32


def make_pair():
    return Sealer(CipherState(KEY)), Opener(CipherState(KEY))


contents = st.one_of(
    st.tuples(st.just(DATA), st.binary(max_size=300)),
    st.sampled_from([(PADDING, b""), (HOLD, b""), (END, b"")]),
)


@settings(deadline=None)
@given(st.lists(st.tuples(contents, st.integers(0, 100))))
def test_what_is_sealed_opens(records):
    sealer, opener = make_pair()
    ended = False
    for (kind, payload), padding in records:
        size = OVERHEAD + len(payload) + padding
        if ended and kind in (DATA, END):
            with pytest.raises(RuntimeError):
                sealer.seal(kind, payload, size)
            continue
        ended = ended or kind is END
        record = sealer.seal(kind, payload, size)
        assert len(record) == size
        assert opener.open(record) == (kind, payload)
        assert opener.ended is ended


def test_a_payload_need_not_be_copied():
    sealer, opener = make_pair()
    data = bytes(range(256))
    for payload in (memoryview(data)[1:101], memoryview(bytearray(data))[1:101]):
        assert opener.open(sealer.seal(DATA, payload, 200)) == (DATA, data[1:101])


@pytest.mark.parametrize("length", [1 << 16, (1 << 18) + 5, MAX_PAYLOAD])
def test_large_records(length):
    sealer, opener = make_pair()
    payload = Random(1).randbytes(length)
    assert opener.open(sealer.seal(DATA, payload, OVERHEAD + length)) == (DATA, payload)


@pytest.mark.parametrize(
    ("kind", "payload", "size"),
    [
        (DATA, b"", OVERHEAD - 1),
        (DATA, b"x", OVERHEAD),
        (PADDING, b"x", 100),
        (HOLD, b"x", 100),
        (END, b"x", 100),
        (DATA, bytes(MAX_PAYLOAD + 1), MAX_PAYLOAD + 1 + OVERHEAD),
    ],
)
def test_what_no_record_can_carry(kind, payload, size):
    sealer, opener = make_pair()
    with pytest.raises(ValueError, match=r"a record of"):
        sealer.seal(kind, payload, size)
    assert opener.open(sealer.seal(DATA, b"next", 30)) == (DATA, b"next")


def test_keys_are_replaced_on_schedule():
    sealer, opener = make_pair()
    reference = CipherState(KEY)
    for number in range(3 * REKEY_INTERVAL + 1):
        if number in (REKEY_INTERVAL, 2 * REKEY_INTERVAL, 3 * REKEY_INTERVAL):
            reference.rekey()
        record = sealer.seal(DATA, b"x", 21)
        assert record == reference.encrypt_with_ad(b"", b"\0\0\0\1x")
        assert opener.open(record) == (DATA, b"x")


def records_and_opener():
    sealer, opener = make_pair()
    return [sealer.seal(DATA, b"payload %d" % number, 40) for number in range(4)], opener


def check_refused(opener, *records, error=AuthenticationFailed):
    """All records but the last open; the last does not, nor does anything after it."""
    for record in records[:-1]:
        opener.open(record)
    with pytest.raises(error):
        opener.open(records[-1])
    good = records_and_opener()[0]
    for record in [*records, *good]:
        with pytest.raises(AuthenticationFailed):
            opener.open(record)


def test_every_bit_is_authenticated():
    for bit in range(8 * 40):
        records, opener = records_and_opener()
        altered = bytearray(records[1])
        altered[bit // 8] ^= 1 << bit % 8
        check_refused(opener, records[0], bytes(altered))


def test_truncated_and_extended_records():
    for size in range(40):
        records, opener = records_and_opener()
        check_refused(opener, records[0], records[1][:size])
    records, opener = records_and_opener()
    check_refused(opener, records[0], records[1] + b"\0")
    records, opener = records_and_opener()
    check_refused(opener, records[0] + records[1])


@pytest.mark.parametrize("order", [(0, 0), (1,), (0, 2), (0, 1, 0), (3,)])
def test_repeated_dropped_and_swapped_records(order):
    records, opener = records_and_opener()
    check_refused(opener, *[records[number] for number in order])


def test_records_of_the_other_direction_or_another_session():
    records, _ = records_and_opener()
    check_refused(Opener(CipherState(b"o" * 32)), records[0])


@settings(deadline=None)
@given(st.binary(max_size=100))
def test_random_bytes(record):
    check_refused(make_pair()[1], record)


def seal_anything(plaintext):
    return CipherState(KEY).encrypt_with_ad(None, plaintext)


@pytest.mark.parametrize(
    "plaintext",
    [
        b"",
        b"\0\0\0",
        b"\0\0\0\1",
        b"\0\xff\xff\xffx",
        b"\4\0\0\0",
        b"\xff\0\0\0",
        b"\1\0\0\1x",
        b"\2\0\0\1x",
        b"\3\0\0\1x",
        b"\0\0\0\1x\1",
        b"\0\0\0\1x" + bytes(100) + b"\1",
        b"\1\0\0\0" + bytes(100) + b"\x80" + bytes(100),
    ],
    ids=bytes.hex,
)
def test_what_no_honest_peer_seals(plaintext):
    check_refused(make_pair()[1], seal_anything(plaintext), error=WireError)


@pytest.mark.parametrize("kind", [DATA, END])
def test_only_padding_and_holds_follow_the_end(kind):
    sealer, opener = make_pair()
    records = [sealer.seal(each, b"", 20) for each in (END, PADDING, HOLD)]
    # A dishonest peer forgets that its stream has ended.
    sealer._ended = False
    records.append(sealer.seal(kind, b"", 30))
    check_refused(opener, *records, error=WireError)
    assert opener.ended


def test_a_refused_end_does_not_end():
    opener = make_pair()[1]
    check_refused(opener, seal_anything(b"\2\0\0\0\1"), error=WireError)
    assert not opener.ended
