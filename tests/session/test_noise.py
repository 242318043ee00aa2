from random import Random

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from obfsfte.errors import AuthenticationFailed
from obfsfte.session import noise
from tests.libraries import library
from tests.session.points import SMALL_ORDER
from tests.session.seeded import seeded_key

noiseprotocol = library("noise.connection")

PSK = bytes(range(32))
PROLOGUE = b"prologue"
EPHEMERAL = X25519PrivateKey.from_private_bytes(b"e" * 32)


def make_pair(seed=0):
    random = Random(seed)
    static = X25519PrivateKey.from_private_bytes(random.randbytes(32))
    shared = noise.PreShared.of(noise.public_bytes(static), PSK)
    return (
        noise.Initiator(shared, PROLOGUE, seeded_key(random)),
        noise.Responder(shared, PROLOGUE, static),
    )


def shake_hands(initiator, responder, payloads=(b"one", b"two")):
    assert responder.read_message(initiator.write_message(payloads[0])) == payloads[0]
    assert initiator.read_message(responder.write_message(payloads[1], EPHEMERAL)) == payloads[1]
    return initiator.split(), responder.split()


@pytest.mark.parametrize("ours", ["initiator", "responder"])
def test_interoperates_with_noiseprotocol(ours):
    theirs = noiseprotocol.NoiseConnection.from_name(noise.PROTOCOL_NAME)
    theirs.set_prologue(PROLOGUE)
    theirs.set_psks(psk=PSK)
    static = X25519PrivateKey.from_private_bytes(b"s" * 32)
    shared = noise.PreShared.of(noise.public_bytes(static), PSK)
    if ours == "initiator":
        theirs.set_as_responder()
        theirs.set_keypair_from_private_bytes(noiseprotocol.Keypair.STATIC, b"s" * 32)
        theirs.start_handshake()
        initiator = noise.Initiator(shared, PROLOGUE, EPHEMERAL)
        assert theirs.read_message(initiator.write_message(b"one")) == b"one"
        assert initiator.read_message(bytes(theirs.write_message(b"two"))) == b"two"
        sending, receiving = initiator.split()
    else:
        theirs.set_as_initiator()
        theirs.set_keypair_from_public_bytes(
            noiseprotocol.Keypair.REMOTE_STATIC, noise.public_bytes(static)
        )
        theirs.start_handshake()
        responder = noise.Responder(shared, PROLOGUE, static)
        assert responder.read_message(bytes(theirs.write_message(b"one"))) == b"one"
        assert theirs.read_message(responder.write_message(b"two", EPHEMERAL)) == b"two"
        sending, receiving = responder.split()
    for number in range(10):
        message = b"message %d" % number
        assert theirs.decrypt(sending.encrypt_with_ad(b"", message)) == message
        assert receiving.decrypt_with_ad(b"", bytes(theirs.encrypt(message))) == message
        sending.rekey()
        receiving.rekey()
        theirs.rekey_inbound_cipher()
        theirs.rekey_outbound_cipher()


def test_prologue_psk_and_static_key_must_agree():
    static = X25519PrivateKey.from_private_bytes(b"s" * 32)
    public = noise.public_bytes(static)
    other = noise.public_bytes(X25519PrivateKey.from_private_bytes(b"t" * 32))
    shared = noise.PreShared.of(public, PSK)
    for theirs, prologue in [
        (noise.PreShared.of(other, PSK), PROLOGUE),
        (noise.PreShared.of(public, b"p" * 32), PROLOGUE),
        (shared, b""),
    ]:
        message = noise.Initiator(theirs, prologue, EPHEMERAL).write_message(b"")
        with pytest.raises(AuthenticationFailed):
            noise.Responder(shared, PROLOGUE, static).read_message(message)


def test_every_bit_of_both_messages_is_authenticated():
    initiator, _ = make_pair()
    message = initiator.write_message(b"payload")
    for bit in range(8 * len(message)):
        with pytest.raises(AuthenticationFailed):
            make_pair()[1].read_message(flip(message, bit))
    responder = make_pair()[1]
    responder.read_message(message)
    answer = responder.write_message(b"payload", EPHEMERAL)
    for bit in range(8 * len(answer)):
        initiator, _ = make_pair()
        initiator.write_message(b"payload")
        with pytest.raises(AuthenticationFailed):
            initiator.read_message(flip(answer, bit))


def flip(message, bit):
    altered = bytearray(message)
    altered[bit // 8] ^= 1 << bit % 8
    return bytes(altered)


def test_messages_of_impossible_sizes_are_refused():
    message = make_pair()[0].write_message(b"payload")
    for altered in [message[:size] for size in range(len(message))] + [message + b"\0"]:
        with pytest.raises(AuthenticationFailed):
            make_pair()[1].read_message(altered)
    initiator, responder = make_pair()
    initiator._check_size = lambda size: None
    message = initiator.write_message(bytes(noise.MAX_MESSAGE - 47))
    with pytest.raises(AuthenticationFailed):
        responder.read_message(message)
    with pytest.raises(ValueError, match="65488"):
        make_pair()[0].write_message(bytes(noise.MAX_MESSAGE - 47))


def test_the_longest_message():
    payload = bytes(noise.MAX_MESSAGE - 48)
    shake_hands(*make_pair(), payloads=(payload, payload))


@pytest.mark.parametrize("point", SMALL_ORDER, ids=bytes.hex)
def test_all_zero_shared_secrets_are_refused(point):
    static = X25519PrivateKey.from_private_bytes(b"s" * 32)
    shared = noise.PreShared.of(noise.public_bytes(static), PSK)
    # As whoever knows the psk would send it: sealed with the all-zero secret itself.
    state = noise._Handshake(shared, PROLOGUE)
    state._mix_ephemeral(point)
    state._state.mix_key(bytes(32))
    message = point + state._state.encrypt_and_hash(b"")
    with pytest.raises(AuthenticationFailed, match="no shared secret"):
        noise.Responder(shared, PROLOGUE, static).read_message(message)

    initiator = noise.Initiator(shared, PROLOGUE, EPHEMERAL)
    initiator.write_message(b"")
    with pytest.raises(AuthenticationFailed, match="no shared secret"):
        initiator.read_message(point + bytes(16))
    with pytest.raises(AuthenticationFailed, match="no shared secret"):
        noise.Initiator(noise.PreShared.of(point, PSK), PROLOGUE, EPHEMERAL).write_message(b"")


def test_rekey_is_the_specification_s():
    cipher = noise.CipherState(b"k" * 32)
    cipher.encrypt_with_ad(None, b"")
    cipher.rekey()
    maximum = bytes(4) + b"\xff" * 8
    key = AESGCM(b"k" * 32).encrypt(maximum, bytes(32), b"")[:32]
    expected = AESGCM(key).encrypt(bytes(11) + b"\x01", b"plaintext", b"ad")
    assert cipher.encrypt_with_ad(b"ad", b"plaintext") == expected


def test_the_last_nonce_is_not_used():
    (sender, _), (_, receiver) = shake_hands(*make_pair())
    sender._n = receiver._n = 2**64 - 2
    assert receiver.decrypt_with_ad(None, sender.encrypt_with_ad(None, b"last")) == b"last"
    with pytest.raises(OverflowError):
        sender.encrypt_with_ad(None, b"one more")
    with pytest.raises(AuthenticationFailed):
        receiver.decrypt_with_ad(None, bytes(16))


def test_a_message_that_fails_does_not_count():
    (sender, _), (_, receiver) = shake_hands(*make_pair())
    message = sender.encrypt_with_ad(None, b"message")
    for wrong in [b"", message[:-1], bytes(23)]:
        with pytest.raises(AuthenticationFailed):
            receiver.decrypt_with_ad(None, wrong)
    assert receiver.decrypt_with_ad(None, message) == b"message"
