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

from obfsfte.covers import masking
from obfsfte.errors import WireError

#: Bytes of one message at most, all its frames together.
MAX_MESSAGE = 1 << 17
MAX_CONTROL = 125

_FIN = 0x80
_RESERVED_AND_OPCODE = 0x7F
_CONTROL = 0x08  # the bit of an opcode that control frames have (section 5.5)
_MASKED = 0x80
_LENGTH_2 = 126
_LENGTH_8 = 127

#: Bytes of a payload that costs less to be copied than to be a piece of its own.
_SMALL = 1 << 12


class Opcode(enum.IntEnum):
    """The kinds of frame that we know. Text (1) is none of ours."""

    CONTINUATION = 0
    BINARY = 2
    CLOSE = 8
    PING = 9
    PONG = 10


_OPCODES = {opcode.value: opcode for opcode in Opcode}


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
    if mask is not None:
        header += mask
        payload = masking.mask(payload, mask)
    return [header + payload] if size < _SMALL else [header, payload]


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

    def feed(self, data: bytes) -> list[tuple[Opcode, bytes | memoryview]]:
        """The messages (as BINARY) and control frames that `data` completes, in order.

        Raises WireError as soon as the bytes so far cannot be the peer's.
        """
        if self._early:
            data, self._early = self._early + data, b""
        events: list[tuple[Opcode, bytes | memoryview]] = []
        view = memoryview(data)
        while view:
            if not self._frame:
                opcode, start, size = self._look(view)
                if size <= len(view):
                    self._read(opcode, start, view[:size], events)
                    view = view[size:]
                    continue
                self._missing = size - len(view)
                self._frame += view
                break
            taken = view[: self._missing]
            self._frame += taken
            view = view[len(taken) :]
            opcode, start, size = self._look(self._frame)
            self._missing = size - len(self._frame)
            if not self._missing:
                whole, self._frame = memoryview(self._frame), bytearray()
                self._read(opcode, start, whole, events)
        return events

    def _read(
        self,
        opcode: Opcode,
        start: int,
        frame: memoryview,
        events: list[tuple[Opcode, bytes | memoryview]],
    ) -> None:
        """Add what a whole frame completes; its payload is from `start` on."""
        payload: bytes | memoryview = frame[start:]
        if self._flag:
            payload = masking.mask(payload, frame[start - masking.KEY_SIZE : start])
        is_last = frame[0] & _FIN
        if opcode & _CONTROL or (is_last and self._message is None):
            events.append((opcode, payload))
            return
        if self._message is None:
            self._message = bytearray()
        self._message += payload
        if is_last:
            message, self._message = memoryview(self._message), None
            events.append((Opcode.BINARY, message))

    def _look(self, frame: memoryview | bytearray) -> tuple[Opcode, int, int]:
        """What a frame is that begins so, where its payload starts, and its size in bytes.

        While its length has not come, the size is that of its head so far.
        """
        opcode = _OPCODES.get(frame[0] & _RESERVED_AND_OPCODE)
        if opcode is None:
            raise WireError("a WebSocket frame of a kind that was not negotiated")
        if opcode & _CONTROL:
            if not frame[0] & _FIN:
                raise WireError("a fragmented WebSocket control frame")
        elif bool(opcode) is (self._message is not None):
            raise WireError("a WebSocket message begins or goes on where it cannot")
        if len(frame) < 2:
            return opcode, 2, 2
        if frame[1] & _MASKED != self._flag:
            raise WireError("a WebSocket frame of a client is not masked, or a server's is")
        start = 2
        size = frame[1] & ~_MASKED
        if opcode & _CONTROL:
            if size > MAX_CONTROL or (opcode is Opcode.CLOSE and size == 1):
                raise WireError("a WebSocket control frame of an impossible length")
        elif size >= _LENGTH_2:
            start, shortest = (4, _LENGTH_2) if size == _LENGTH_2 else (10, 1 << 16)
            if len(frame) < start:
                return opcode, start, start
            size = int.from_bytes(frame[2:start], "big")
            if size < shortest:
                raise WireError("a WebSocket frame's length is not in its shortest form")
        if size > MAX_MESSAGE - len(self._message or b""):
            raise WireError("a WebSocket message is longer than any of ours")
        if self._flag:
            start += masking.KEY_SIZE
        return opcode, start, start + size
