"""The fields of an HTTP head, as h11 gives them: names in lower case, each with its value."""

from __future__ import annotations

from collections.abc import Sequence
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

Headers = Sequence[tuple[bytes, bytes]]


def values(headers: Headers, name: bytes) -> list[bytes]:
    """The values of all fields of that lower-case name."""
    return [value for each, value in headers if each == name]


def tokens(headers: Headers, name: bytes) -> list[bytes]:
    """The members of a field that is a list (RFC 9110, section 5.6.1)."""
    members = b",".join(values(headers, name)).split(b",")
    return [member.strip(b" \t") for member in members if member.strip(b" \t")]


def has_token(headers: Headers, name: bytes, token: bytes) -> bool:
    """Whether a field that is a list has that lower-case member, in whatever case."""
    return token in (each.lower() for each in tokens(headers, name))


def wrong_status(code: int) -> str:
    """What it means that an answer to a client of ours has this status."""
    if code in _OF_GATEWAYS:
        return f"the web server in front does not reach the bridge: HTTP status {code}"
    return f"the answer has HTTP status {code}: a site's, not the bridge's"


def http_date(now: int) -> str:
    """Unix time as a Date field has it (RFC 9110, section 5.6.7)."""
    return formatdate(now, usegmt=True)
