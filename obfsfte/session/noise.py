"""Noise_NKpsk0_25519_AESGCM_SHA256, as the Noise specification (revision 34) defines it.

    <- s                      the client knows the server's static key
    ...
    -> psk, e, es             Initiator.write_message    Responder.read_message
    <- e, ee                  Initiator.read_message     Responder.write_message

    +------------------+----------------------------+
    | e: 32 bytes      | payload, sealed: n + 16    |      both messages
    +------------------+----------------------------+

One pattern, one cipher, one hash: what the specification leaves open for others is
absent. The pattern begins with `psk`, so a key is set before anything is encrypted, and
the specification's unencrypted payloads do not occur. Names and section numbers are the
specification's; an all-zero X25519 output is refused (section 12.1 permits that,
RFC 7748 section 6.1 asks for it).
"""

from __future__ import annotations

import hashlib
import hmac
from typing import Literal

import attrs
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from obfsfte.errors import AuthenticationFailed

PROTOCOL_NAME = b"Noise_NKpsk0_25519_AESGCM_SHA256"
KEY_SIZE = 32
TAG_SIZE = 16
#: The longest handshake message that Noise allows (section 3).
MAX_MESSAGE = 65535

#: A number as AES-GCM's nonce: 32 zero bits, then the number in 64 (section 12.3).
_NONCE_FORM: tuple[int, Literal["big"]] = (12, "big")
#: Reserved for REKEY; no message is ever sealed under it (section 5.1).
_MAX_NONCE = 2**64 - 1


def public_bytes(private_key: X25519PrivateKey) -> bytes:
    """The 32 bytes of the public key that belongs to `private_key`."""
    return private_key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


def _dh(private_key: X25519PrivateKey, public_key: X25519PublicKey) -> bytes:
    try:
        return private_key.exchange(public_key)
    except ValueError:  # the output is all zero: a point of small order
        raise AuthenticationFailed("the peer's key gives no shared secret") from None


def _takes_views() -> bool:
    try:
        AESGCM(bytes(KEY_SIZE)).encrypt(bytes(12), memoryview(b""), None)
    except TypeError:
        return False
    return True


#: Whether this version of cryptography reads bytes where they are; the older ones do not.
_TAKES_VIEWS = _takes_views()


class CipherState:
    """An AES-256-GCM key and the counter of messages under it (section 5.1)."""

    __slots__ = ("_aead", "_n")

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._n = 0

    def encrypt_with_ad(self, ad: bytes | None, plaintext: bytes) -> bytes:
        """Seal one message; the result is 16 bytes longer."""
        if self._n == _MAX_NONCE:
            raise OverflowError("this key has sealed all the messages that it may")
        ciphertext = self._aead.encrypt(self._n.to_bytes(*_NONCE_FORM), plaintext, ad)
        self._n += 1
        return ciphertext

    def decrypt_with_ad(self, ad: bytes | None, ciphertext: bytes | memoryview) -> bytes:
        """Open the next message. Raises AuthenticationFailed, and then has not moved on."""
        if self._n == _MAX_NONCE:
            raise AuthenticationFailed("no message may follow under this key")
        if not _TAKES_VIEWS:
            ciphertext = bytes(ciphertext)
        try:
            plaintext = self._aead.decrypt(self._n.to_bytes(*_NONCE_FORM), ciphertext, ad)
        except (InvalidTag, ValueError):  # ValueError: shorter than a tag, in some versions
            raise AuthenticationFailed("a message was altered, or sealed otherwise") from None
        self._n += 1
        return plaintext

    def rekey(self) -> None:
        """Replace the key by a function of itself; the counter goes on (section 4.2)."""
        key = self._aead.encrypt(_MAX_NONCE.to_bytes(*_NONCE_FORM), bytes(KEY_SIZE), None)
        self._aead = AESGCM(key[:KEY_SIZE])


@attrs.frozen(repr=False, eq=False)
class PreShared:
    """What both sides have before a handshake, made ready for all of them, once.

    The first token, `psk`, is mixed into a chaining key that is still the protocol's name, so what
    becomes of it is the same in each handshake. It is as secret as the psk.
    """

    #: The responder's static key, `s`, as bytes and as a key.
    static_bytes: bytes
    static: X25519PublicKey
    #: MixKeyAndHash of the psk gives these, and a key that the next token replaces.
    chaining_key: bytes
    extra_hash: bytes

    @classmethod
    def of(cls, static: bytes, psk: bytes) -> PreShared:
        """Make them of the responder's static key and the psk."""
        chaining_key, extra_hash = _hkdf(PROTOCOL_NAME, psk)
        return cls(static, X25519PublicKey.from_public_bytes(static), chaining_key, extra_hash)


class SymmetricState:
    """The transcript hash `h` and the chain of secrets `ck` (section 5.2), after `psk`."""

    __slots__ = ("_cipher", "_ck", "_h")

    def __init__(self, prologue: bytes, shared: PreShared) -> None:
        self._ck = shared.chaining_key
        # The name is as long as the hash, so it is its own first value.
        self._h = PROTOCOL_NAME
        for data in (prologue, shared.static_bytes, shared.extra_hash):
            self.mix_hash(data)
        self._cipher: CipherState

    def mix_key(self, input_key_material: bytes) -> None:
        self._ck, key = _hkdf(self._ck, input_key_material)
        self._cipher = CipherState(key)

    def mix_replaced_key(self, input_key_material: bytes) -> None:
        """As `mix_key`, where the next token replaces the key before anything is sealed."""
        self._ck = _hkdf_first(self._ck, input_key_material)

    def mix_hash(self, data: bytes) -> None:
        self._h = hashlib.sha256(self._h + data).digest()

    def encrypt_and_hash(self, plaintext: bytes) -> bytes:
        ciphertext = self._cipher.encrypt_with_ad(self._h, plaintext)
        self.mix_hash(ciphertext)
        return ciphertext

    def decrypt_and_hash(self, ciphertext: bytes) -> bytes:
        plaintext = self._cipher.decrypt_with_ad(self._h, ciphertext)
        self.mix_hash(ciphertext)
        return plaintext

    def split(self) -> tuple[CipherState, CipherState]:
        """The keys of the transport: initiator to responder, responder to initiator."""
        upward, downward = _hkdf(self._ck, b"")
        return CipherState(upward), CipherState(downward)


def _hkdf(chaining_key: bytes, input_key_material: bytes) -> tuple[bytes, bytes]:
    """HKDF of RFC 5869 with `chaining_key` as salt and no info: two outputs (section 4.3)."""
    temp_key = hmac.digest(chaining_key, input_key_material, "sha256")
    first = hmac.digest(temp_key, b"\x01", "sha256")
    return first, hmac.digest(temp_key, first + b"\x02", "sha256")


def _hkdf_first(chaining_key: bytes, input_key_material: bytes) -> bytes:
    """The first output of `_hkdf` alone."""
    temp_key = hmac.digest(chaining_key, input_key_material, "sha256")
    return hmac.digest(temp_key, b"\x01", "sha256")


class _Handshake:
    """What both sides do alike; each method of the subclasses is called once, in order."""

    def __init__(self, shared: PreShared, prologue: bytes) -> None:
        self._state = SymmetricState(prologue, shared)

    def _mix_ephemeral(self, public_key: bytes) -> None:
        self._state.mix_hash(public_key)
        # With a psk, `e` goes into the key too (section 9.2); `es` or `ee` follows it.
        self._state.mix_replaced_key(public_key)

    def _check_size(self, payload_size: int) -> None:
        if not 0 <= payload_size <= MAX_MESSAGE - KEY_SIZE - TAG_SIZE:
            raise ValueError(f"a handshake message cannot carry {payload_size} bytes")

    def _parse(self, message: bytes) -> tuple[bytes, bytes]:
        if not KEY_SIZE + TAG_SIZE <= len(message) <= MAX_MESSAGE:
            raise AuthenticationFailed("a handshake message of an impossible size")
        return message[:KEY_SIZE], message[KEY_SIZE:]


class Initiator(_Handshake):
    """The client. Nothing else uses the key `ephemeral`."""

    def __init__(self, shared: PreShared, prologue: bytes, ephemeral: X25519PrivateKey) -> None:
        super().__init__(shared, prologue)
        self._responder_static = shared.static
        self._ephemeral = ephemeral

    def write_message(self, payload: bytes) -> bytes:
        """The first message, 48 bytes longer than `payload`."""
        self._check_size(len(payload))
        public_key = public_bytes(self._ephemeral)
        self._mix_ephemeral(public_key)
        self._state.mix_key(_dh(self._ephemeral, self._responder_static))
        return public_key + self._state.encrypt_and_hash(payload)

    def read_message(self, message: bytes) -> bytes:
        """The payload of the second message, or AuthenticationFailed."""
        public_key, sealed = self._parse(message)
        self._mix_ephemeral(public_key)
        self._state.mix_key(_dh(self._ephemeral, X25519PublicKey.from_public_bytes(public_key)))
        return self._state.decrypt_and_hash(sealed)

    def split(self) -> tuple[CipherState, CipherState]:
        """The keys to send and to receive with."""
        upward, downward = self._state.split()
        return upward, downward


class Responder(_Handshake):
    """The server. `static` is the private key of the static one that is `shared`."""

    def __init__(self, shared: PreShared, prologue: bytes, static: X25519PrivateKey) -> None:
        super().__init__(shared, prologue)
        self._static = static
        self._initiator_ephemeral: X25519PublicKey

    def read_message(self, message: bytes) -> bytes:
        """The payload of the first message, or AuthenticationFailed."""
        public_key, sealed = self._parse(message)
        self._initiator_ephemeral = X25519PublicKey.from_public_bytes(public_key)
        self._mix_ephemeral(public_key)
        self._state.mix_key(_dh(self._static, self._initiator_ephemeral))
        return self._state.decrypt_and_hash(sealed)

    def write_message(self, payload: bytes, ephemeral: X25519PrivateKey) -> bytes:
        """The second message. Nothing else uses the key `ephemeral`."""
        self._check_size(len(payload))
        public_key = public_bytes(ephemeral)
        self._mix_ephemeral(public_key)
        self._state.mix_key(_dh(ephemeral, self._initiator_ephemeral))
        return public_key + self._state.encrypt_and_hash(payload)

    def split(self) -> tuple[CipherState, CipherState]:
        """The keys to send and to receive with."""
        upward, downward = self._state.split()
        return downward, upward
