"""The first request of a session in the `http` cover, and how a server finds whose a request is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import attrs

from obfsfte.covers.embedding import Embedding
from obfsfte.covers.http import HttpClient, HttpServer
from obfsfte.covers.http_fields import FORWARDED_FOR, values
from obfsfte.covers.http_messages import RequestReader
from obfsfte.covers.schedule import opening_draw
from obfsfte.covers.templates import Carrier, Place, hellos_in
from obfsfte.errors import NotOurs


class HttpGreeting:
    """A client before its hello (a `Greeting`)."""

    def __init__(
        self,
        carrier: str,
        embedding: Embedding,
        begin: Callable[[Mapping[str, str], bytes, bytes], HttpClient],
    ) -> None:
        self._carrier = carrier
        self._embedding = embedding
        self._begin = begin

    def record_size(self, wanted: int) -> int:
        return self._embedding.size

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> HttpClient:
        string = self._embedding.embed(hello, opening_draw(upstream))
        return self._begin({self._carrier: string.decode()}, upstream, downstream)


@attrs.frozen
class HttpHello:
    """A request that has what may be a client's hello (a `Hello`)."""

    record: bytes
    _place: int  # in the carrier's language
    _embedding: Embedding
    _begin: Callable[[bytes, bytes], HttpServer]
    forwarded_for: Sequence[bytes]

    def accept(self, upstream: bytes, downstream: bytes, now: int) -> HttpServer:
        if self._place != self._embedding.place(self.record, opening_draw(upstream)):
            raise NotOurs("a hello was altered within the cover's language")
        return self._begin(upstream, downstream)


class HttpOpening:
    """A server that has to find out whose a request is (an `Opening`, a `TurnOpening`).

    `hello_places` and `ticket_places` say where to look; `path` is what the request's target must
    be or be below, its query apart; None: anything. `begin` makes a server's side.
    """

    def __init__(
        self,
        hello_places: Sequence[Place],
        ticket_places: Sequence[Place],
        carriers: Mapping[str, Carrier],
        path: bytes | None,
        begin: Callable[[HttpOpening, bytes, bytes], HttpServer],
    ) -> None:
        self.reader = RequestReader()
        self.pieces: list[bytes] = []
        self._hello_places = hello_places
        self._ticket_places = ticket_places
        self._carriers = carriers
        self._path = path
        self._begin = begin
        self._is_elsewhere = False

    @property
    def possible(self) -> bool:
        return self.reader.head is None

    def feed(self, data: bytes) -> list[HttpHello]:
        self.pieces += self.reader.feed(data)
        head = self.reader.head
        if head is None:
            return []
        if self._path is not None:
            path = head.target.partition(b"?")[0]
            if path != self._path and not path.startswith(self._path.removesuffix(b"/") + b"/"):
                raise NotOurs("a request for another path")
        if not self.reader.complete:
            return []  # a first request has no body
        headers = list(head.headers)
        found = hellos_in(self._hello_places, self._carriers, head.target, headers)
        forwarded_for = values(headers, FORWARDED_FOR)
        return [HttpHello(*each, self._accept, forwarded_for) for each in found]

    def tickets(self) -> list[bytes]:
        head = self.reader.head
        if head is None:
            return []
        return [
            string
            for place in self._ticket_places
            for string in place.strings(head.target, list(head.headers))
        ]

    def _accept(self, upstream: bytes, downstream: bytes) -> HttpServer:
        return self._begin(self, upstream, downstream)
