"""What definitions of kind `websocket` and `http` have in common.

Both show HTTP from templates. Each bridge has the requests of one name, in the variant of its
site's scheme, and the responses of one name. What both ends must know beforehand is what a hello
looks like, and where to find it. All the rest is only shown, and may differ between them: it
follows the browsers and servers of the day, and an intermediary may rewrite it.

Parameters of the bridge line are those of `template_tables`. A server that is given a `path`
refuses requests for others.
"""

from __future__ import annotations

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from typing import ClassVar, Generic, Protocol, TypeVar

import attrs

from obfsfte.covers.cover import Look
from obfsfte.covers.table import Table
from obfsfte.covers.template_fields import AnyField, Seeded, having
from obfsfte.covers.template_places import Carrier, Hellos, Place, Places
from obfsfte.covers.template_tables import PARAMETERS, SEED, check_parameters, facts_of_hellos
from obfsfte.covers.templates import SCHEMES, Head, Template
from obfsfte.errors import WireError


class _Named(Protocol):
    @property
    def name(self) -> str: ...


RequestT = TypeVar("RequestT", bound=_Named)
ResponseT = TypeVar("ResponseT", bound=_Named)


@attrs.frozen
class Site:
    """What a bridge line's parameters say of the site that a bridge seems to be."""

    scheme: str
    seeded: Seeded
    #: What a client shows: the scheme, host and path if they are given.
    strings: Mapping[str, bytes]

    @classmethod
    def of(cls, parameters: Mapping[str, str]) -> Site:
        scheme = parameters.get("scheme", SCHEMES[0])
        strings = {
            name: value.encode("ascii")
            for name, value in {**parameters, "scheme": scheme}.items()
            if name != SEED
        }
        return cls(scheme, Seeded(parameters.get(SEED, "")), strings)

    @property
    def path(self) -> bytes | None:
        """What a server refuses others than; None: it takes any."""
        return self.strings.get("path")


@attrs.frozen
class TemplateDefinition(ABC, Generic[RequestT, ResponseT]):
    """A `Definition` that shows HTTP."""

    name: str
    description: str
    carriers: Mapping[str, Carrier]
    fields: Mapping[str, AnyField]
    #: What a client shows, by the site's scheme, and what a server does.
    requests: Mapping[str, Sequence[RequestT]]
    responses: Sequence[ResponseT]
    #: Where requests have their hellos; sorted.
    hello_places: Sequence[Place]
    kind: ClassVar[str]
    speaks_http: ClassVar[bool] = True
    parameters: ClassVar[frozenset[str]] = frozenset(PARAMETERS)
    #: What a request and a response that do not fit fail to do.
    _FAILURE: ClassVar[str]

    def look(self, parameters: Mapping[str, str]) -> Look:
        check_parameters(self.name, parameters)
        site = Site.of(parameters)
        request = site.seeded.choice("request", self.requests[site.scheme])
        return self._look(request, site.seeded.choice("response", self.responses), site)

    def fingerprint(self, parameters: Mapping[str, str]) -> bytes:
        check_parameters(self.name, parameters)
        # docs/covers.md shows this form.
        canonical = json.dumps(
            {
                "kind": self.kind,
                "carriers": {
                    each.name: [each.pattern, each.lengths] for each in self.carriers.values()
                },
                "places": as_lists(self.hello_places),
                **self._also_known(),
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode("ascii")).digest()

    def facts(self) -> list[str]:
        return [
            f"requests: {', '.join(each.name for each in self.requests[SCHEMES[0]])}",
            f"responses: {', '.join(each.name for each in self.responses)}",
            *facts_of_hellos(self.hello_places, self.carriers),
            *self._further_facts(),
            "first message exempt from blocking as fully encrypted: Ex5: it begins as HTTP",
        ]

    def check_pairs(self, table: Table) -> None:
        """Let each request meet a response, and each response a request. Raises ConfigError."""
        for key, found in (("requests", self.requests[SCHEMES[0]]), ("responses", self.responses)):
            if not found:
                raise table.fault(key, "must have one or more")
        for scheme, request, response in self._pairs():
            try:
                self._meet(request, response, scheme)
            except WireError as error:
                raise table.fault(
                    f"requests.{request.name}", f"{self._FAILURE} {response.name}: {error}"
                ) from None

    def _pairs(self) -> Iterator[tuple[str, RequestT, ResponseT]]:
        for scheme, requests in self.requests.items():
            for request in requests:
                yield scheme, request, self.responses[0]
        for response in self.responses[1:]:
            yield SCHEMES[0], self.requests[SCHEMES[0]][0], response

    def _head(
        self, template: Template, per: str, site: Site, shown: Mapping[str, bytes] | None = None
    ) -> Head:
        """What a bridge makes of a template; each message has new values of fields of that `per`.

        `shown` are strings that come in place of any others.
        """
        strings = dict(shown or {})
        fields = {
            name: self.fields[name]
            for name in template.placeholders
            if name in self.fields and name not in strings
        }
        for name, field in fields.items():
            if field.per == "bridge":
                strings[name] = field.of_bridge(site.seeded)
        return Head.of(template, having(per, fields.values())).filled(strings)

    @property
    def _hellos(self) -> Hellos:
        return Hellos(Places(self.hello_places), self.carriers)

    @abstractmethod
    def _look(self, request: RequestT, response: ResponseT, site: Site) -> Look:
        """What a bridge with these templates looks like."""

    @abstractmethod
    def _meet(self, request: RequestT, response: ResponseT, scheme: str) -> None:
        """Have a conversation. Raises WireError where they do not fit."""

    @abstractmethod
    def _further_facts(self) -> list[str]:
        """Of this kind alone."""

    def _also_known(self) -> dict[str, object]:
        """What else both ends must know, for the fingerprint."""
        return {}


def as_lists(places: Sequence[Place]) -> list[list[str]]:
    """Places as a fingerprint has them."""
    return [[each.source, each.prefix, each.name] for each in places]
