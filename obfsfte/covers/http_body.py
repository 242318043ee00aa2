"""Records in the body of an HTTP message: any number of them, one after the other.

```
 body = ( +---------------------------------+---------+ ) *
        ( | length XOR keystream: 3 bytes   | record  | )
        ( +---------------------------------+---------+ )
```

The keystream of a direction is AES-256-CTR's, from counter 0, under a key of the direction:
each length takes the next three bytes of it. So a body is uniform random bytes to anyone without
the keys, and does not show where its records end; a receiver opens each as soon as it is there,
without waiting for the rest of the body. A record never goes on in the next message.

A length that was altered makes a record of the wrong bytes, which does not open.
"""

from __future__ import annotations

import hmac
from collections.abc import Iterable

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from obfsfte.errors import WireError

_LENGTH_SIZE = 3
#: Bytes that a body has beside each record.
RECORD_FRAMING = _LENGTH_SIZE
#: Bytes of one record at most.
MAX_RECORD = 1 << 16

_LABEL = b"obfsfte 1 http lengths"


class _Lengths:
    """The masks of one direction's lengths, in order."""

    def __init__(self, key: bytes) -> None:
        cipher = Cipher(AES(hmac.digest(key, _LABEL, "sha256")), CTR(bytes(16)))
        self._keystream = cipher.encryptor()

    def mask(self, length: bytes) -> bytes:
        """Mask, or unmask, the next length."""
        return self._keystream.update(length)


class BodyWriter:
    """Records -> bodies. `key` is the direction's cover key."""

    def __init__(self, key: bytes) -> None:
        self._lengths = _Lengths(key)

    def body(self, records: Iterable[bytes]) -> bytes:
        """The body that has these records."""
        parts = []
        for record in records:
            if not 1 <= len(record) <= MAX_RECORD:
                raise ValueError(f"a record has 1 to {MAX_RECORD} bytes, not {len(record)}")
            parts += [self._lengths.mask(len(record).to_bytes(_LENGTH_SIZE, "big")), record]
        return b"".join(parts)


class BodyReader:
    """Pieces of bodies -> records. Buffers less than a record and a piece."""

    def __init__(self, key: bytes) -> None:
        self._lengths = _Lengths(key)
        self._buffer = bytearray()
        self._size: int | None = None  # of the record that comes

    @property
    def at_boundary(self) -> bool:
        """Whether a body may end here."""
        return not self._buffer and self._size is None

    def feed(self, pieces: Iterable[bytes]) -> list[bytes]:
        """The records that these pieces complete. Raises WireError for an impossible length."""
        for piece in pieces:
            self._buffer += piece
        records = []
        start = 0
        with memoryview(self._buffer) as view:
            while True:
                if self._size is None:
                    after = start + _LENGTH_SIZE
                    if len(view) < after:
                        break
                    self._size = self._length(bytes(view[start:after]))
                    start = after
                end = start + self._size
                if len(view) < end:
                    break
                records.append(bytes(view[start:end]))
                self._size = None
                start = end
        del self._buffer[:start]
        return records

    def _length(self, masked: bytes) -> int:
        size = int.from_bytes(self._lengths.mask(masked), "big")
        if not 1 <= size <= MAX_RECORD:
            raise WireError("a record's length in an HTTP body is none of ours")
        return size
