"""The `websocket` cover: an upgrade from HTTP, then binary messages both ways, full duplex.

```
 client -> server | GET ... Upgrade: websocket, the hello in it |   (waits)   | message | ...
 server -> client |                           | 101 Switching Protocols, message | message | ...
```

The request carries the whole client hello, in a cookie, a query or another field; the
server's hello is its first message. A message carries one record, of any size: it is binary
in the real protocol too, and an application's messages have all sizes. Small ones are padded.

An intermediary may rewrite the head of request and response, cut messages into frames in
its own way, and send pings. So a record is a message, not a frame, and what is known of the
opening beforehand is only how to find the hello.
"""

from __future__ import annotations

from random import Random

from obfsfte.alarm import Alarm
from obfsfte.covers import masking
from obfsfte.covers.draws import Draws
from obfsfte.covers.sizes import Sizes
from obfsfte.covers.websocket_frames import MAX_MESSAGE, FrameReader, Opcode, frame
from obfsfte.covers.websocket_opening import ResponseReader

#: A server pings after so many seconds, time and again, as servers of WebSockets do: what is
#: between cuts a connection that is silent, nginx after 60 seconds if it is not told otherwise.
PING_SECONDS = (45.0, 57.0)

#: Bytes of a client's messages at most. Longer ones Chromium cuts into frames wherever its pipe to
#: the network ends; up to this it sends a message in one frame, as Firefox does with all.
MAX_FROM_CLIENT = (1 << 16) - 1

_NORMAL_CLOSURE = (1000).to_bytes(2, "big")  # RFC 6455, section 7.4.1


class WebSocketCover:
    """One side of one connection (a `Cover`).

    `opening`: what a client still has to read before messages come; None at the server.
    """

    def __init__(
        self,
        reader: FrameReader,
        random: Random,
        head: bytes,
        opening: ResponseReader | None = None,
    ) -> None:
        self.finished = False
        self._reader = reader
        self._random = random
        self._draws = Draws(random)
        self._unsent = [head]
        self._opening = opening
        self._masks = opening is not None
        self._largest = MAX_FROM_CLIENT if self._masks else MAX_MESSAGE
        self._sizes = Sizes(self._draws, self._largest)
        self.alarm = None if self._masks else self._until_ping()

    @property
    def at_boundary(self) -> bool:
        return self.finished or (self._opening is None and self._reader.at_boundary)

    def record_size(self, wanted: int) -> int:
        return self._sizes.size(wanted)

    def wrap(self, record: bytes) -> list[bytes]:
        if not 1 <= len(record) <= self._largest:
            raise ValueError(f"a record of 1 to {self._largest} bytes is needed, not {len(record)}")
        self._sizes.renew()
        return self._frame(Opcode.BINARY, record)

    def unwrap(self, data: bytes) -> list[bytes | memoryview]:
        if self._opening is not None:
            rest = self._opening.feed(data)
            if rest is None:
                return []
            self._opening = None
            data = rest
        records: list[bytes | memoryview] = []
        if self.finished:
            return records
        ping = None
        for opcode, payload in self._reader.feed(data):
            if opcode is Opcode.BINARY:
                records.append(payload)
            elif opcode is Opcode.PING:
                ping = bytes(payload)
            elif opcode is Opcode.CLOSE:
                self.finished = True
                self.alarm = None
                break
        # Of several pings the last may be answered for all (RFC 6455, section 5.5.3).
        if ping is not None and not self.finished:
            self._unsent += self._frame(Opcode.PONG, ping)
        return records

    def wake(self) -> None:
        """At the server: ping."""
        self._unsent += self._frame(Opcode.PING, b"")
        self.alarm = self._until_ping()

    def data_to_send(self) -> list[bytes]:
        unsent, self._unsent = self._unsent, []
        return unsent

    def finish(self) -> list[bytes]:
        self.alarm = None
        return self._frame(Opcode.CLOSE, _NORMAL_CLOSURE)

    def _until_ping(self) -> Alarm | None:
        return Alarm(self._random.uniform(*PING_SECONDS))

    def _frame(self, opcode: Opcode, payload: bytes) -> list[bytes]:
        return frame(opcode, payload, self._draws.take(masking.KEY_SIZE) if self._masks else None)
