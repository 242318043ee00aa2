"""WebSocket frames, the hot path of the `websocket` cover: RFC 6455, section 5.

```
 byte 0                 byte 1                 then
 +-----+------+-------+ +------+-------------+ +------------------+---------+-------------+
 | FIN | RSV  | opcode| | MASK | length: 7   | | longer length:   | masking | payload     |
 |     | = 0  | 4 bits| |      | 126 -> +2   | | 0, 2 or 8 bytes, | key: 4, | XOR the key |
 |     |      |       | |      | 127 -> +8   | | shortest form    | if MASK | repeated    |
 +-----+------+-------+ +------+-------------+ +------------------+---------+-------------+
```

Clients mask, with a key of four fresh random bytes for each frame; servers do not. A message
is a first frame and any number of continuations, control frames anywhere between them. We
send one frame per message; an intermediary may cut it otherwise on the way.

The reader takes only what our peer or an intermediary can have sent: binary messages of at
most `MAX_MESSAGE` bytes, and the three control frames.
"""

from __future__ import annotations

import enum
from collections.abc import Iterator

from obfsfte.errors import WireError

#: Bytes of one message at most, all its frames together.
MAX_MESSAGE = 1 << 17
MAX_CONTROL = 125
MASK_SIZE = 4

_BLOCK = 1 << 13  # bytes that are masked at once

_FIN = 0x80
_RESERVED_AND_OPCODE = 0x7F
_MASKED = 0x80
_LENGTH_2 = 126
_LENGTH_8 = 127


class Opcode(enum.IntEnum):
    """The kinds of frame that we know. Text (1) is none of ours."""

    CONTINUATION = 0
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_OPCODES = frozenset(Opcode)


def apply_mask(payload: bytes | memoryview, key: bytes) -> list[bytes]:
    """`payload` XOR the repeated key, in pieces to join: masks, and unmasks.

    XOR of long integers is the fastest that plain Python has. In blocks that stay in the
    processor's nearest cache, with the key made a number once, it is twice as fast as of
    the whole (64 KB: 550 MB/s, to 260; `bytes.translate` for each byte of the key: 390).
    """
    view = memoryview(payload)
    rest = len(view) % _BLOCK
    blocks = []
    if rest < len(view):
        number = int.from_bytes(key * (_BLOCK // MASK_SIZE), "little")
        for start in range(0, len(view) - rest, _BLOCK):
            block = int.from_bytes(view[start : start + _BLOCK], "little")
            blocks.append((block ^ number).to_bytes(_BLOCK, "little"))
    if rest:
        repeated = (key * (rest // MASK_SIZE + 1))[:rest]
        last = int.from_bytes(view[-rest:], "little") ^ int.from_bytes(repeated, "little")
        blocks.append(last.to_bytes(rest, "little"))
    return blocks


def frame(opcode: Opcode, payload: bytes, mask: bytes | None) -> list[bytes]:
    """One whole message, or one control frame, in pieces to write in order.

    `mask` is a client's masking key, None at a server.
    """
    size = len(payload)
    flag = 0 if mask is None else _MASKED
    if size < _LENGTH_2:
        header = bytes((_FIN | opcode, flag | size))
    elif size < 1 << 16:
        header = bytes((_FIN | opcode, flag | _LENGTH_2)) + size.to_bytes(2, "big")
    else:
        header = bytes((_FIN | opcode, flag | _LENGTH_8)) + size.to_bytes(8, "big")
    if mask is None:
        return [header, payload]
    return [header + mask, *apply_mask(payload, mask)]


class FrameReader:
    """Wire bytes -> messages and control frames. Buffers less than two messages.

    `masked`: whether the peer is a client. `early` are bytes that came before the first
    `feed`.
    """

    def __init__(self, *, masked: bool, early: bytes = b"") -> None:
        self._flag = _MASKED if masked else 0
        self._buffer = bytearray(early)
        self._message: bytearray | None = None  # what came of one that is not complete

    @property
    def at_boundary(self) -> bool:
        """Whether nothing is incomplete."""
        return not self._buffer and self._message is None

    def feed(self, data: bytes) -> Iterator[tuple[Opcode, bytes]]:
        """The messages (as BINARY) and control frames that `data` completes, in order.

        Raises WireError as soon as the bytes so far cannot be the peer's. To be exhausted
        before the next call.
        """
        self._buffer += data
        start = 0
        while (found := self._next_frame(start)) is not None:
            is_last, opcode, payload, start = found
            if opcode >= Opcode.CLOSE:
                yield opcode, payload
                continue
            if is_last and self._message is None:
                yield opcode, payload
                continue
            if self._message is None:
                self._message = bytearray()
            self._message += payload
            if is_last:
                message, self._message = bytes(self._message), None
                yield Opcode.BINARY, message
        del self._buffer[:start]

    def _next_frame(self, start: int) -> tuple[bool, Opcode, bytes, int] | None:
        """FIN, opcode and payload of the frame at `start`, and where it ends; None: incomplete."""
        buffer = self._buffer
        if len(buffer) < start + 1:
            return None
        opcode = self._check_first_byte(buffer[start])
        if len(buffer) < start + 2:
            return None
        if buffer[start + 1] & _MASKED != self._flag:
            raise WireError("a WebSocket frame of a client is not masked, or a server's is")
        size = buffer[start + 1] & ~_MASKED
        at = start + 2
        if opcode >= Opcode.CLOSE:
            if size > MAX_CONTROL or (opcode is Opcode.CLOSE and size == 1):
                raise WireError("a WebSocket control frame of an impossible length")
        elif size >= _LENGTH_2:
            width = 2 if size == _LENGTH_2 else 8
            if len(buffer) < at + width:
                return None
            size = int.from_bytes(buffer[at : at + width], "big")
            at += width
            if size < (_LENGTH_2 if width == 2 else 1 << 16):
                raise WireError("a WebSocket frame's length is not in its shortest form")
        if size + len(self._message or b"") > MAX_MESSAGE:
            raise WireError("a WebSocket message is longer than any of ours")
        key_size = MASK_SIZE if self._flag else 0
        end = at + key_size + size
        if len(buffer) < end:
            return None
        # A slice of the buffer would be copied twice, and one that stays could not grow again.
        with memoryview(buffer) as view:
            key, payload = bytes(view[at : at + key_size]), bytes(view[at + key_size : end])
        plain = b"".join(apply_mask(payload, key)) if key else payload
        return bool(buffer[start] & _FIN), opcode, plain, end

    def _check_first_byte(self, byte: int) -> Opcode:
        value = byte & _RESERVED_AND_OPCODE
        if value not in _OPCODES:
            raise WireError("a WebSocket frame of a kind that was not negotiated")
        opcode = Opcode(value)
        if opcode >= Opcode.CLOSE:
            if not byte & _FIN:
                raise WireError("a fragmented WebSocket control frame")
        elif (opcode is Opcode.CONTINUATION) != (self._message is not None):
            raise WireError("a WebSocket message begins or goes on where it cannot")
        return opcode
