"""Cells, the records of the classic wire: encoder, incremental decoder, and their cryptography.

```
 cell = slice ‖ rest                   the slice is a string of the language, the rest is raw

 C = W1 ‖ W2 ‖ T                       the sealed message, n + 32 bytes for n bytes of plaintext
     W1 = AES(0x01 ‖ iv ‖ n)             16: 1 + 7 + 8 bytes, one block
     W2 = AES-CTR(plaintext)             n:  the first counter block is 8 zeros ‖ 0x02 ‖ iv
     T  = HMAC-SHA512(W1 ‖ W2)           16: its first 16 bytes

 P = AES(r ‖ m) ‖ C[:m] ‖ padding      what the slice carries, always M bytes
     16              m      random       r: 8 random bytes, m: 8 bytes, m = min(n + 32, M - 16)

 slice = unrank(P as an integer)       M = (capacity - 1) // 8
 rest  = C[m:]                         nothing, if the message fits into the slice
```
All integers are big-endian; all keys are the connection's one `ClassicKey`, in both directions.
fteproxy never uses the top bit of a language's capacity, hence the `capacity - 1`.

T covers neither r, m nor the padding. An honest m follows from n, so the decoder demands it;
the padding can be altered unseen, and means nothing. No cell says where in the stream it
belongs: the decoder notices a repeated one while it remembers its iv, but two cells that
were swapped, or one that was left out, look like any others.
"""

from __future__ import annotations

import os
from collections import OrderedDict
from collections.abc import Callable
from hmac import compare_digest

from cryptography.hazmat.primitives.ciphers import Cipher, CipherContext, algorithms, modes
from cryptography.hazmat.primitives.hashes import SHA512
from cryptography.hazmat.primitives.hmac import HMAC

from obfsfte.classic.keys import ClassicKey
from obfsfte.errors import AuthenticationFailed, ConfigError
from obfsfte.regular import Language, NotInLanguage

#: The longest plaintext in one cell: what fteproxy 0.3 sends (0.2 stopped at 2**15).
MAX_PLAINTEXT = 2**18

_BLOCK = 16
_TAG = 16
_IV = 7
_SEALED = b"\x01"  # the first byte in the block of W1 ...
_STREAM = bytes(8) + b"\x02"  # ... and the start of the counter blocks: they never coincide
_REMEMBERED = 1024

Random = Callable[[int], bytes]


class CellCipher:
    """The cryptographic primitives of one key, for both directions of a connection."""

    def __init__(self, key: ClassicKey) -> None:
        self._aes = algorithms.AES(key.encryption)
        # One block at a time, as the wire has it: nothing longer is ever encrypted like this.
        blocks = Cipher(self._aes, modes.ECB())  # noqa: S305
        self.encrypt_block = blocks.encryptor().update
        self.decrypt_block = blocks.decryptor().update
        self._mac = HMAC(key.authentication, SHA512())

    def stream(self, iv: bytes) -> CipherContext:
        """The keystream of one cell; adding it encrypts and decrypts alike."""
        return Cipher(self._aes, modes.CTR(_STREAM + iv)).encryptor()

    def tag(self, *parts: bytes | memoryview) -> bytes:
        mac = self._mac.copy()
        for part in parts:
            mac.update(part)
        return mac.finalize()[:_TAG]


def _payload_length(language: Language) -> int:
    """M: the bytes that a slice carries."""
    length = (language.capacity - 1) // 8
    if length <= _BLOCK:
        raise ConfigError(
            f"the language carries {language.capacity} bits in {language.length} bytes and a "
            f"cell needs {8 * (_BLOCK + 1) + 1}: choose longer strings or a richer pattern"
        )
    return length


class CellEncoder:
    """Turns plaintext into cells of one language.

    Raises ConfigError if the language carries too little for a cell.
    """

    def __init__(self, language: Language, cipher: CellCipher, random: Random = os.urandom) -> None:
        self._language = language
        self._cipher = cipher
        self._random = random
        self._room = _payload_length(language) - _BLOCK

    @property
    def whole_plaintext(self) -> int:
        """The longest plaintext in bytes whose cell is one string of the language, nothing raw.

        Less than 1 if the language carries too little for that.
        """
        return self._room - _BLOCK - _TAG

    def encode(self, data: bytes) -> list[bytes]:
        """The buffers to write for `data`, in cells as long as the wire allows."""
        view = memoryview(data)
        return [
            buffer
            for start in range(0, len(view), MAX_PLAINTEXT)
            for buffer in self._cell(view[start : start + MAX_PLAINTEXT])
        ]

    def _cell(self, plaintext: memoryview) -> list[bytes]:
        iv = self._random(_IV)
        stream = self._cipher.stream(iv)
        header = self._cipher.encrypt_block(_SEALED + iv + len(plaintext).to_bytes(8, "big"))
        # The body of a long message leaves as the cipher returns it, never joined to the front.
        front = header + stream.update(plaintext[: self._room])
        body = stream.update(plaintext[self._room :])
        tag = self._cipher.tag(front, body)
        if not body:
            front += tag
        cell = self._slice(front[: self._room]) + front[self._room :]
        return [cell, body, tag] if body else [cell]

    def _slice(self, carried: bytes) -> bytes:
        header = self._random(8) + len(carried).to_bytes(8, "big")
        padding = self._random(self._room - len(carried))
        payload = self._cipher.encrypt_block(header) + carried + padding
        return self._language.unrank(int.from_bytes(payload, "big"))


class CellDecoder:
    """Turns the bytes of one direction, split in any way, into the plaintext of its cells.

    The work is linear in the bytes fed: each slice is ranked once, when it is complete. The
    buffer holds at most one cell and what was fed behind it.
    """

    def __init__(self, language: Language, cipher: CellCipher) -> None:
        self._language = language
        self._cipher = cipher
        self._payload = _payload_length(language)
        self._buffer = bytearray()
        # What is known of the cell at the front of the buffer: m once its slice has been
        # ranked and replaced by C[:m] in place, iv and n once W1 is there.
        self._carried: int | None = None
        self._header: tuple[bytes, int] | None = None
        self._seen: OrderedDict[bytes, None] = OrderedDict()

    @property
    def between_cells(self) -> bool:
        """Whether every byte fed belongs to a cell that has been returned."""
        return not self._buffer and self._carried is None

    def feed(self, data: bytes) -> None:
        self._buffer += data

    def next_cell(self, at_most: int = MAX_PLAINTEXT) -> bytes | None:
        """The plaintext of the next cell, or None while it is incomplete.

        Raises AuthenticationFailed, as early as the bytes tell, if no holder of the key
        wrote it, if it announces more than `at_most` bytes, or if it is a recent one again.
        """
        buffer = self._buffer
        if self._carried is None:
            length = self._language.length
            if len(buffer) < length:
                return None
            carried = self._open_slice(bytes(buffer[:length]))
            buffer[:length] = carried
            self._carried = len(carried)
        if self._header is None:
            if len(buffer) < _BLOCK:
                return None
            self._header = self._open_header(bytes(buffer[:_BLOCK]), self._carried, at_most)
        iv, length = self._header
        end = _BLOCK + length + _TAG
        if len(buffer) < end:
            return None
        with memoryview(buffer)[:end] as sealed:
            plaintext = self._open(sealed, iv)
        del buffer[:end]
        self._carried = self._header = None
        return plaintext

    def _open_slice(self, text: bytes) -> bytes:
        try:
            rank = self._language.rank(text)
        except NotInLanguage:
            raise AuthenticationFailed("a slice is not of the language") from None
        if rank.bit_length() > 8 * self._payload:
            raise AuthenticationFailed("a slice carries more than it may")
        payload = rank.to_bytes(self._payload, "big")
        carried = int.from_bytes(self._cipher.decrypt_block(payload[:_BLOCK])[8:], "big")
        if not 0 < carried <= self._payload - _BLOCK:
            raise AuthenticationFailed("a slice was altered or made with another key")
        return payload[_BLOCK : _BLOCK + carried]

    def _open_header(self, block: bytes, carried: int, at_most: int) -> tuple[bytes, int]:
        header = self._cipher.decrypt_block(block)
        iv, length = header[1 : 1 + _IV], int.from_bytes(header[1 + _IV :], "big")
        if (
            header[:1] != _SEALED
            or not 0 < length <= at_most
            or carried != min(_BLOCK + length + _TAG, self._payload - _BLOCK)
        ):
            raise AuthenticationFailed("a cell's header was altered or made with another key")
        return iv, length

    def _open(self, sealed: memoryview, iv: bytes) -> bytes:
        if not compare_digest(self._cipher.tag(sealed[:-_TAG]), bytes(sealed[-_TAG:])):
            raise AuthenticationFailed("a cell was altered or made with another key")
        if iv in self._seen:
            raise AuthenticationFailed("a cell came twice")
        self._seen[iv] = None
        if len(self._seen) > _REMEMBERED:
            self._seen.popitem(last=False)
        return self._cipher.stream(iv).update(sealed[_BLOCK:-_TAG])
