"""Records: application bytes, sealed.

 +------------------------------------------------------------------------------+-----------+
 | type: 1 | length: 3, big-endian | payload: length bytes | zeros              | tag: 16   |
 +------------------------------------------------------------------------------+-----------+
 '---------------------------- AES-256-GCM's plaintext -------------------------'

A record has the size that the cover asks for; the zeros fill it. The key is the
direction's transport key of Noise, the nonce the number of the record, the associated data
empty: nothing but ciphertext is on the wire, and a record that was dropped, repeated,
swapped or altered does not open. Before every record whose number is a multiple of
`REKEY_INTERVAL`, except the first, both ends replace the key (Noise's REKEY).

One stream of records per direction: data, one end of stream, and anywhere, also after the end,
padding and holds, since a cover may have to send (an HTTP response that answers a request) when
the application has nothing more to say. A hold asks the peer for a message without data, in
covers whose ends take turns: there each message must be read to its end for the other
direction to go on, so nobody may leave one in the network that he has no room for.

Noise wants messages of at most 65535 bytes, for the sake of small buffers. Covers bound
records themselves, and larger ones are cheaper, so this limit is not kept here.
"""

from __future__ import annotations

import enum

from obfsfte.errors import AuthenticationFailed, WireError
from obfsfte.session.noise import TAG_SIZE, CipherState

_HEADER_SIZE = 4
#: Bytes of a record that are not payload.
OVERHEAD = _HEADER_SIZE + TAG_SIZE
#: What the length field can say.
MAX_PAYLOAD = (1 << 24) - 1

#: With records of 2^18 bytes a key seals 2^30 bytes: 2^26 blocks, far from where AES-GCM's
#: security wears off (2^34.5 blocks; RFC 8446, section 5.5).
REKEY_INTERVAL = 1 << 12


class RecordType(enum.IntEnum):
    """What a record is for. Only data has a payload."""

    DATA = 0
    PADDING = 1
    END = 2
    HOLD = 3


_TYPES = {kind.value: kind for kind in RecordType}
#: The types that may not come after the end of the stream.
_STREAM = (RecordType.DATA, RecordType.END)


class _Rekeyed:
    """A transport key of Noise with the rekeying that both ends do alike."""

    __slots__ = ("_cipher", "_used")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = cipher
        self._used = 0

    def next(self) -> CipherState:
        """The cipher for the next record, and for that one only."""
        if self._used == REKEY_INTERVAL:
            self._cipher.rekey()
            self._used = 0
        self._used += 1
        return self._cipher


class Sealer:
    """One direction's records, at the sender."""

    __slots__ = ("_cipher", "_ended")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = _Rekeyed(cipher)
        self._ended = False

    def seal(self, kind: RecordType, payload: bytes | memoryview, size: int) -> bytes:
        """The next record, `size` bytes.

        Raises ValueError when `payload` does not fit or the type has none, and RuntimeError
        for data or a second end after the end.
        """
        length = len(payload)
        padding = size - OVERHEAD - length
        if padding < 0 or length > MAX_PAYLOAD:
            raise ValueError(f"a record of {size} bytes cannot carry {length}")
        if kind is not RecordType.DATA and length:
            raise ValueError(f"a record of type {kind.name} has no payload")
        if self._ended and kind in _STREAM:
            raise RuntimeError("the stream has ended")
        self._ended = self._ended or kind is RecordType.END
        header = (kind << 24 | length).to_bytes(_HEADER_SIZE, "big")
        plaintext = b"".join((header, payload, bytes(padding)))
        return self._cipher.next().encrypt_with_ad(None, plaintext)


class Opener:
    """One direction's records, at the receiver. After an exception nothing opens any more."""

    __slots__ = ("_broken", "_cipher", "ended")

    def __init__(self, cipher: CipherState) -> None:
        self._cipher = _Rekeyed(cipher)
        self._broken = False
        #: Whether the peer's end of stream has come.
        self.ended = False

    def open(self, record: bytes | memoryview) -> tuple[RecordType, memoryview]:
        """The next record's type and payload, which is not copied.

        Raises AuthenticationFailed unless it is the next one that the peer sealed, and
        WireError when the peer sealed what no honest peer seals.
        """
        if self._broken:
            raise AuthenticationFailed("an earlier record was not the peer's")
        self._broken = True  # until all is well
        plaintext = self._cipher.next().decrypt_with_ad(None, record)
        header = int.from_bytes(plaintext[:_HEADER_SIZE], "big")
        end = _HEADER_SIZE + (header & MAX_PAYLOAD)
        padding = len(plaintext) - end
        if padding < 0:
            raise WireError("a record shorter than it says")
        if padding and plaintext[end:] != bytes(padding):
            raise WireError("a record whose padding is not zero")
        kind = _TYPES.get(header >> 24)
        if kind is None:
            raise WireError("a record of an unknown type")
        if kind is not RecordType.DATA and end != _HEADER_SIZE:
            raise WireError("a payload in a record that has none")
        if self.ended and kind in _STREAM:
            raise WireError("a record after the end of the stream")
        self.ended = self.ended or kind is RecordType.END
        self._broken = False
        return kind, memoryview(plaintext)[_HEADER_SIZE:end]
