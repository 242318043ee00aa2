"""What one bridge's sessions look like in the `http` cover, and whose a request at a server is.

The look has all that is the same in each of them; a session adds what it keeps to itself, and
a message what is new in it.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from random import Random

import attrs

from obfsfte.covers.http import HttpClient, HttpServer
from obfsfte.covers.http_fields import FORWARDED_FOR
from obfsfte.covers.http_heads import Kept, Requests, Responses, Tickets
from obfsfte.covers.http_messages import RequestReader
from obfsfte.covers.schedule import opening_draw
from obfsfte.covers.template_fields import Strings
from obfsfte.covers.template_places import Candidate, Carrier, Hellos, Places
from obfsfte.errors import NotOurs


@attrs.frozen
class HttpLook:
    """A `Look`."""

    requests: Requests
    #: What the first request has for its hello.
    carrier: Carrier
    kept_by_client: Kept
    responses: Responses
    kept_by_server: Kept
    #: What tickets can be, by their names.
    tickets: Mapping[str, Strings]
    hellos: Hellos
    ticket_places: Places
    #: What a request's target must be or be below, its query apart; None: anything.
    path: bytes | None

    def greeting(self, random: Random) -> HttpGreeting:
        return HttpGreeting(self, random)

    def opening(self, random: Random) -> HttpOpening:
        return HttpOpening(self, random)


class HttpGreeting:
    """A client before its hello (a `Greeting`)."""

    def __init__(self, look: HttpLook, random: Random) -> None:
        self._look = look
        self._random = random
        self._embedding = random.choice(look.carrier.embeddings)

    def record_size(self, wanted: int) -> int:
        return self._embedding.size

    def begin(self, hello: bytes, upstream: bytes, downstream: bytes) -> HttpClient:
        look = self._look
        string = self._embedding.embed(hello, opening_draw(upstream))
        kept = look.kept_by_client.strings(self._random, upstream)
        requests = look.requests.filled({**kept, look.carrier.name: string})
        tickets = Tickets(look.tickets, upstream)
        return HttpClient(requests, tickets, (upstream, downstream), self._random)


@attrs.frozen
class HttpHello:
    """A request that has what may be a client's hello (a `Hello`)."""

    _candidate: Candidate
    _opening: HttpOpening

    @property
    def record(self) -> bytes:
        return self._candidate.record

    @property
    def forwarded_for(self) -> Sequence[bytes]:
        return self._opening.reader.fields.values(FORWARDED_FOR)

    def accept(self, upstream: bytes, downstream: bytes, now: int) -> HttpServer:
        self._candidate.check(upstream)
        return self._opening.begin(upstream, downstream)


class HttpOpening:
    """A server that has to find out whose a request is (an `Opening`, a `TurnOpening`)."""

    def __init__(self, look: HttpLook, random: Random) -> None:
        self.reader = RequestReader()
        self.pieces: list[bytes] = []
        self._look = look
        self._random = random

    @property
    def possible(self) -> bool:
        return self.reader.head is None

    def feed(self, data: bytes) -> list[HttpHello]:
        self.pieces += self.reader.feed(data)
        head = self.reader.head
        if head is None:
            return []
        own = self._look.path
        if own is not None:
            path = head.target.partition(b"?")[0]
            if path != own and not path.startswith(own.removesuffix(b"/") + b"/"):
                raise NotOurs("a request for another path")
        if not self.reader.complete:
            return []  # a first request has no body
        found = self._look.hellos.find(head.target, self.reader.fields)
        return [HttpHello(each, self) for each in found]

    def tickets(self) -> list[bytes]:
        head = self.reader.head
        if head is None:
            return []
        found = self._look.ticket_places.strings(head.target, self.reader.fields)
        return [string for _, string in found]

    def begin(self, upstream: bytes, downstream: bytes) -> HttpServer:
        """The server's side, whose first request this was."""
        look = self._look
        responses = look.responses.filled(look.kept_by_server.strings(self._random, upstream))
        tickets = Tickets(look.tickets, upstream)
        return HttpServer(self, responses, tickets, (downstream, upstream), self._random)
