"""What one bridge's WebSockets look like when they begin: its request, and its response.

The look has all that is the same in each of them; a greeting, or an opening, adds what is new.
"""

from __future__ import annotations

import base64
from collections.abc import Sequence
from random import Random

import attrs

from obfsfte.covers.http_fields import FORWARDED_FOR, http_date
from obfsfte.covers.schedule import opening_draw
from obfsfte.covers.template_places import Candidate, Carrier, Hellos
from obfsfte.covers.templates import Head
from obfsfte.covers.websocket import WebSocketCover
from obfsfte.covers.websocket_frames import FrameReader
from obfsfte.covers.websocket_opening import (
    KEY_SIZE,
    RequestReader,
    ResponseReader,
    Upgrade,
    accept_for,
)
from obfsfte.errors import NotOurs


@attrs.frozen
class WebSocketLook:
    """A `Look`. The gaps of its heads are what is new in each connection."""

    request: Head
    #: What the request has for its hello.
    carrier: Carrier
    #: The subprotocols that the request offers.
    protocols: frozenset[bytes]
    response: Head
    hellos: Hellos
    #: What a request's target must be, its query apart; None: anything.
    path: bytes | None

    def greeting(self, random: Random) -> WebSocketGreeting:
        return WebSocketGreeting(self, random)

    def opening(self, random: Random) -> WebSocketOpening:
        return WebSocketOpening(self, random)


class WebSocketGreeting:
    """A client before its hello (a `Greeting`)."""

    def __init__(self, look: WebSocketLook, random: Random) -> None:
        self._look = look
        self._random = random
        self._embedding = random.choice(look.carrier.embeddings)

    def record_size(self, wanted: int) -> int:
        return self._embedding.size

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> WebSocketCover:
        look, random = self._look, self._random
        string = self._embedding.embed(hello, opening_draw(upstream))
        key = base64.b64encode(random.randbytes(KEY_SIZE))
        return WebSocketCover(
            FrameReader(masked=False),
            random,
            look.request.render(random, {"key": key, look.carrier.name: string}),
            ResponseReader(key, look.protocols),
        )


@attrs.frozen
class WebSocketHello:
    """A request that has what may be a client's hello (a `Hello`)."""

    _candidate: Candidate
    _upgrade: Upgrade
    _response: Head
    _random: Random

    @property
    def record(self) -> bytes:
        return self._candidate.record

    @property
    def forwarded_for(self) -> Sequence[bytes]:
        return self._upgrade.fields.values(FORWARDED_FOR)

    def accept(self, upstream: bytes, downstream: bytes, now: int) -> WebSocketCover:
        self._candidate.check(upstream)
        reader = FrameReader(masked=True, early=self._upgrade.rest)
        return WebSocketCover(reader, self._random, self._head(now))

    def _head(self, now: int) -> bytes:
        strings = {"accept": accept_for(self._upgrade.key)}
        if "date" in self._response.gaps:
            strings["date"] = http_date(now)
        head = self._response.render(self._random, strings)
        # A browser gives up if none of the subprotocols that it offered is chosen.
        for protocol in self._upgrade.fields.tokens(b"sec-websocket-protocol")[:1]:
            head = head.removesuffix(b"\r\n") + b"Sec-WebSocket-Protocol: %b\r\n\r\n" % protocol
        return head


class WebSocketOpening:
    """A server before a hello has verified (an `Opening`)."""

    def __init__(self, look: WebSocketLook, random: Random) -> None:
        self._look = look
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
        look = self._look
        if look.path is not None and upgrade.target.partition(b"?")[0] != look.path:
            raise NotOurs("a WebSocket for another path")
        found = look.hellos.find(upgrade.target, upgrade.fields)
        hellos = [WebSocketHello(each, upgrade, look.response, self._random) for each in found]
        if not hellos:
            raise NotOurs("a request for a WebSocket without a hello")
        return hellos
