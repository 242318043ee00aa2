"""The `http` cover: requests and responses in turn, with records in the bodies.

```
 client -> server | GET, the hello in it |       | POST body: records |       | GET |       | ...
 server -> client |                      | 200   |                    | 200   |     | 200   | ...
                                           body: the server's hello     body: records
```

One request is on its way at a time, and each response answers it: no pipelining, since browsers
do not, and intermediaries do not forward it. A request without records is a GET, if the
definition has one; a response has a record always, so that its length says nothing, and so that one
that somebody else made up is noticed.

An intermediary may rewrite heads, frame bodies in its own way, and buffer them. It may also send
each request on another connection, and requests of others between them. So a request shows by
a ticket, in a query or a field, which session it belongs to, and that it is the next one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import cast

import attrs

from obfsfte.covers.cover import TurnOpening
from obfsfte.covers.embedding import Embedding
from obfsfte.covers.http_body import MAX_RECORD, BodyReader, BodyWriter
from obfsfte.covers.http_fields import FORWARDED_FOR, http_date, values
from obfsfte.covers.http_messages import (
    RequestReader,
    ResponseReader,
    request,
    response,
)
from obfsfte.covers.schedule import opening_draw
from obfsfte.covers.sizes import Sizes
from obfsfte.covers.templates import Carrier, Field, Filled, Place, Template, drawn, hellos_in
from obfsfte.errors import NotOurs, WireError
from obfsfte.regular import Language


@attrs.frozen
class Head:
    """The head of messages of one sort: a template, and the strings that are the same in all."""

    filled: Filled
    #: What each message has anew.
    changing: Mapping[str, Field]

    @classmethod
    def of(
        cls,
        template: Template,
        fields: Mapping[str, Field],
        value: Callable[[Field], str],
        more: Mapping[str, str] | None = None,
    ) -> Head:
        """`value` gives the fields' strings that do not change, `more` are others."""
        mine = {name: fields[name] for name in template.placeholders if name in fields}
        changing = {name: field for name, field in mine.items() if field.per == "message"}
        strings = {name: value(field) for name, field in mine.items() if name not in changing}
        return cls(Filled(template, {**(more or {}), **strings}), changing)

    def fresh(self, random: Random) -> dict[str, str]:
        """Strings for what changes."""
        return {name: field.fresh(random) for name, field in self.changing.items()}


class Tickets:
    """What the requests of one session show; the languages are those of a definition's tickets."""

    def __init__(self, languages: Mapping[str, Sequence[Language]], upstream: bytes) -> None:
        self._languages = languages
        self._key = upstream
        self.number = 0  # of the next request, from 0; the hello's does not count

    def string(self, name: str) -> bytes:
        """The next request's ticket of that name."""
        return drawn(self._languages[name], self._key, f"ticket {name} {self.number}")

    def strings(self) -> list[bytes]:
        """The next request's, of all names."""
        return [self.string(name) for name in self._languages]


@attrs.frozen
class Requests:
    """The three sorts of requests of a client, and what they show for a ticket."""

    first: Head
    poll: Head | None
    send: Head
    ticket: str


@attrs.frozen
class Responses:
    """The two sorts of responses of a server."""

    first: Head
    next: Head


class _HttpCover:
    """What is common to both sides."""

    def __init__(self, sending: bytes, receiving: bytes, chunk: int, random: Random) -> None:
        self.closes_connection = False
        self.my_turn = False
        self._writer = BodyWriter(sending)
        self._reader = BodyReader(receiving)
        self._chunk = chunk
        self._random = random
        self._sizes = Sizes(random, MAX_RECORD)

    def record_size(self, wanted: int) -> int:
        return self._sizes.size(wanted)

    def _body(self, records: Sequence[bytes]) -> bytes:
        if not self.my_turn:
            raise ValueError("it is not our turn")
        self._sizes.renew()
        self.my_turn = False
        return self._writer.body(records)

    def _records(self, pieces: Sequence[bytes], *, complete: bool) -> list[bytes]:
        """The records in these pieces of a body, the last of them if it is complete."""
        records = self._reader.feed(pieces)
        if complete:
            if not self._reader.at_boundary:
                raise WireError("an HTTP message ended within a record")
            self.my_turn = True
        return records


class HttpClient(_HttpCover):
    """The client's side (a `TurnCover`). Its first request is in `data_to_send`."""

    def __init__(
        self,
        requests: Requests,
        tickets: Tickets,
        hello: Mapping[str, str],
        keys: tuple[bytes, bytes],
        chunk: int,
        random: Random,
    ) -> None:
        super().__init__(*keys, chunk, random)
        self._requests = requests
        self._tickets = tickets
        first = requests.first
        self._unsent = [first.filled.render({**first.fresh(random), **hello})]
        self._answer = ResponseReader()

    @property
    def is_idle(self) -> bool:
        return self.my_turn

    @property
    def needs_record(self) -> bool:
        return self._requests.poll is None

    def unwrap(self, data: bytes) -> list[bytes]:
        if self.my_turn:
            if data:
                raise WireError("a response that no request asked for")
            return []
        pieces = self._answer.feed(data)
        records = self._records(pieces, complete=self._answer.complete)
        self.closes_connection = self._answer.closes
        return records

    def say(self, records: Sequence[bytes], now: int) -> list[bytes]:
        requests = self._requests
        if not records and requests.poll is None:
            raise ValueError("a request must have a record here")
        head = requests.send if records or requests.poll is None else requests.poll
        body = self._body(records)
        ticket = self._tickets.string(requests.ticket)
        self._tickets.number += 1
        strings = {**head.fresh(self._random), requests.ticket: ticket.decode()}
        self._answer = ResponseReader()
        return request(head.filled, strings, body if records else None, self._chunk)

    def data_to_send(self) -> list[bytes]:
        unsent, self._unsent = self._unsent, []
        return unsent


class HttpServer(_HttpCover):
    """The server's side (a `ServerCover`). `opening` has read the first request."""

    needs_record = True

    def __init__(
        self,
        opening: HttpOpening,
        responses: Responses,
        tickets: Tickets,
        keys: tuple[bytes, bytes],
        chunk: int,
        random: Random,
    ) -> None:
        super().__init__(*keys, chunk, random)
        self._responses = responses
        self._tickets = tickets
        self._is_first = True
        self._read(opening)

    def _read(self, opening: HttpOpening) -> None:
        self._request: RequestReader | None = opening.reader
        self._pieces = opening.pieces

    @property
    def is_idle(self) -> bool:
        return self._request is None

    def next_tickets(self) -> list[bytes]:
        return self._tickets.strings()

    def resume(self, opening: TurnOpening) -> None:
        if self._request is not None:
            raise WireError("a request before the last one was answered")
        self._tickets.number += 1
        self._read(cast(HttpOpening, opening))

    def unwrap(self, data: bytes) -> list[bytes]:
        if self._request is None or self.my_turn:
            if data:
                raise WireError("bytes that belong to no request")
            return []
        pieces = self._pieces + self._request.feed(data)
        self._pieces = []
        if self._request.complete and self._request.rest:
            raise WireError("a request before the last one was answered")
        return self._records(pieces, complete=self._request.complete)

    def say(self, records: Sequence[bytes], now: int) -> list[bytes]:
        if not records or self._request is None:
            raise ValueError("a response answers a request, and has a record")
        head = self._responses.first if self._is_first else self._responses.next
        self._is_first = False
        body = self._body(records)
        to, self._request = self._request, None
        self.closes_connection = not to.persists
        strings = {**head.fresh(self._random), "date": http_date(now)}
        return response(head.filled, strings, body, self._chunk, to)

    def data_to_send(self) -> list[bytes]:
        return []


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
