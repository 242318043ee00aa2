"""docs/protocol.md implemented a second time, on `noiseprotocol` and cryptography's HKDF.

Nothing here comes from `obfsfte`. Ephemeral keys and nonces are the caller's.
"""

import struct
import warnings

from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from tests.libraries import library

noiseprotocol = library("noise.connection")

REKEY_INTERVAL = 4096


def derive(secret, nonce, label):
    info = b"obfsfte 1 " + label
    return HKDF(algorithm=SHA256(), length=32, salt=nonce, info=info).derive(secret)


def masked(message, mask):
    return bytes(a ^ b for a, b in zip(message[:32], mask, strict=True)) + message[32:]


def make_prologue(cover, fingerprint):
    return b"obfsfte session 1" + b"\x00" + cover.encode() + b"\x00" + fingerprint


def noise_connection(psk, prologue, ephemeral):
    connection = noiseprotocol.NoiseConnection.from_name(b"Noise_NKpsk0_25519_AESGCM_SHA256")
    connection.set_prologue(prologue)
    connection.set_psks(psk=psk)
    connection.set_keypair_from_private_bytes(noiseprotocol.Keypair.EPHEMERAL, ephemeral)
    return connection


def start(connection):
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", "One of ephemeral keypairs is already set")
        connection.start_handshake()


class Records:
    """Both directions' records of one side, on a finished NoiseConnection."""

    def __init__(self, connection):
        self._connection = connection
        self._sealed = self._opened = 0

    def seal(self, kind, payload, size):
        if self._sealed and self._sealed % REKEY_INTERVAL == 0:
            self._connection.rekey_outbound_cipher()
        self._sealed += 1
        plaintext = bytes([kind]) + len(payload).to_bytes(3, "big") + payload
        return bytes(self._connection.encrypt(plaintext.ljust(size - 16, b"\x00")))

    def open(self, record):
        if self._opened and self._opened % REKEY_INTERVAL == 0:
            self._connection.rekey_inbound_cipher()
        self._opened += 1
        plaintext = bytes(self._connection.decrypt(record))
        length = int.from_bytes(plaintext[1:4], "big")
        assert not any(plaintext[4 + length :])
        return plaintext[0], plaintext[4 : 4 + length]


class Client:
    def __init__(self, public_key, secret, prologue, nonce, ephemeral):
        self._secret = secret
        self._nonce = nonce
        self._noise = noise_connection(secret, prologue + nonce, ephemeral)
        self._noise.set_as_initiator()
        self._noise.set_keypair_from_public_bytes(noiseprotocol.Keypair.REMOTE_STATIC, public_key)
        start(self._noise)

    def hello(self, version, now, size, *, flags=0, filling=b"\x00"):
        payload = struct.pack(">BBQ", version, flags, now).ljust(size - 64, filling)
        message = bytes(self._noise.write_message(payload))
        return self._nonce + masked(message, derive(self._secret, self._nonce, b"client mask"))

    def receive(self, hello):
        """The server's version and time, and the records."""
        message = masked(hello, derive(self._secret, self._nonce, b"server mask"))
        version, _, now = struct.unpack_from(">BBQ", self._noise.read_message(message))
        return version, now, Records(self._noise)


class Server:
    def __init__(self, private_key, secret, prologue, ephemeral):
        self._private_key = private_key
        self._secret = secret
        self._prologue = prologue
        self._ephemeral = ephemeral

    def receive(self, hello):
        """The client's version and time."""
        self._nonce = hello[:16]
        self._noise = noise_connection(self._secret, self._prologue + self._nonce, self._ephemeral)
        self._noise.set_as_responder()
        self._noise.set_keypair_from_private_bytes(noiseprotocol.Keypair.STATIC, self._private_key)
        start(self._noise)
        message = masked(hello[16:], derive(self._secret, self._nonce, b"client mask"))
        version, _, now = struct.unpack_from(">BBQ", self._noise.read_message(message))
        return version, now

    def answer(self, version, now, size, *, flags=0, filling=b"\x00"):
        payload = struct.pack(">BBQ", version, flags, now).ljust(size - 48, filling)
        message = bytes(self._noise.write_message(payload))
        hello = masked(message, derive(self._secret, self._nonce, b"server mask"))
        return hello, Records(self._noise)
