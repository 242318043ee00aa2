"""To whoever lacks the bridge's secret, hellos and records are uniform random bytes.

20,000 of each, as alike as can be: one bridge, one time, nothing but padding. The censor is
taken to see records bare, as if every cover could be undone without any key. Random numbers
come from fixed seeds, so the results are always the same; the limits are what a fair
coin exceeds less than once in a thousand runs of the whole file.
"""

from collections import Counter
from math import sqrt
from random import Random

import pytest

from obfsfte.session import noise
from obfsfte.session.handshake import MIN_HELLO, ClientHandshake, ServerHandshake
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.records import RecordType
from obfsfte.session.replay import ReplayFilter
from tests.session.seeded import seeded_key

COUNT = 20_000
KEYS = BridgeKeys.generate(Random(1).randbytes)
NOW = 1_700_000_000


def faults(messages):
    """Where messages of one size are not uniform: a line for each failed chi-square test."""
    size = len(messages[0])
    joined = b"".join(messages)
    bits = []  # chi-square of each bit, with one degree of freedom
    values = []  # of each byte's values, with 255
    for place in range(size):
        counts = Counter(joined[place::size])
        expected = len(messages) / 256
        values.append(sum((counts[value] - expected) ** 2 / expected for value in range(256)))
        for bit in range(8):
            ones = sum(count for value, count in counts.items() if value >> bit & 1)
            bits.append((2 * ones - len(messages)) ** 2 / len(messages))
    found = [f"bit {bit}: {chi:.0f}" for bit, chi in enumerate(bits) if chi > 27]
    found += [f"byte {place}: {chi:.0f}" for place, chi in enumerate(values) if chi > 390]
    # A sum of n values of chi-square has n degrees of freedom, and nearly a normal distribution.
    for name, sum_, degrees in [
        ("bits", sum(bits), len(bits)),
        ("bytes", sum(values), 255 * size),
    ]:
        deviation = (sum_ - degrees) / sqrt(2 * degrees)
        if abs(deviation) > 4.5:
            found.append(f"all {name}: {deviation:.1f} standard deviations")
    return found


def make_client(random):
    nonce = random.randbytes(16)
    return ClientHandshake(KEYS.cert, b"prologue", NOW, nonce, seeded_key(random))


@pytest.fixture(scope="module")
def hellos():
    random = Random(2)
    server = ServerHandshake(KEYS, b"prologue", ReplayFilter())
    client_hellos, server_hellos = [], []
    for _ in range(COUNT):
        client = make_client(random)
        client_hellos.append(client.hello(MIN_HELLO))
        accepted = server.receive(client_hellos[-1], NOW)
        server_hellos.append(accepted.answer(MIN_HELLO, seeded_key(random))[0])
    return client_hellos, server_hellos


def test_client_hellos(hellos):
    assert faults(hellos[0]) == []


def test_server_hellos(hellos):
    assert faults(hellos[1]) == []


def test_both_hellos_of_a_connection_are_independent(hellos):
    # The nonce, and both ephemeral keys under their masks: XOR would show a mask used twice.
    pairs = zip(*hellos, strict=True)
    assert faults([xor(client[16:], server) for client, server in pairs]) == []


def xor(one, other):
    return bytes(a ^ b for a, b in zip(one, other, strict=False))


def test_records():
    client = make_client(Random(3))
    accepted = ServerHandshake(KEYS, b"prologue", ReplayFilter()).receive(
        client.hello(MIN_HELLO), NOW
    )
    answer, session = accepted.answer(MIN_HELLO, seeded_key(Random(4)))
    upstream, downstream = client.receive(answer).sealer, session.sealer
    sent = [upstream.seal(RecordType.PADDING, b"", 64) for _ in range(COUNT)]
    received = [downstream.seal(RecordType.PADDING, b"", 64) for _ in range(COUNT)]
    assert faults(sent) == []
    assert faults(received) == []
    assert faults([xor(*pair) for pair in zip(sent, received, strict=True)]) == []


def test_unmasked_keys_are_found_out():
    random = Random(5)
    keys = []
    for _ in range(1000):
        initiator = noise.Initiator(KEYS.cert.shared, b"", seeded_key(random))
        keys.append(initiator.write_message(b"")[:32])
    assert any(line.startswith("bit 255: ") for line in faults(keys))


def test_a_small_bias_is_found_out():
    random = Random(6)
    biased = [random.randbytes(32) for _ in range(COUNT - 800)] + [bytes(32)] * 800
    assert any(line.startswith("bit ") for line in faults(biased))
    assert any(line.startswith("byte ") for line in faults(biased))
