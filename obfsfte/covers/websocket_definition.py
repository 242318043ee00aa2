"""Definitions of kind `websocket`: what the opening looks like.

    kind = "websocket"
    description = "..."

    [carriers.NAME]             # what a client's hello looks like
    pattern = '...'
    lengths = [...]             # in bytes; the client picks one for each connection
    [fields.NAME]               # what else varies; `host` and `path` must be there
    pattern = '...'
    lengths = [...]
    per = "bridge"              # the same for all connections of a bridge, or "connection"
    [requests]                  # heads of requests, of which each bridge has one
    NAME = '''GET {path} HTTP/1.1 ...'''
    [responses]                 # heads of responses, the same
    NAME = '''HTTP/1.1 101 Switching Protocols ...'''

Parameters of the bridge line: `host` and `path` replace the fields of that name, `scheme` is
the site's (`http` or `https`), `seed` (any text) chooses what is per bridge. They are only
shown: the server needs none of them, so an intermediary may rewrite them. A server that is
given a `path` refuses others.
"""

from __future__ import annotations

import base64
import hashlib
import json
import re
from collections.abc import Mapping, Sequence
from random import Random
from typing import ClassVar

import attrs

from obfsfte.covers.cover import KEY_SIZE as COVER_KEY_SIZE
from obfsfte.covers.embedding import Embedding
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
)
from obfsfte.covers.templates import Carrier, Field, Filled, Place, Seeded, Template
from obfsfte.covers.websocket import Request, WebSocketGreeting, WebSocketOpening
from obfsfte.covers.websocket_frames import MAX_MESSAGE
from obfsfte.covers.websocket_opening import KEY_SIZE
from obfsfte.errors import WireError
from obfsfte.session.records import OVERHEAD


@attrs.frozen
class WebSocketDefinition:
    """A `Definition` of kind `websocket`."""

    name: str
    description: str
    carriers: Mapping[str, Carrier]
    fields: Mapping[str, Field]
    requests: Sequence[Template]
    responses: Sequence[Template]
    #: Where requests have their hellos, sorted.
    places: Sequence[Place]
    kind: ClassVar[str] = "websocket"
    takes_turns: ClassVar[bool] = False
    speaks_http: ClassVar[bool] = True
    parameters: ClassVar[frozenset[str]] = frozenset(PARAMETERS)

    @classmethod
    def load(cls, table: Table, name: str, description: str) -> WebSocketDefinition:
        """From the rest of a definition's table. Raises ConfigError."""
        carriers = load_carriers(table)
        fields = load_fields(
            table, ["key", "accept", "date", "scheme", *carriers], ["bridge", "connection"]
        )
        below = table.table("requests")
        requests, places = [], set()
        for each in below.names():
            request = Template(each, below.text(each))
            requests.append(request)
            places.add(_check_request(request, below, carriers, fields))
        below = table.table("responses")
        responses = [Template(each, below.text(each)) for each in below.names()]
        for response in responses:
            check_template(response, below, {"accept", "date", *fields})
            if not re.match(r"HTTP/1\.1 101 [!-~]", response.text.lstrip()):
                raise below.fault(response.name, "must begin with HTTP/1.1 101 Switching Protocols")
        for each, found in (("requests", requests), ("responses", responses)):
            if not found:
                raise table.fault(each, "must have one template or more")
        definition = cls(name, description, carriers, fields, requests, responses, sorted(places))
        definition._try(table)
        return definition

    def facts(self) -> list[str]:
        lines = [
            f"requests: {', '.join(each.name for each in self.requests)}",
            f"responses: {', '.join(each.name for each in self.responses)}",
            *facts_of_hellos(self.places, self.carriers),
        ]
        lines.append(
            f"then messages of any size up to {MAX_MESSAGE} bytes, {OVERHEAD} of them for the "
            "record, and 2 to 14 more for the frame; small ones are padded"
        )
        lines.append(
            "first message exempt from blocking as fully encrypted: Ex5: it begins as HTTP"
        )
        return lines

    def fingerprint(self, parameters: Mapping[str, str]) -> bytes:
        check_parameters(self.name, parameters)
        # docs/covers.md shows this form. Templates are not in it: they follow the browsers of
        # the day, and clients and servers of different releases must understand each other.
        canonical = json.dumps(
            {
                "kind": self.kind,
                "carriers": {
                    each.name: [each.pattern, each.lengths] for each in self.carriers.values()
                },
                "places": [[each.source, each.prefix, each.carrier] for each in self.places],
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode("ascii")).digest()

    def client(self, parameters: Mapping[str, str], random: Random) -> WebSocketGreeting:
        check_parameters(self.name, parameters)
        seeded = Seeded(parameters.get(SEED, ""))
        request = seeded.choice("request", self.requests)
        embedding = random.choice(self._carrier(request).embeddings)
        return self._greeting(request, embedding, parameters, seeded, random)

    def opening(self, parameters: Mapping[str, str], random: Random) -> WebSocketOpening:
        check_parameters(self.name, parameters)
        seeded = Seeded(parameters.get(SEED, ""))
        response = seeded.choice("response", self.responses)
        path = parameters["path"].encode("ascii") if "path" in parameters else None
        return self._opening(response, path, seeded, random)

    def _greeting(
        self,
        template: Template,
        embedding: Embedding,
        parameters: Mapping[str, str],
        seeded: Seeded,
        random: Random,
    ) -> WebSocketGreeting:
        strings = template.strings(self.fields, seeded, random)
        request = Request(
            Filled(template, {"scheme": "http", **strings, **parameters}),
            self._carrier(template).name,
            embedding,
            base64.b64encode(random.randbytes(KEY_SIZE)),
        )
        return WebSocketGreeting(request, random)

    def _carrier(self, template: Template) -> Carrier:
        """What the hello of a request looks like."""
        [name] = [each for each in template.placeholders if each in self.carriers]
        return self.carriers[name]

    def _opening(
        self, template: Template, path: bytes | None, seeded: Seeded, random: Random
    ) -> WebSocketOpening:
        response = Filled(template, template.strings(self.fields, seeded, random))
        return WebSocketOpening(self.places, self.carriers, response, path, random)

    def _try(self, table: Table) -> None:
        """Open a WebSocket with each request, and answer it with each response."""
        keys = bytes(COVER_KEY_SIZE), bytes(COVER_KEY_SIZE)
        seeded, random = Seeded(""), Random(0)  # noqa: S311 - nothing is sent
        for request in self.requests:
            for response in self.responses:
                # One length of each carrier: the others differ in nothing that could fail.
                embedding = self._carrier(request).embeddings[0]
                greeting = self._greeting(request, embedding, {}, seeded, random)
                client = greeting.begin(bytes(greeting.record_size(0)), *keys)
                opening = self._opening(response, None, seeded, random)
                try:
                    hello, *_ = opening.feed(b"".join(client.data_to_send()))
                    client.unwrap(b"".join(hello.accept(*keys, now=0).data_to_send()))
                except WireError as error:
                    raise table.fault(
                        f"requests.{request.name}",
                        f"does not open a WebSocket with the response {response.name}: {error}",
                    ) from None


def _check_request(
    template: Template,
    table: Table,
    carriers: Mapping[str, Carrier],
    fields: Mapping[str, Field],
) -> Place:
    """Where the request has its hello. Raises ConfigError."""
    names = check_template(template, table, {"key", "scheme", *carriers, *fields})
    if not re.match(r"GET \{path\}(\?[!-~]+)? HTTP/1\.1\n", template.text.lstrip()):
        raise table.fault(template.name, "must begin with GET {path} HTTP/1.1")
    found = [name for name in names if name in carriers]
    place = template.place_of(found[0]) if len(found) == 1 else None
    if place is None:
        raise table.fault(
            template.name,
            f"must have one carrier ({', '.join(carriers)}) in braces, at the end of a member of "
            "the query, of a cookie, or of another field",
        )
    check_length(template, table, carriers, fields)
    check_lengths_vary(template, table, carriers, fields)
    return place
