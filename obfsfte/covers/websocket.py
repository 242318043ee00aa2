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

from collections.abc import Mapping, Sequence
from random import Random

import attrs

from obfsfte.alarm import Alarm
from obfsfte.covers import masking
from obfsfte.covers.draws import Draws
from obfsfte.covers.embedding import Embedding
from obfsfte.covers.http_fields import FORWARDED_FOR, http_date, tokens, values
from obfsfte.covers.schedule import opening_draw
from obfsfte.covers.sizes import Sizes
from obfsfte.covers.templates import Carrier, Filled, Place, Template, hellos_in
from obfsfte.covers.websocket_frames import MAX_MESSAGE, FrameReader, Opcode, frame
from obfsfte.covers.websocket_opening import (
    RequestReader,
    ResponseReader,
    Upgrade,
    accept_for,
)
from obfsfte.errors import NotOurs

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


@attrs.frozen
class Request:
    """A client's request, complete but for the hello."""

    head: Filled
    carrier: str
    embedding: Embedding
    key: bytes

    def render(self, hello: bytes) -> bytes:
        """The head; `hello` is the carrier's string."""
        return self.head.render({"key": self.key.decode(), self.carrier: hello.decode()})


class WebSocketGreeting:
    """A client before its hello (a `Greeting`)."""

    def __init__(self, request: Request, random: Random) -> None:
        self._request = request
        self._random = random

    def record_size(self, wanted: int) -> int:
        return self._request.embedding.size

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> WebSocketCover:
        request = self._request
        string = request.embedding.embed(hello, opening_draw(upstream))
        return WebSocketCover(
            FrameReader(masked=False),
            self._random,
            request.render(string),
            ResponseReader(request.key, _offered(request.head.template)),
        )


def _offered(template: Template) -> list[bytes]:
    """The subprotocols that a request offers."""
    name = "sec-websocket-protocol"
    return tokens([(name.encode(), each.encode()) for each in template.values(name)], name.encode())


@attrs.frozen
class WebSocketHello:
    """A request that has what may be a client's hello (a `Hello`)."""

    record: bytes
    _place: int  # in the carrier's language
    _embedding: Embedding
    _upgrade: Upgrade
    _response: Filled
    _random: Random

    @property
    def forwarded_for(self) -> list[bytes]:
        return values(self._upgrade.headers, FORWARDED_FOR)

    def accept(self, upstream: bytes, downstream: bytes, now: int) -> WebSocketCover:
        if self._place != self._embedding.place(self.record, opening_draw(upstream)):
            raise NotOurs("a hello was altered within the cover's language")
        reader = FrameReader(masked=True, early=self._upgrade.rest)
        return WebSocketCover(reader, self._random, self._head(now))

    def _head(self, now: int) -> bytes:
        strings = {"accept": accept_for(self._upgrade.key).decode(), "date": http_date(now)}
        head = self._response.render(strings)
        # A browser gives up if none of the subprotocols that it offered is chosen.
        for protocol in tokens(self._upgrade.headers, b"sec-websocket-protocol")[:1]:
            head = head.removesuffix(b"\r\n") + b"Sec-WebSocket-Protocol: %b\r\n\r\n" % protocol
        return head


class WebSocketOpening:
    """A server before a hello has verified (an `Opening`).

    `path`: what the request's target must be, its query apart; None: anything.
    """

    def __init__(
        self,
        places: Sequence[Place],
        carriers: Mapping[str, Carrier],
        response: Filled,
        path: bytes | None,
        random: Random,
    ) -> None:
        self._places = places
        self._carriers = carriers
        self._response = response
        self._path = path
        self._random = random
        self._reader = RequestReader()
        self._done = False

    @property
    def possible(self) -> bool:
        return not self._done

    def feed(self, data: bytes) -> list[WebSocketHello]:
        upgrade = self._reader.feed(data)
        if upgrade is None:
            return []
        self._done = True
        if self._path is not None and upgrade.target.partition(b"?")[0] != self._path:
            raise NotOurs("a WebSocket for another path")
        hellos = self._hellos(upgrade)
        if not hellos:
            raise NotOurs("a request for a WebSocket without a hello")
        return hellos

    def _hellos(self, upgrade: Upgrade) -> list[WebSocketHello]:
        found = hellos_in(self._places, self._carriers, upgrade.target, upgrade.headers)
        return [WebSocketHello(*each, upgrade, self._response, self._random) for each in found]
