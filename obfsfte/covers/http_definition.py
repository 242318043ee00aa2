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
from random import Random
from typing import ClassVar

import attrs

from obfsfte.covers.cover import KEY_SIZE
from obfsfte.covers.http_body import RECORD_FRAMING
from obfsfte.covers.http_heads import Kept, Requests, Responses
from obfsfte.covers.http_look import HttpLook
from obfsfte.covers.http_messages import Framed
from obfsfte.covers.http_templates import Loader, RequestTemplates, ResponseTemplates
from obfsfte.covers.table import Table
from obfsfte.covers.template_definition import Site, TemplateDefinition, as_lists
from obfsfte.covers.template_fields import Strings, having
from obfsfte.covers.template_places import Place, Places
from obfsfte.covers.template_tables import load_carriers, load_fields, load_tickets
from obfsfte.covers.templates import SCHEMES, Head, Template
from obfsfte.covers.turns import REQUEST_LIMITS, RESPONSE_LIMITS
from obfsfte.errors import WireError
from obfsfte.session.records import OVERHEAD

#: What a bridge's chunks can have, in bytes: the buffers of common servers.
_CHUNKS = (8192, 16384, 32768)

_PER = ("bridge", "session", "connection", "message")


@attrs.frozen
class HttpDefinition(TemplateDefinition[RequestTemplates, ResponseTemplates]):
    """A `Definition` of kind `http`."""

    tickets: Mapping[str, tuple[str, Strings]]
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
            _, strings = self.tickets[place.name]
            bits = min(language.capacity for language in strings.languages)
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
                name: [pattern, [language.length for language in strings.languages]]
                for name, (pattern, strings) in self.tickets.items()
            },
        }

    def _look(self, request: RequestTemplates, response: ResponseTemplates, site: Site) -> HttpLook:
        def asked(template: Template) -> Head:
            return self._head(template, "message", site, site.strings)

        def framed(template: Template, head: Head, name: str) -> Framed:
            is_chunked = template.values("Transfer-Encoding") != []
            return Framed(head, site.seeded.choice(name, _CHUNKS) if is_chunked else None)

        def answered(template: Template) -> Framed:
            head = self._head(template, "message", site)
            return framed(template, head, "chunk of responses")

        requests = Requests(
            asked(request.first),
            None if request.poll is None else asked(request.poll),
            framed(request.send, asked(request.send), "chunk of requests"),
            request.ticket,
        )
        responses = Responses(answered(response.first), answered(response.next))
        return HttpLook(
            requests,
            self.carriers[request.carrier],
            self._kept(requests.heads),
            responses,
            self._kept(responses.heads),
            {name: strings for name, (_, strings) in self.tickets.items()},
            self._hellos,
            Places(self.ticket_places),
            site.path,
        )

    def _kept(self, heads: Sequence[Head]) -> Kept:
        """What these heads have the same in all messages of a session."""
        names = dict.fromkeys(gap for head in heads for gap in head.gaps if gap in self.fields)
        fields = [self.fields[name] for name in names]
        return Kept(having("connection", fields), having("session", fields))

    def _meet(self, request: RequestTemplates, response: ResponseTemplates, scheme: str) -> None:
        keys = bytes(KEY_SIZE), bytes(KEY_SIZE)
        random = Random(0)  # noqa: S311 - nothing is sent
        look = self._look(request, response, Site.of({"scheme": scheme}))
        greeting = look.greeting(random)
        client = greeting.begin(bytes(greeting.record_size(0)), *keys)
        hello, *_ = look.opening(random).feed(b"".join(client.data_to_send()))
        server = hello.accept(*keys, now=0)
        for records in ([bytes(100)], [] if request.poll else [bytes(100)]):
            server.unwrap(b"")
            client.unwrap(b"".join(server.say([bytes(100)], 0)))
            opening = look.opening(random)
            opening.feed(b"".join(client.say(records, 0)))
            if not {*opening.tickets()} & {*server.next_tickets()}:
                raise WireError("a ticket is not where the server looks for it")
            server.resume(opening)
