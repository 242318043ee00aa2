"""The heads of the built-in definitions, as tests compare them with those of real programs."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from random import Random

from obfsfte.covers.catalogue import Catalogue
from obfsfte.covers.http_definition import HttpDefinition
from obfsfte.covers.template_fields import AnyField, Field, Seeded
from obfsfte.covers.templates import Template
from obfsfte.covers.websocket_definition import WebSocketDefinition

AnyDefinition = HttpDefinition | WebSocketDefinition


def definition(cover: str) -> AnyDefinition:
    """A built-in one that shows HTTP."""
    found = Catalogue().get(cover)
    assert isinstance(found, AnyDefinition)
    return found


def requests(cover: str, name: str, scheme: str = "http") -> Iterator[Template]:
    """Those that begin with that name, of a site of that scheme."""
    for each in definition(cover).requests[scheme]:
        if each.name.startswith(name):
            if isinstance(each, Template):
                yield each
            else:
                yield from (one for one in (each.first, each.poll, each.send) if one)


def response(cover: str, name: str) -> Template:
    """That of this name."""
    [found] = [each for each in definition(cover).responses if each.name == name]
    return found if isinstance(found, Template) else found.next


def filled(cover: str, template: Template, strings: Mapping[str, str]) -> str:
    """The template with `strings`, and with others for what else is in it."""
    of = definition(cover)
    random = Random(template.text)
    mine = {name: string(field, random) for name, field in of.fields.items()}
    for name, carrier in of.carriers.items():
        language = random.choice(carrier.embeddings).language
        mine[name] = language.unrank(random.randrange(language.size)).decode()
    if isinstance(of, HttpDefinition):
        for name, (_, possible) in of.tickets.items():
            mine[name] = possible.fresh(random).decode()
    mine |= strings
    return re.sub(r"\{(\w+)\}", lambda match: mine[match[1]], template.text.strip())


def string(field: AnyField, random: Random) -> str:
    """One that the field can have."""
    if isinstance(field, Field) and field.per != "bridge":
        return field.fresh(random).decode()
    return field.of_bridge(Seeded("x")).decode()


def common(head: str, varying: list[tuple[str, str]]) -> str:
    """A head without what varies: patterns, and what stands for them."""
    for pattern, replacement in varying:
        head = re.sub(pattern, replacement, head)
    return head
