"""The fields of an HTTP head, by name."""

from __future__ import annotations

from collections.abc import Iterable
from email.utils import formatdate

import h11

#: What h11 raises for bytes that are no HTTP. ValueError: up to 0.14, it leaves a Content-Length of
#: thousands of digits to int(), which refuses it.
NOT_HTTP = (h11.RemoteProtocolError, ValueError)

#: Bytes of a request's or a response's head at most, its blank line included.
MAX_HEAD = 1 << 14

#: Where a server between says whom it saw; each adds one (a custom; RFC 7239 has another).
FORWARDED_FOR = b"x-forwarded-for"

#: What a web server says when what is behind it does not answer (RFC 9110, section 15.6).
_OF_GATEWAYS = (502, 503, 504)


class Fields:
    """The fields of one head. Names are in lower case, as h11 compares them."""

    __slots__ = ("_values",)

    def __init__(self, head: h11.Request | h11.Response | h11.InformationalResponse) -> None:
        self._values: dict[bytes, list[bytes]] = {}
        for raw_name, value in head.headers.raw_items():
            name = raw_name.lower()
            if name in self._values:
                self._values[name].append(value)
            else:
                self._values[name] = [value]

    def values(self, name: bytes) -> list[bytes]:
        """The values of all fields of that name."""
        return self._values.get(name, [])

    def tokens(self, name: bytes) -> list[bytes]:
        """The members of a field that is a list."""
        return members(self._values[name]) if name in self._values else []

    def has_token(self, name: bytes, token: bytes) -> bool:
        """Whether a field that is a list has that lower-case member, in whatever case."""
        return token in [each.lower() for each in self.tokens(name)]


def members(values: Iterable[bytes]) -> list[bytes]:
    """The members of a list that is in these values (RFC 9110, section 5.6.1)."""
    parts = b",".join(values).split(b",")
    return [member for part in parts if (member := part.strip(b" \t"))]


def wrong_status(code: int) -> str:
    """What it means that an answer to a client of ours has this status."""
    if code in _OF_GATEWAYS:
        return f"the web server in front does not reach the bridge: HTTP status {code}"
    return f"the answer has HTTP status {code}: a site's, not the bridge's"


def http_date(now: int) -> bytes:
    """Unix time as a Date field has it (RFC 9110, section 5.6.7)."""
    return formatdate(now, usegmt=True).encode("ascii")
