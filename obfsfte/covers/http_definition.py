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
`Content-Length: {length}` or `Transfer-Encoding: chunked`.

Parameters of the bridge line are those of `template_tables`. They are only shown: the server needs
none of them, so an intermediary may rewrite them. A server that is given a `path` refuses
requests that are not for it, nor below it.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from functools import partial
from random import Random
from typing import ClassVar

import attrs

from obfsfte.covers.cover import KEY_SIZE
from obfsfte.covers.http import (
    Head,
    HttpClient,
    HttpGreeting,
    HttpOpening,
    HttpServer,
    Requests,
    Responses,
    Tickets,
)
from obfsfte.covers.http_body import RECORD_FRAMING
from obfsfte.covers.http_messages import CHUNKED_LINE, LENGTH_LINE
from obfsfte.covers.table import Table
from obfsfte.covers.template_tables import (
    PARAMETERS,
    SEED,
    check_length,
    check_lengths_vary,
    check_parameters,
    check_template,
    facts_of_hellos,
    load_carriers,
    load_fields,
    load_tickets,
)
from obfsfte.covers.templates import Carrier, Field, Place, Seeded, Template
from obfsfte.covers.turns import REQUEST_LIMITS, RESPONSE_LIMITS
from obfsfte.errors import WireError
from obfsfte.regular import Language
from obfsfte.session.records import OVERHEAD

#: What a bridge's chunks can have, in bytes: the buffers of common servers.
_CHUNKS = (8192, 16384, 32768)

_PER = ("bridge", "session", "connection", "message")


@attrs.frozen
class RequestTemplates:
    """The templates of a client's requests, and the placeholders that matter in them."""

    name: str
    first: Template
    poll: Template | None
    send: Template
    carrier: str
    ticket: str


@attrs.frozen
class ResponseTemplates:
    """The templates of a server's responses."""

    name: str
    first: Template
    next: Template


@attrs.frozen
class HttpDefinition:
    """A `Definition` of kind `http`."""

    name: str
    description: str
    carriers: Mapping[str, Carrier]
    fields: Mapping[str, Field]
    tickets: Mapping[str, tuple[str, Sequence[Language]]]
    requests: Sequence[RequestTemplates]
    responses: Sequence[ResponseTemplates]
    #: Where requests have their hellos, and their tickets; sorted.
    hello_places: Sequence[Place]
    ticket_places: Sequence[Place]
    kind: ClassVar[str] = "http"
    takes_turns: ClassVar[bool] = True
    speaks_http: ClassVar[bool] = True
    parameters: ClassVar[frozenset[str]] = frozenset(PARAMETERS)

    @classmethod
    def load(cls, table: Table, name: str, description: str) -> HttpDefinition:
        """From the rest of a definition's table. Raises ConfigError."""
        carriers = load_carriers(table)
        tickets = load_tickets(table)
        loader = _Loader(
            carriers,
            load_fields(table, ["length", "date", "scheme", *carriers, *tickets], _PER),
            [*tickets],
        )
        below = table.table("requests")
        requests = [loader.requests(below.table(each), each) for each in below.names()]
        below = table.table("responses")
        responses = [loader.responses(below.table(each), each) for each in below.names()]
        for each, found in (("requests", requests), ("responses", responses)):
            if not found:
                raise table.fault(each, "must have one name or more")
        definition = cls(
            name,
            description,
            carriers,
            loader.fields,
            tickets,
            requests,
            responses,
            sorted(loader.hello_places),
            sorted(loader.ticket_places),
        )
        definition._try(table)
        return definition

    def facts(self) -> list[str]:
        lines = [
            f"requests: {', '.join(each.name for each in self.requests)}",
            f"responses: {', '.join(each.name for each in self.responses)}",
            *facts_of_hellos(self.hello_places, self.carriers),
        ]
        for place in self.ticket_places:
            _, languages = self.tickets[place.carrier]
            bits = min(language.capacity for language in languages)
            lines.append(f"ticket in {place.source}, {place.prefix}...: {bits} bits or more")
        least, most = (limit >> 10 for limit in REQUEST_LIMITS)
        down_least, down_most = (limit >> 10 for limit in RESPONSE_LIMITS)
        lines += [
            f"a request carries up to {least} to {most} KiB, a response {down_least} to "
            f"{down_most}; each record costs {OVERHEAD + RECORD_FRAMING} bytes, each message its "
            "head; small ones are padded",
            "first message exempt from blocking as fully encrypted: Ex5: it begins as HTTP",
        ]
        return lines

    def fingerprint(self, parameters: Mapping[str, str]) -> bytes:
        check_parameters(self.name, parameters)
        # docs/covers.md shows this form. Templates are not in it, as in a websocket's.
        places = [
            [[each.source, each.prefix, each.carrier] for each in found]
            for found in (self.hello_places, self.ticket_places)
        ]
        canonical = json.dumps(
            {
                "kind": self.kind,
                "carriers": {
                    each.name: [each.pattern, each.lengths] for each in self.carriers.values()
                },
                "places": places[0],
                "ticket_places": places[1],
                "tickets": {
                    name: [pattern, [language.length for language in languages]]
                    for name, (pattern, languages) in self.tickets.items()
                },
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode("ascii")).digest()

    def client(self, parameters: Mapping[str, str], random: Random) -> HttpGreeting:
        check_parameters(self.name, parameters)
        seeded = Seeded(parameters.get(SEED, ""))
        return self._greeting(seeded.choice("request", self.requests), parameters, seeded, random)

    def opening(self, parameters: Mapping[str, str], random: Random) -> HttpOpening:
        check_parameters(self.name, parameters)
        seeded = Seeded(parameters.get(SEED, ""))
        path = parameters["path"].encode("ascii") if "path" in parameters else None
        return self._opening(seeded.choice("response", self.responses), path, seeded, random)

    def _greeting(
        self,
        templates: RequestTemplates,
        parameters: Mapping[str, str],
        seeded: Seeded,
        random: Random,
    ) -> HttpGreeting:
        # The three heads show the same client.
        mine = {name: field.value(seeded, random) for name, field in self.fields.items()}
        mine = {"scheme": "http", **mine, **parameters}

        def begin(hello: Mapping[str, str], upstream: bytes, downstream: bytes) -> HttpClient:
            def head(template: Template) -> Head:
                return Head.of(template, self.fields, partial(_value, mine, upstream), mine)

            poll = None if templates.poll is None else head(templates.poll)
            requests = Requests(head(templates.first), poll, head(templates.send), templates.ticket)
            chunk = seeded.choice("chunk of requests", _CHUNKS)
            keys = upstream, downstream
            return HttpClient(requests, self._tickets(upstream), hello, keys, chunk, random)

        embedding = random.choice(self.carriers[templates.carrier].embeddings)
        return HttpGreeting(templates.carrier, embedding, begin)

    def _opening(
        self, templates: ResponseTemplates, path: bytes | None, seeded: Seeded, random: Random
    ) -> HttpOpening:
        def begin(opening: HttpOpening, upstream: bytes, downstream: bytes) -> HttpServer:
            mine = {name: field.value(seeded, random) for name, field in self.fields.items()}

            def head(template: Template) -> Head:
                return Head.of(template, self.fields, partial(_value, mine, upstream))

            responses = Responses(head(templates.first), head(templates.next))
            chunk = seeded.choice("chunk of responses", _CHUNKS)
            keys = downstream, upstream
            return HttpServer(opening, responses, self._tickets(upstream), keys, chunk, random)

        return HttpOpening(self.hello_places, self.ticket_places, self.carriers, path, begin)

    def _tickets(self, upstream: bytes) -> Tickets:
        return Tickets({name: each for name, (_, each) in self.tickets.items()}, upstream)

    def _try(self, table: Table) -> None:
        """Have a conversation with each pair of requests and responses."""
        keys = bytes(KEY_SIZE), bytes(KEY_SIZE)
        seeded, random = Seeded(""), Random(0)  # noqa: S311 - nothing is sent
        for requests in self.requests:
            for responses in self.responses:
                try:
                    greeting = self._greeting(requests, {}, seeded, random)
                    client = greeting.begin(bytes(greeting.record_size(0)), *keys)
                    opening = self._opening(responses, None, seeded, random)
                    hello, *_ = opening.feed(b"".join(client.data_to_send()))
                    server = hello.accept(*keys, now=0)
                    for records in ([bytes(100)], [] if requests.poll else [bytes(100)]):
                        server.unwrap(b"")
                        client.unwrap(b"".join(server.say([bytes(100)], 0)))
                        opening = self._opening(responses, None, seeded, random)
                        opening.feed(b"".join(client.say(records, 0)))
                        if not {*opening.tickets()} & {*server.next_tickets()}:
                            raise WireError("a ticket is not where the server looks for it")
                        server.resume(opening)
                except WireError as error:
                    raise table.fault(
                        f"requests.{requests.name}",
                        f"does not get on with the responses {responses.name}: {error}",
                    ) from None


def _value(mine: Mapping[str, str], upstream: bytes, field: Field) -> str:
    return field.of_session(upstream) if field.per == "session" else mine[field.name]


class _Loader:
    """Reads templates, and collects where requests have what a server looks for."""

    def __init__(
        self, carriers: Mapping[str, Carrier], fields: Mapping[str, Field], tickets: Sequence[str]
    ) -> None:
        self.fields = fields
        self.hello_places: set[Place] = set()
        self.ticket_places: set[Place] = set()
        self._carriers = carriers
        self._tickets = tickets

    def requests(self, table: Table, name: str) -> RequestTemplates:
        first = self._template(table, "first", [*self._carriers], r"GET")
        carrier = self._place(table, first, [*self._carriers], self.hello_places)
        check_lengths_vary(first, table, self._carriers, self.fields)
        send = self._template(table, "send", ["length", *self._tickets], r"POST")
        ticket = self._place(table, send, self._tickets, self.ticket_places)
        poll = None
        if table.has("poll"):
            poll = self._template(table, "poll", self._tickets, r"GET")
            if self._place(table, poll, self._tickets, self.ticket_places) != ticket:
                raise table.fault("poll", f"must have the ticket of send, {{{ticket}}}")
        table.finish()
        return RequestTemplates(name, first, poll, send, carrier, ticket)

    def responses(self, table: Table, name: str) -> ResponseTemplates:
        following = self._response(table, "next")
        first = self._response(table, "first") if table.has("first") else following
        table.finish()
        return ResponseTemplates(name, first, following)

    def _template(self, table: Table, key: str, more: Sequence[str], method: str) -> Template:
        template = Template(key, table.text(key))
        check_template(template, table, {"scheme", *more, *self.fields})
        target = r" \{path\}(/[!-~]*)?(\?[!-~]+)? HTTP/1\.1\n"
        if not re.match(method + target, template.text.lstrip()):
            raise table.fault(
                key, f"must begin with {method} {{path}} HTTP/1.1; more may follow {{path}}"
            )
        self._check_framing(table, template, has_body="length" in more)
        check_length(template, table, self._carriers, self.fields)
        return template

    def _response(self, table: Table, key: str) -> Template:
        template = Template(key, table.text(key))
        check_template(template, table, {"length", "date", *self.fields})
        if not re.match(r"HTTP/1\.1 200 OK\n", template.text.lstrip()):
            raise table.fault(key, "must begin with HTTP/1.1 200 OK")
        self._check_framing(table, template, has_body=True)
        return template

    def _check_framing(self, table: Table, template: Template, *, has_body: bool) -> None:
        framing = template.values("content-length") + template.values("transfer-encoding")
        if framing not in ([["{length}"], ["chunked"]] if has_body else [[]]):
            lines = f"one line, {LENGTH_LINE} or {CHUNKED_LINE}" if has_body else "no line"
            raise table.fault(template.name, f"must have {lines} that frames a body")

    def _place(
        self, table: Table, template: Template, names: Sequence[str], places: set[Place]
    ) -> str:
        """Which of the names it has, and in what place. Raises ConfigError."""
        found = [name for name in template.placeholders if name in names]
        place = template.place_of(found[0]) if len(found) == 1 else None
        if place is None:
            raise table.fault(
                template.name,
                f"must have one of {', '.join(names)} in braces, at the end of a member of the "
                "query, of a cookie, or of another field",
            )
        places.add(place)
        return found[0]
