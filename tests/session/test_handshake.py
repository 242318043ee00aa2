from random import Random

import pytest
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.errors import AuthenticationFailed, NotOurs
from obfsfte.session.handshake import (
    MAX_HELLO,
    MIN_HELLO,
    ClientHandshake,
    ServerHandshake,
    session_prologue,
)
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.records import RecordType
from obfsfte.session.replay import WINDOW, ReplayFilter
from tests.session import independent
from tests.session.points import SMALL_ORDER
from tests.session.seeded import seeded_key

KEYS = BridgeKeys.generate(Random(1).randbytes)
PROLOGUE = session_prologue("cover", bytes(32))
NOW = 1_700_000_000


def make_client(seed=2, cert=KEYS.cert, prologue=PROLOGUE, now=NOW):
    random = Random(seed)
    return ClientHandshake(cert, prologue, now, random.randbytes(16), seeded_key(random))


def make_server(keys=KEYS, prologue=PROLOGUE, seen=None):
    return ServerHandshake(keys, prologue, seen or ReplayFilter())


def key(seed=3):
    return seeded_key(Random(seed))


def flip(message, bit):
    altered = bytearray(message)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


sizes = st.integers(MIN_HELLO, 3000) | st.just(MAX_HELLO)


@settings(deadline=None, max_examples=30)
@given(sizes, sizes, st.binary(max_size=100))
def test_both_sides_agree(hello_size, answer_size, payload):
    client = make_client()
    hello = client.hello(hello_size)
    assert len(hello) == hello_size
    accepted = make_server().receive(hello, NOW + 5)
    answer, server_session = accepted.answer(answer_size, key())
    assert len(answer) == answer_size
    client_session = client.receive(answer)
    assert client_session.peer_time == NOW + 5
    assert server_session.peer_time == NOW
    assert client.cover_keys == accepted.cover_keys
    for one, other in [(client_session, server_session), (server_session, client_session)]:
        record = one.sealer.seal(RecordType.DATA, payload, 200)
        assert other.opener.open(record) == (RecordType.DATA, payload)


def test_handshakes_of_one_bridge_do_not_meet():
    """They share what is prepared of its keys, go on in turns, and one of them fails."""
    numbers = range(4)
    clients = [make_client(seed) for seed in numbers]
    server = make_server()
    hellos = [client.hello(MIN_HELLO) for client in clients]
    with pytest.raises(NotOurs):
        server.receive(flip(hellos[2], 300), NOW)
    accepted = {number: server.receive(hellos[number], NOW) for number in reversed(numbers)}
    answers, server_sessions = zip(
        *(accepted[n].answer(MIN_HELLO, key(n)) for n in numbers), strict=True
    )
    sessions = [clients[number].receive(answers[number]) for number in numbers]
    records = [session.sealer.seal(RecordType.DATA, b"up", 50) for session in sessions]
    assert len({*records}) == len(numbers)
    for session, record in zip(server_sessions, records, strict=True):
        assert session.opener.open(record) == (RecordType.DATA, b"up")
    # The first one says what it would say alone.
    assert make_client(0).hello(MIN_HELLO) == hellos[0]
    assert make_server().receive(hellos[0], NOW).answer(MIN_HELLO, key(0))[0] == answers[0]


@pytest.mark.parametrize("size", [0, MIN_HELLO - 1, MAX_HELLO + 1])
def test_sizes_that_hold_no_hello(size):
    with pytest.raises(ValueError, match=f"not {size}"):
        make_client().hello(size)
    accepted = make_server().receive(make_client().hello(MIN_HELLO), NOW)
    with pytest.raises(ValueError, match=f"not {size}"):
        accepted.answer(size, key())
    with pytest.raises(NotOurs):
        make_server().receive(bytes(size), NOW)


def test_cover_keys_are_hkdf_of_secret_and_nonce():
    client = make_client()
    nonce = client.hello(MIN_HELLO)[:16]
    for direction in ("upstream", "downstream"):
        info = f"obfsfte 1 {direction} cover".encode()
        key = HKDF(SHA256(), 32, nonce, info).derive(KEYS.secret)
        assert getattr(client.cover_keys, direction) == key
        assert key.hex() not in repr(client.cover_keys)
        assert repr(key) not in repr(client.cover_keys)


def test_cover_keys_are_known_before_the_hello():
    client = make_client()
    before = client.cover_keys
    client.hello(MIN_HELLO)
    assert client.cover_keys == before


def test_the_prologue_tells_every_cover_and_definition_apart():
    assert session_prologue("http", b"f" * 32) == b"obfsfte session 1\0http\0" + b"f" * 32
    hello = make_client().hello(MIN_HELLO)
    for prologue in [session_prologue("covers", bytes(32)), session_prologue("cover", b"1" * 32)]:
        with pytest.raises(NotOurs):
            make_server(prologue=prologue).receive(hello, NOW)


def test_a_hello_for_another_bridge_is_not_ours():
    other = BridgeKeys.generate(Random(4).randbytes)
    for keys in [
        other,
        BridgeKeys(KEYS.private_key, other.secret),
        BridgeKeys(other.private_key, KEYS.secret),
    ]:
        with pytest.raises(NotOurs):
            make_server().receive(make_client(cert=keys.cert).hello(MIN_HELLO), NOW)


def test_every_bit_of_the_client_hello_is_authenticated():
    hello = make_client().hello(MIN_HELLO + 5)
    seen = ReplayFilter()
    server = make_server(seen=seen)
    for bit in range(8 * len(hello)):
        with pytest.raises(NotOurs):
            server.receive(flip(hello, bit), NOW)
    for altered in [hello[:size] for size in range(len(hello))] + [hello + b"\0", hello * 2]:
        with pytest.raises(NotOurs):
            server.receive(altered, NOW)
    assert seen.size == 0  # strangers cost no memory
    server.receive(hello, NOW)  # and a hello is still welcome after wrong guesses


def test_every_bit_of_the_server_hello_is_authenticated():
    hello = make_client().hello(MIN_HELLO)
    answer, _ = make_server().receive(hello, NOW).answer(MIN_HELLO, key())
    altered = [flip(answer, bit) for bit in range(8 * len(answer))]
    altered += [answer[:size] for size in range(len(answer))] + [answer + b"\0", hello]
    for wrong in altered:
        client = make_client()
        client.hello(MIN_HELLO)
        with pytest.raises(AuthenticationFailed):
            client.receive(wrong)


def test_an_answer_to_another_hello_is_refused():
    first, second = make_client(seed=5), make_client(seed=6)
    answer, _ = make_server().receive(first.hello(MIN_HELLO), NOW).answer(MIN_HELLO, key())
    second.hello(MIN_HELLO)
    with pytest.raises(AuthenticationFailed):
        second.receive(answer)


def test_a_hello_is_answered_once():
    hello = make_client().hello(MIN_HELLO)
    seen = ReplayFilter()
    make_server(seen=seen).receive(hello, NOW)
    for later in (0, 1, WINDOW, WINDOW + 1, 10 * WINDOW):
        with pytest.raises(NotOurs):
            make_server(seen=seen).receive(hello, NOW + later)


@pytest.mark.parametrize("difference", [-WINDOW, WINDOW])
def test_clocks_may_differ_by_the_window_and_no_more(difference):
    hello = make_client().hello(MIN_HELLO)
    make_server().receive(hello, NOW + difference)
    with pytest.raises(NotOurs):
        make_server().receive(hello, NOW + difference + (1 if difference > 0 else -1))


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_an_ephemeral_key_that_gives_no_secret_is_not_ours(point):
    nonce = b"n" * 16
    mask = independent.derive(KEYS.secret, nonce, b"client mask")
    with pytest.raises(NotOurs):
        make_server().receive(nonce + independent.masked(point + bytes(26), mask), NOW)


@pytest.mark.parametrize("size", [MIN_HELLO, 700])
def test_an_independent_client(size):
    client = independent.Client(
        KEYS.cert.public_key, KEYS.secret, PROLOGUE, b"n" * 16, Random(5).randbytes(32)
    )
    accepted = make_server().receive(client.hello(1, NOW, size), NOW + 1)
    answer, session = accepted.answer(size, key())
    version, server_time, records = client.receive(answer)
    assert (version, server_time) == (1, NOW + 1)
    check_records(records, session)


@pytest.mark.parametrize("size", [MIN_HELLO, 700])
def test_an_independent_server(size):
    client = make_client()
    server = independent.Server(KEYS.private_key, KEYS.secret, PROLOGUE, Random(6).randbytes(32))
    assert server.receive(client.hello(size)) == (1, NOW)
    answer, records = server.answer(1, NOW + 2, size)
    session = client.receive(answer)
    assert session.peer_time == NOW + 2
    check_records(records, session)


def check_records(records, session):
    for number in range(2 * independent.REKEY_INTERVAL + 10):
        payload = number.to_bytes(2, "big")
        record = session.sealer.seal(RecordType.DATA, payload, 30)
        assert records.open(record) == (RecordType.DATA, payload)
        assert session.opener.open(records.seal(0, payload, 30)) == (RecordType.DATA, payload)


def independent_client(nonce=b"n" * 16):
    return independent.Client(
        KEYS.cert.public_key, KEYS.secret, PROLOGUE, nonce, Random(7).randbytes(32)
    )


def test_a_client_of_a_later_version_is_answered_in_this_one():
    client = independent_client()
    hello = client.hello(2, NOW, 200, flags=0xFF, filling=b"x")
    answer, _ = make_server().receive(hello, NOW).answer(MIN_HELLO, key())
    assert client.receive(answer)[0] == 1


def test_there_is_no_version_0():
    with pytest.raises(NotOurs):
        make_server().receive(independent_client().hello(0, NOW, 200), NOW)


@pytest.mark.parametrize("version", [0, 2])
def test_the_server_cannot_choose_a_version_that_was_not_offered(version):
    client = make_client()
    server = independent.Server(KEYS.private_key, KEYS.secret, PROLOGUE, b"e" * 32)
    server.receive(client.hello(MIN_HELLO))
    with pytest.raises(AuthenticationFailed, match="not offered"):
        client.receive(server.answer(version, NOW, 100)[0])


def test_a_server_hello_of_the_right_version_may_say_more():
    client = make_client()
    server = independent.Server(KEYS.private_key, KEYS.secret, PROLOGUE, b"e" * 32)
    server.receive(client.hello(MIN_HELLO))
    client.receive(server.answer(1, NOW, 100, flags=0x80, filling=b"x")[0])


def test_a_server_hello_without_room_for_its_fields_is_refused():
    client = make_client()
    server = independent.Server(KEYS.private_key, KEYS.secret, PROLOGUE, b"e" * 32)
    server.receive(client.hello(MIN_HELLO))
    message = bytes(server._noise.write_message(b"\x01" + bytes(8)))
    mask = independent.derive(KEYS.secret, server._nonce, b"server mask")
    with pytest.raises(AuthenticationFailed, match="without its fields"):
        client.receive(independent.masked(message, mask))


def test_any_time_that_the_field_can_hold():
    for client_time in (0, 2**64 - 1):
        with pytest.raises(NotOurs):
            make_server().receive(make_client(now=client_time).hello(MIN_HELLO), NOW)


def test_nothing_here_shows_a_secret():
    client = make_client()
    accepted = make_server().receive(client.hello(MIN_HELLO), NOW)
    for thing in (client, accepted, accepted.answer(MIN_HELLO, key())[1]):
        assert repr(KEYS.secret) not in repr(thing)
