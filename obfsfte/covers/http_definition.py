"""Definitions of kind `http`: what requests and responses look like.

    kind = "http"
    description = "..."

    [carriers.NAME]             # what a client's hello looks like, in its first request
    [fields.NAME]               # what else varies; `host` and `path` must be there
    [tickets.NAME]              # what the other requests are known by: a new string each time
    pattern = '...'
    lengths = [...]

    [requests.NAME]             # a client's requests; each bridge has those of one name
    first = '''GET {path}... HTTP/1.1 ...'''    # with a carrier
    poll = '''GET {path}... HTTP/1.1 ...'''     # with a ticket, for no data; may be left out
    send = '''POST {path}... HTTP/1.1 ...'''    # with the same ticket, for data
    [responses.NAME]            # a server's responses; each bridge has those of one name
    first = '''HTTP/1.1 200 OK ...'''           # may be left out: then it is as the next
    next = '''HTTP/1.1 200 OK ...'''

`carriers` and `fields` are as `template_tables` says; a field's `per` can be "session" too (both
ends know the string, and can show the same cookie), and "message". A head that has a body says
`Content-Length: {length}` or `Transfer-Encoding: chunked`. A server that is given a `path` takes
requests for what is below it as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import ClassVar

import attrs

from obfsfte.covers.cover import KEY_SIZE
from obfsfte.covers.http import HttpClient, HttpServer
from obfsfte.covers.http_body import RECORD_FRAMING
from obfsfte.covers.http_heads import Head, Requests, Responses, Tickets
from obfsfte.covers.http_opening import HttpGreeting, HttpOpening
from obfsfte.covers.http_templates import Loader, RequestTemplates, ResponseTemplates
from obfsfte.covers.table import Table
from obfsfte.covers.template_definition import TemplateDefinition, as_lists
from obfsfte.covers.template_tables import load_carriers, load_fields, load_tickets
from obfsfte.covers.templates import SCHEMES, AnyField, Field, Place, Seeded, Template
from obfsfte.covers.turns import REQUEST_LIMITS, RESPONSE_LIMITS
from obfsfte.errors import WireError
from obfsfte.regular import Language
from obfsfte.session.records import OVERHEAD

#: What a bridge's chunks can have, in bytes: the buffers of common servers.
_CHUNKS = (8192, 16384, 32768)

_PER = ("bridge", "session", "connection", "message")


@attrs.frozen
class HttpDefinition(TemplateDefinition[RequestTemplates, ResponseTemplates]):
    """A `Definition` of kind `http`."""

    tickets: Mapping[str, tuple[str, Sequence[Language]]]
    #: Where requests have their tickets; sorted.
    ticket_places: Sequence[Place]
    kind: ClassVar[str] = "http"
    takes_turns: ClassVar[bool] = True
    _FAILURE: ClassVar[str] = "does not get on with the responses"

    @classmethod
    def load(cls, table: Table, name: str, description: str) -> HttpDefinition:
        """From the rest of a definition's table. Raises ConfigError."""
        carriers = load_carriers(table)
        tickets = load_tickets(table)
        fields = load_fields(table, ["length", "date", "scheme", *carriers, *tickets], _PER)
        loader = Loader(carriers, fields, [*tickets])
        below = table.table("requests")
        requests = {
            scheme: [loader.requests(below.table(each), each, scheme) for each in below.names()]
            for scheme in SCHEMES
        }
        below = table.table("responses")
        responses = [loader.responses(below.table(each), each) for each in below.names()]
        definition = cls(
            name,
            description,
            carriers,
            fields,
            requests,
            responses,
            sorted(loader.hello_places),
            tickets,
            sorted(loader.ticket_places),
        )
        definition.check_pairs(table)
        return definition

    def _further_facts(self) -> list[str]:
        lines = []
        for place in self.ticket_places:
            _, languages = self.tickets[place.carrier]
            bits = min(language.capacity for language in languages)
            lines.append(f"ticket in {place.source}, {place.prefix}...: {bits} bits or more")
        least, most = (limit >> 10 for limit in REQUEST_LIMITS)
        down_least, down_most = (limit >> 10 for limit in RESPONSE_LIMITS)
        lines.append(
            f"a request carries up to {least} to {most} KiB, a response {down_least} to "
            f"{down_most}; each record costs {OVERHEAD + RECORD_FRAMING} bytes, each message its "
            "head; small ones are padded"
        )
        return lines

    def _also_known(self) -> dict[str, object]:
        return {
            "ticket_places": as_lists(self.ticket_places),
            "tickets": {
                name: [pattern, [language.length for language in languages]]
                for name, (pattern, languages) in self.tickets.items()
            },
        }

    def _greeting(
        self, request: RequestTemplates, shown: Mapping[str, str], seeded: Seeded, random: Random
    ) -> HttpGreeting:
        # The three heads show the same client.
        mine = {name: field.value(seeded, random) for name, field in self.fields.items()}
        mine |= {**shown}

        def begin(hello: Mapping[str, str], upstream: bytes, downstream: bytes) -> HttpClient:
            def head(template: Template) -> Head:
                value = partial(_value, mine, upstream)
                return Head.of(template, self.fields, value, {**mine, **hello})

            poll = None if request.poll is None else head(request.poll)
            requests = Requests(head(request.first), poll, head(request.send), request.ticket)
            chunk = seeded.choice("chunk of requests", _CHUNKS)
            keys = upstream, downstream
            return HttpClient(requests, self._tickets(upstream), keys, chunk, random)

        embedding = random.choice(self.carriers[request.carrier].embeddings)
        return HttpGreeting(request.carrier, embedding, begin)

    def _opening(
        self, response: ResponseTemplates, path: bytes | None, seeded: Seeded, random: Random
    ) -> HttpOpening:
        def begin(opening: HttpOpening, upstream: bytes, downstream: bytes) -> HttpServer:
            mine = {name: field.value(seeded, random) for name, field in self.fields.items()}

            def head(template: Template) -> Head:
                return Head.of(template, self.fields, partial(_value, mine, upstream), {})

            responses = Responses(head(response.first), head(response.next))
            chunk = seeded.choice("chunk of responses", _CHUNKS)
            keys = downstream, upstream
            return HttpServer(opening, responses, self._tickets(upstream), keys, chunk, random)

        return HttpOpening(self.hello_places, self.ticket_places, self.carriers, path, begin)

    def _tickets(self, upstream: bytes) -> Tickets:
        return Tickets({name: each for name, (_, each) in self.tickets.items()}, upstream)

    def _meet(
        self, request: RequestTemplates, response: ResponseTemplates, shown: Mapping[str, str]
    ) -> None:
        keys = bytes(KEY_SIZE), bytes(KEY_SIZE)
        seeded, random = Seeded(""), Random(0)  # noqa: S311 - nothing is sent
        greeting = self._greeting(request, shown, seeded, random)
        client = greeting.begin(bytes(greeting.record_size(0)), *keys)
        opening = self._opening(response, None, seeded, random)
        hello, *_ = opening.feed(b"".join(client.data_to_send()))
        server = hello.accept(*keys, now=0)
        for records in ([bytes(100)], [] if request.poll else [bytes(100)]):
            server.unwrap(b"")
            client.unwrap(b"".join(server.say([bytes(100)], 0)))
            opening = self._opening(response, None, seeded, random)
            opening.feed(b"".join(client.say(records, 0)))
            if not {*opening.tickets()} & {*server.next_tickets()}:
                raise WireError("a ticket is not where the server looks for it")
            server.resume(opening)


def _value(mine: Mapping[str, str], upstream: bytes, field: AnyField) -> str:
    if isinstance(field, Field) and field.per == "session":
        return field.of_session(upstream)
    return mine[field.name]
