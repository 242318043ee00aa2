"""Reading the templates of a definition of kind `http`, and finding the places in them.

A client's requests are three: the first, with its hello; one that sends data, with a ticket; and
one that only asks, with the same ticket. The two later ones may show the first one's hello again:
a browser sends a cookie with each request.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

import attrs

from obfsfte.covers.http_messages import CHUNKED_LINE, LENGTH_LINE
from obfsfte.covers.table import Table
from obfsfte.covers.template_fields import AnyField
from obfsfte.covers.template_places import Carrier, Place
from obfsfte.covers.template_tables import (
    check_length,
    check_lengths_vary,
    check_template,
    place_in,
)
from obfsfte.covers.templates import Template


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


class Loader:
    """Reads templates, and collects where requests have what a server looks for."""

    def __init__(
        self,
        carriers: Mapping[str, Carrier],
        fields: Mapping[str, AnyField],
        tickets: Sequence[str],
    ) -> None:
        self.hello_places: set[Place] = set()
        self.ticket_places: set[Place] = set()
        self._carriers = carriers
        self._fields = fields
        self._tickets = tickets

    def requests(self, table: Table, name: str, scheme: str) -> RequestTemplates:
        """One client's, for a site of that scheme. Raises ConfigError."""
        first = self._request(table, "first", scheme, [*self._carriers], r"GET")
        hello = place_in(first, table, [*self._carriers])
        check_lengths_vary(first, table, self._carriers, self._fields)
        later = [hello.name, *self._tickets]
        send = self._request(table, "send", scheme, ["length", *later], r"POST")
        tickets = [place_in(send, table, self._tickets)]
        poll = None
        if table.has("poll"):
            poll = self._request(table, "poll", scheme, later, r"GET")
            tickets.append(place_in(poll, table, self._tickets))
        ticket = tickets[0].name
        if tickets[-1].name != ticket:
            raise table.fault("poll", f"must have the ticket of send, {{{ticket}}}")
        table.finish()
        self.hello_places.add(hello)
        self.ticket_places.update(tickets)
        return RequestTemplates(name, first, poll, send, hello.name, ticket)

    def responses(self, table: Table, name: str) -> ResponseTemplates:
        """One server's. Raises ConfigError."""
        following = self._response(table, "next")
        first = self._response(table, "first") if table.has("first") else following
        table.finish()
        return ResponseTemplates(name, first, following)

    def _request(
        self, table: Table, key: str, scheme: str, more: Sequence[str], method: str
    ) -> Template:
        template = Template.of(key, table.text(key), scheme)
        check_template(template, table, {"scheme", *more, *self._fields})
        target = r" \{path\}(/[!-~]*)?(\?[!-~]+)? HTTP/1\.1\n"
        if not re.match(method + target, template.text.lstrip()):
            raise table.fault(
                key, f"must begin with {method} {{path}} HTTP/1.1; more may follow {{path}}"
            )
        self._check_framing(table, template, has_body="length" in more)
        check_length(template, table, self._carriers, self._fields)
        return template

    def _response(self, table: Table, key: str) -> Template:
        template = Template(key, table.text(key))
        check_template(template, table, {"length", "date", *self._fields})
        if not re.match(r"HTTP/1\.1 200 OK\n", template.text.lstrip()):
            raise table.fault(key, "must begin with HTTP/1.1 200 OK")
        self._check_framing(table, template, has_body=True)
        return template

    def _check_framing(self, table: Table, template: Template, *, has_body: bool) -> None:
        framing = template.values("content-length") + template.values("transfer-encoding")
        if framing not in ([["{length}"], ["chunked"]] if has_body else [[]]):
            lines = f"one line, {LENGTH_LINE} or {CHUNKED_LINE}" if has_body else "no line"
            raise table.fault(template.name, f"must have {lines} that frames a body")
