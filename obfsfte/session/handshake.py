"""The two hellos: Noise's two messages, masked, padded, and bound to a cover.

 client hello
 +------------+-----------------------+------------------------------------------+
 | nonce: 16  | e XOR mask: 32        | fields: 10, zeros, sealed by Noise: + 16 |
 +------------+-----------------------+------------------------------------------+

 server hello
              +-----------------------+------------------------------------------+
              | e XOR mask: 32        | fields: 10, zeros, sealed by Noise: + 16 |
              +-----------------------+------------------------------------------+

 fields, big-endian
 +-------------+-----------+---------------+
 | version: 1  | flags: 1  | unix time: 8  |
 +-------------+-----------+---------------+

Either hello has the size that its cover asks for, at least `MIN_HELLO`; the zeros fill it.
Without the bridge's secret every byte is uniform and independent: the nonce is random,
the sealed part is AES-GCM's output, and e, which by itself is not uniform (bit 255 of
an X25519 public key is 0, and only half the values are points of the curve), is
XORed with HMAC output keyed by the secret and the nonce. The server needs no nonce of its
own: it answers no nonce twice (`replay`), so no mask is used twice.

`version` is the highest that the sender knows: the client offers, the server answers with
the lower of the two. `flags` and the zeros are for later versions; version 1 sends zeros
and ignores what it receives there.
"""

from __future__ import annotations

import enum
import hmac
import struct

import attrs
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from obfsfte.errors import AuthenticationFailed, NotOurs
from obfsfte.session import noise
from obfsfte.session.keys import BridgeKeys, Cert
from obfsfte.session.records import Opener, Sealer
from obfsfte.session.replay import ReplayCheck

NONCE_SIZE = 16
VERSION = 1

_FIELDS = struct.Struct(">BBQ")
#: The least and the greatest size of either hello, in bytes.
MIN_HELLO = NONCE_SIZE + noise.KEY_SIZE + _FIELDS.size + noise.TAG_SIZE
MAX_HELLO = noise.MAX_MESSAGE


class _Label(bytes, enum.Enum):
    """What the secret and the nonce are made into, 32 bytes each."""

    CLIENT_MASK = b"obfsfte 1 client mask"
    SERVER_MASK = b"obfsfte 1 server mask"
    UPSTREAM_COVER = b"obfsfte 1 upstream cover"
    DOWNSTREAM_COVER = b"obfsfte 1 downstream cover"


class _Derived:
    """HKDF-SHA256 (RFC 5869) of the secret, with the nonce as salt, a label as info."""

    def __init__(self, secret: bytes, nonce: bytes) -> None:
        self._pseudorandom_key = hmac.digest(nonce, secret, "sha256")

    def _expand(self, label: _Label) -> bytes:
        return hmac.digest(self._pseudorandom_key, label + b"\x01", "sha256")

    def mask(self, label: _Label, message: bytes) -> bytes:
        """`message` with its ephemeral key masked, or unmasked."""
        size = noise.KEY_SIZE
        mask = int.from_bytes(self._expand(label), "big")
        masked = int.from_bytes(message[:size], "big") ^ mask
        return masked.to_bytes(size, "big") + message[size:]

    def cover_keys(self) -> CoverKeys:
        return CoverKeys(self._expand(_Label.UPSTREAM_COVER), self._expand(_Label.DOWNSTREAM_COVER))


def _payload(now: int, size: int) -> bytes:
    return _FIELDS.pack(VERSION, 0, now).ljust(size - noise.KEY_SIZE - noise.TAG_SIZE, b"\0")


def _check_size(size: int) -> None:
    if not MIN_HELLO <= size <= MAX_HELLO:
        raise ValueError(f"a hello has {MIN_HELLO} to {MAX_HELLO} bytes, not {size}")


def session_prologue(cover: str, fingerprint: bytes) -> bytes:
    """What both ends must agree on beforehand: this protocol, and the cover in all detail.

    `fingerprint` is 32 bytes, the hash of the cover's definition and parameters.
    """
    return b"obfsfte session 1\0" + cover.encode("utf-8") + b"\0" + fingerprint


@attrs.frozen
class CoverKeys:
    """32 bytes per direction that only the two ends know, for the cover to draw from."""

    upstream: bytes = attrs.field(repr=False)  # client to server
    downstream: bytes = attrs.field(repr=False)  # server to client


@attrs.frozen
class Session:
    """What a handshake gives: one side's records, and the other side's clock."""

    sealer: Sealer
    opener: Opener
    #: Unix time at the peer when it made its hello.
    peer_time: int


class ClientHandshake:
    """The client's side of one connection: `hello`, then `receive` the server's.

    `prologue` is `session_prologue`'s; `now` is unix time in seconds. Nothing else uses `nonce`,
    `NONCE_SIZE` random bytes, and `ephemeral`.
    """

    def __init__(
        self, cert: Cert, prologue: bytes, now: int, nonce: bytes, ephemeral: X25519PrivateKey
    ) -> None:
        self._now = now
        self._nonce = nonce
        self._derived = _Derived(cert.secret, nonce)
        self._noise = noise.Initiator(cert.shared, prologue + nonce, ephemeral)

    @property
    def cover_keys(self) -> CoverKeys:
        """The cover's keys, the server's `AcceptedHello.cover_keys`."""
        return self._derived.cover_keys()

    def hello(self, size: int) -> bytes:
        """The client hello, `size` bytes; once. Raises ValueError for an impossible size."""
        _check_size(size)
        message = self._noise.write_message(_payload(self._now, size - NONCE_SIZE))
        return self._nonce + self._derived.mask(_Label.CLIENT_MASK, message)

    def receive(self, hello: bytes) -> Session:
        """Take the server hello. Raises AuthenticationFailed unless the bridge made it."""
        payload = self._noise.read_message(self._derived.mask(_Label.SERVER_MASK, hello))
        if len(payload) < _FIELDS.size:
            raise AuthenticationFailed("a hello without its fields")
        version, _flags, server_time = _FIELDS.unpack_from(payload)
        if version != VERSION:
            raise AuthenticationFailed("a hello of a version that was not offered")
        sending, receiving = self._noise.split()
        return Session(Sealer(sending), Opener(receiving), server_time)


class ServerHandshake:
    """The server's side of one connection, until a hello has verified."""

    def __init__(self, keys: BridgeKeys, prologue: bytes, seen: ReplayCheck) -> None:
        self._keys = keys
        self._prologue = prologue
        self._seen = seen

    def receive(self, hello: bytes, now: int) -> AcceptedHello:
        """Verify what may be a client hello. Raises NotOurs for whatever is wrong with it.

        May be called again after that: a cover can have several guesses at what the hello is.
        """
        if not MIN_HELLO <= len(hello) <= MAX_HELLO:
            raise NotOurs("no hello has this size")
        nonce = hello[:NONCE_SIZE]
        derived = _Derived(self._keys.secret, nonce)
        responder = noise.Responder(
            self._keys.cert.shared, self._prologue + nonce, self._keys.static
        )
        try:
            payload = responder.read_message(derived.mask(_Label.CLIENT_MASK, hello[NONCE_SIZE:]))
        except AuthenticationFailed:
            raise NotOurs("a hello that does not verify") from None
        version, _flags, client_time = _FIELDS.unpack_from(payload)
        if version < VERSION:
            raise NotOurs("a hello of a version that never was")
        if not self._seen.check_and_add(nonce, client_time, now):
            raise NotOurs("a hello out of its time, or seen before")
        return AcceptedHello(derived, responder, client_time, now)


@attrs.frozen(repr=False)
class AcceptedHello:
    """A client hello that verified, to be answered once."""

    _derived: _Derived
    _noise: noise.Responder
    _client_time: int
    _now: int

    @property
    def cover_keys(self) -> CoverKeys:
        """The cover's keys, the client's `ClientHandshake.cover_keys`."""
        return self._derived.cover_keys()

    def answer(self, size: int, ephemeral: X25519PrivateKey) -> tuple[bytes, Session]:
        """The server hello, `size` bytes, and what follows it; once.

        Nothing else uses the key `ephemeral`.
        """
        _check_size(size)
        message = self._noise.write_message(_payload(self._now, size), ephemeral)
        hello = self._derived.mask(_Label.SERVER_MASK, message)
        sending, receiving = self._noise.split()
        return hello, Session(Sealer(sending), Opener(receiving), self._client_time)
