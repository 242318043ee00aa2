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

from collections.abc import Sequence
from random import Random
from typing import TYPE_CHECKING, cast

from obfsfte.covers.cover import TurnOpening
from obfsfte.covers.draws import Draws
from obfsfte.covers.http_body import MAX_RECORD, BodyReader, BodyWriter
from obfsfte.covers.http_fields import http_date
from obfsfte.covers.http_heads import Requests, Responses, Tickets
from obfsfte.covers.http_messages import RequestReader, ResponseReader
from obfsfte.covers.sizes import Sizes
from obfsfte.errors import WireError

if TYPE_CHECKING:
    from obfsfte.covers.http_look import HttpOpening


class _HttpCover:
    """What is common to both sides."""

    def __init__(self, tickets: Tickets, keys: tuple[bytes, bytes], random: Random) -> None:
        sending, receiving = keys
        self.closes_connection = False
        self.my_turn = False
        self._writer = BodyWriter(sending)
        self._reader = BodyReader(receiving)
        self._tickets = tickets
        self._random = random
        self._sizes = Sizes(Draws(random), MAX_RECORD)

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
        self, requests: Requests, tickets: Tickets, keys: tuple[bytes, bytes], random: Random
    ) -> None:
        super().__init__(tickets, keys, random)
        self._requests = requests
        self._unsent = [requests.first.render(random, {})]
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
        body = self._body(records)
        strings = {requests.ticket: self._tickets.string(requests.ticket)}
        self._tickets.number += 1
        self._answer = ResponseReader()
        if not records and requests.poll is not None:
            return [requests.poll.render(self._random, strings)]
        return requests.send.request(self._random, strings, body)

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
        random: Random,
    ) -> None:
        super().__init__(tickets, keys, random)
        self._responses = responses
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
        self._read(cast("HttpOpening", opening))

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
        return head.response(self._random, {"date": http_date(now)}, body, to)

    def data_to_send(self) -> list[bytes]:
        return []
