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

from obfsfte.covers import masking
from obfsfte.errors import WireError

#: Bytes of one message at most, all its frames together.
MAX_MESSAGE = 1 << 17
MAX_CONTROL = 125

_FIN = 0x80
_RESERVED_AND_OPCODE = 0x7F
_MASKED = 0x80
_LENGTH_2 = 126
_LENGTH_8 = 127
_LENGTH_WIDTHS = {_LENGTH_2: 2, _LENGTH_8: 8}  # bytes of the longer length


class Opcode(enum.IntEnum):
    """The kinds of frame that we know. Text (1) is none of ours."""

    CONTINUATION = 0
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_OPCODES = frozenset(Opcode)


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
    return [header + mask, masking.mask(payload, mask)]


class FrameReader:
    """Wire bytes -> messages and control frames. Buffers less than two messages.

    `masked`: whether the peer is a client. `early` are bytes that came before the first
    `feed`.

    A frame that came whole in one piece is not copied to be read; one that came in several is
    put together once, and linearly, however small they are.
    """

    def __init__(self, *, masked: bool, early: bytes = b"") -> None:
        self._flag = _MASKED if masked else 0
        self._early = early
        self._frame = bytearray()  # the beginning of one that is not complete
        self._missing = 0  # bytes that have to come before it can be looked at again
        self._message: bytearray | None = None  # what came of one that is not complete

    @property
    def at_boundary(self) -> bool:
        """Whether nothing is incomplete."""
        return not self._frame and self._message is None

    def feed(self, data: bytes) -> Iterator[tuple[Opcode, bytes | memoryview]]:
        """The messages (as BINARY) and control frames that `data` completes, in order.

        Raises WireError as soon as the bytes so far cannot be the peer's. To be exhausted
        before the next call.
        """
        if self._early:
            data, self._early = self._early + data, b""
        view = memoryview(data)
        while view:
            if not self._frame:
                size = self._size(view)
                if size <= len(view):
                    yield from self._read(view[:size])
                    view = view[size:]
                    continue
                self._missing = size - len(view)
                self._frame += view
                return
            taken = view[: self._missing]
            self._frame += taken
            view = view[len(taken) :]
            self._missing = self._size(self._frame) - len(self._frame)
            if not self._missing:
                whole, self._frame = memoryview(self._frame), bytearray()
                yield from self._read(whole)

    def _read(self, frame: memoryview) -> Iterator[tuple[Opcode, bytes | memoryview]]:
        """What a whole frame completes."""
        opcode, is_last = Opcode(frame[0] & _RESERVED_AND_OPCODE), frame[0] & _FIN
        at = 2 + _LENGTH_WIDTHS.get(frame[1] & ~_MASKED, 0)
        payload: bytes | memoryview
        if self._flag:
            payload = masking.mask(
                frame[at + masking.KEY_SIZE :], frame[at : at + masking.KEY_SIZE]
            )
        else:
            payload = frame[at:]
        if opcode >= Opcode.CLOSE or (is_last and self._message is None):
            yield opcode, payload
            return
        if self._message is None:
            self._message = bytearray()
        self._message += payload
        if is_last:
            message, self._message = memoryview(self._message), None
            yield Opcode.BINARY, message

    def _size(self, frame: memoryview | bytearray) -> int:
        """Bytes of the frame that begins so; while its length has not come, of its head so far."""
        opcode = self._check_first_byte(frame[0])
        if len(frame) < 2:
            return 2
        if frame[1] & _MASKED != self._flag:
            raise WireError("a WebSocket frame of a client is not masked, or a server's is")
        size = frame[1] & ~_MASKED
        width = _LENGTH_WIDTHS.get(size, 0)
        if opcode >= Opcode.CLOSE:
            if size > MAX_CONTROL or (opcode is Opcode.CLOSE and size == 1):
                raise WireError("a WebSocket control frame of an impossible length")
        elif width:
            if len(frame) < 2 + width:
                return 2 + width
            size = int.from_bytes(frame[2 : 2 + width], "big")
            if size < (_LENGTH_2 if width == 2 else 1 << 16):
                raise WireError("a WebSocket frame's length is not in its shortest form")
        if size + len(self._message or b"") > MAX_MESSAGE:
            raise WireError("a WebSocket message is longer than any of ours")
        return 2 + width + (masking.KEY_SIZE if self._flag else 0) + size

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
