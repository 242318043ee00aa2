"""Definitions of kind `websocket`: what the opening looks like.

kind = "websocket"
description = "..."

[carriers.NAME]             # what a client's hello looks like
[fields.NAME]               # what else varies: as `template_tables` says
[requests]                  # heads of requests, of which each bridge has one
NAME = '''GET {path} HTTP/1.1 ...'''
[responses]                 # heads of responses, the same
NAME = '''HTTP/1.1 101 Switching Protocols ...'''
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from random import Random
from typing import ClassVar

import attrs

from obfsfte.covers.cover import KEY_SIZE
from obfsfte.covers.http_fields import members
from obfsfte.covers.table import Table
from obfsfte.covers.template_definition import Site, TemplateDefinition
from obfsfte.covers.template_fields import AnyField
from obfsfte.covers.template_places import Carrier, Place
from obfsfte.covers.template_tables import (
    check_length,
    check_lengths_vary,
    check_template,
    load_carriers,
    load_fields,
    place_in,
)
from obfsfte.covers.templates import SCHEMES, Template
from obfsfte.covers.websocket import MAX_FROM_CLIENT
from obfsfte.covers.websocket_frames import MAX_MESSAGE
from obfsfte.covers.websocket_look import WebSocketLook
from obfsfte.session.records import OVERHEAD


@attrs.frozen
class WebSocketDefinition(TemplateDefinition[Template, Template]):
    """A `Definition` of kind `websocket`."""

    kind: ClassVar[str] = "websocket"
    takes_turns: ClassVar[bool] = False
    _FAILURE: ClassVar[str] = "does not open a WebSocket with the response"

    @classmethod
    def load(cls, table: Table, name: str, description: str) -> WebSocketDefinition:
        """From the rest of a definition's table. Raises ConfigError."""
        carriers = load_carriers(table)
        fields = load_fields(
            table, ["key", "accept", "date", "scheme", *carriers], ["bridge", "connection"]
        )
        below = table.table("requests")
        requests: dict[str, list[Template]] = {scheme: [] for scheme in SCHEMES}
        places = set()
        for each in below.names():
            for scheme in SCHEMES:
                request = Template.of(each, below.text(each), scheme)
                requests[scheme].append(request)
                places.add(_check_request(request, below, carriers, fields))
        below = table.table("responses")
        responses = [Template(each, below.text(each)) for each in below.names()]
        for response in responses:
            check_template(response, below, {"accept", "date", *fields})
            if not re.match(r"HTTP/1\.1 101 [!-~]", response.text.lstrip()):
                raise below.fault(response.name, "must begin with HTTP/1.1 101 Switching Protocols")
        definition = cls(name, description, carriers, fields, requests, responses, sorted(places))
        definition.check_pairs(table)
        return definition

    def _further_facts(self) -> list[str]:
        return [
            f"then messages of up to {MAX_FROM_CLIENT} bytes from the client, {MAX_MESSAGE} from "
            f"the server, {OVERHEAD} of them for the record, and 2 to 14 more for the frame; small "
            "ones are padded"
        ]

    def _look(self, request: Template, response: Template, site: Site) -> WebSocketLook:
        [carrier] = [each for each in request.placeholders if each in self.carriers]
        offered = [each.encode() for each in request.values("Sec-WebSocket-Protocol")]
        return WebSocketLook(
            self._head(request, "connection", site, site.strings),
            self.carriers[carrier],
            frozenset(members(offered)),
            self._head(response, "connection", site),
            self._hellos,
            site.path,
        )

    def _meet(self, request: Template, response: Template, scheme: str) -> None:
        keys = bytes(KEY_SIZE), bytes(KEY_SIZE)
        look, random = self._look(request, response, Site.of({"scheme": scheme})), Random(0)  # noqa: S311 - nothing is sent
        greeting = look.greeting(random)
        client = greeting.begin(bytes(greeting.record_size(0)), *keys)
        hello, *_ = look.opening(random).feed(b"".join(client.data_to_send()))
        client.unwrap(b"".join(hello.accept(*keys, now=0).data_to_send()))


def _check_request(
    template: Template,
    table: Table,
    carriers: Mapping[str, Carrier],
    fields: Mapping[str, AnyField],
) -> Place:
    """Where the request has its hello. Raises ConfigError."""
    check_template(template, table, {"key", "scheme", *carriers, *fields})
    if not re.match(r"GET \{path\}(\?[!-~]+)? HTTP/1\.1\n", template.text.lstrip()):
        raise table.fault(template.name, "must begin with GET {path} HTTP/1.1")
    place = place_in(template, table, [*carriers])
    check_length(template, table, carriers, fields)
    check_lengths_vary(template, table, carriers, fields)
    return place
