r"""The formats of fteproxy: two releases, each a list of named regular languages.

A format pairs a pattern with the length of its strings. `NAME-request` is spoken by the
client, `NAME-response` by the server, and a connection always uses the two of one name.

The patterns are fteproxy's languages, not its text: its parser (regex2dfa 0.2) is not
Python's `re`, and where the two read a pattern differently the table has what fteproxy does.
- A backslash inside brackets is a member of the class: the URI of `manual-http-request` may
  contain one.
- `\C` is any byte.
- `^` and `$` say nothing: a match is always of the whole string.
"""

from __future__ import annotations

import functools
from collections.abc import Iterable, Iterator, Mapping
from types import MappingProxyType

import attrs

from obfsfte.errors import ConfigError, quoted
from obfsfte.regular import Language

_REQUEST = "-request"
_RESPONSE = "-response"


@functools.cache
def _compile(pattern: bytes, length: int) -> Language:
    return Language(pattern, length)


@attrs.frozen
class Format:
    """One direction's language: the strings of `length` bytes that match `pattern`."""

    release: str
    name: str
    pattern: bytes
    length: int

    def language(self) -> Language:
        """The compiled language: built on first use, then the same one for the process."""
        return _compile(self.pattern, self.length)

    @property
    def is_request(self) -> bool:
        return self.name.endswith(_REQUEST)

    @property
    def pair_name(self) -> str:
        """The name without its direction, as the negotiation says it: `manual-http`."""
        return self.name.removesuffix(_REQUEST).removesuffix(_RESPONSE)


# Compared by identity, which makes it a cheap key for what is derived from it.
@attrs.frozen(eq=False)
class Release:
    """The formats that fteproxy published under one date."""

    name: str
    formats: Mapping[str, Format] = attrs.field(repr=False)

    def format(self, name: str) -> Format:
        """The format of that name. Raises ConfigError if there is none."""
        return self._find(name, self.formats)

    def request(self, pair_name: str) -> Format:
        """What the client of a pair speaks. Raises ConfigError if there is no such pair."""
        return self._find(pair_name, {request.pair_name: request for request in self.requests()})

    def _find(self, name: str, known: Mapping[str, Format]) -> Format:
        try:
            return known[name]
        except KeyError:
            raise ConfigError(
                f"unknown format {quoted(name)} in release {self.name}: choose one of "
                + ", ".join(sorted(known))
            ) from None

    def only(self, pair_names: Iterable[str]) -> Release:
        """This release with the formats of these pairs alone. Raises ConfigError.

        A server that expects one format refuses strangers sooner than one that expects
        all: any 256 bytes may begin a connection in `dummy`.
        """
        requests = [self.request(pair_name) for pair_name in pair_names]
        formats = [*requests, *map(self.response_to, requests)]
        return Release(self.name, MappingProxyType({format.name: format for format in formats}))

    def requests(self) -> Iterator[Format]:
        """What a client of this release may open a connection with."""
        return (format for format in self.formats.values() if format.is_request)

    def response_to(self, request: Format) -> Format:
        """The format in which a server of this release answers `request`."""
        return self.format(request.pair_name + _RESPONSE)


_Definition = tuple[bytes, int]


def _release(name: str, pairs: Mapping[str, tuple[_Definition, _Definition]]) -> Release:
    formats = {
        pair + direction: Format(name, pair + direction, pattern, length)
        for pair, definitions in pairs.items()
        for direction, (pattern, length) in zip((_REQUEST, _RESPONSE), definitions, strict=True)
    }
    return Release(name, MappingProxyType(formats))


def _both_ways(pattern: bytes, length: int) -> tuple[_Definition, _Definition]:
    return (pattern, length), (pattern, length)


# name: (request pattern, slice length), (response pattern, slice length)
_MANUAL_HTTP = (
    (rb"GET /[a-zA-Z0-9.\\/]* HTTP/1\.1\r\n\r\n", 256),
    (rb"HTTP/1\.1 200 OK\r\nContent-Type: [a-zA-Z0-9]+\r\n\r\n[\x00-\xff]*", 256),
)
_DUMMY = _both_ways(rb"[\x00-\xff]+", 256)

_20131224 = _release(
    "20131224",
    {
        "manual-http": _MANUAL_HTTP,
        "manual-ssh": _both_ways(rb"SSH-2\.0[\x00-\xff]*", 256),
        "dummy": _DUMMY,
    },
)

_20260110 = _release(
    "20260110",
    {
        "http-simple": (
            (rb"GET /[a-zA-Z0-9]+ HTTP/1\.1\r\n\r\n", 256),
            (rb"HTTP/1\.1 200 OK\r\n\r\n[a-zA-Z0-9]+", 256),
        ),
        "ssh": _both_ways(rb"SSH-2\.0-[a-zA-Z0-9_]+", 128),
        "tls-sni": _both_ways(rb"[a-z0-9]+\.[a-z0-9]+\.[a-z]+", 128),
        "smtp": ((rb"EHLO [a-z0-9]+\.[a-z]+", 128), (rb"250-[a-z0-9]+\.[a-z]+ [A-Z]+", 128)),
        "ftp": ((rb"USER [a-z0-9]+", 64), (rb"220 [a-z]+\.[a-z]+ ready", 128)),
        "lowercase": _both_ways(rb"[a-z]+", 256),
        "uppercase": _both_ways(rb"[A-Z]+", 256),
        "alphanumeric": _both_ways(rb"[a-zA-Z0-9]+", 256),
        "hex": _both_ways(rb"[0-9a-f]+", 256),
        "digits": _both_ways(rb"[0-9]+", 256),
        "binary": _both_ways(rb"[01]+", 256),
        "base64": _both_ways(rb"[a-zA-Z0-9+/]+", 256),
        "words": _both_ways(rb"([a-z]+ )+[a-z]+", 256),
        "sentences": _both_ways(rb"([A-Z][a-z]+ )+[a-z]+\.", 256),
        "ip-address": _both_ways(rb"[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+", 64),
        "domain": _both_ways(rb"[a-z0-9]+\.[a-z]+", 128),
        "url-path": _both_ways(rb"/[a-z0-9]+(/[a-z0-9]+)*", 256),
        "key-value": _both_ways(rb"[a-z]+=[a-zA-Z0-9]+", 128),
        "csv": _both_ways(rb"[a-zA-Z0-9]+(,[a-zA-Z0-9]+)+", 256),
        "email-simple": _both_ways(rb"[a-z]+@[a-z]+\.[a-z]+", 128),
        "timestamp": _both_ways(rb"[0-9]+:[0-9]+:[0-9]+", 64),
        "manual-http": _MANUAL_HTTP,
        "dummy": _DUMMY,
    },
)

DEFAULT_RELEASE = _20260110

#: By name, the newest first.
RELEASES: Mapping[str, Release] = MappingProxyType(
    {release.name: release for release in (_20260110, _20131224)}
)


def find_release(name: str) -> Release:
    """The release of that name. Raises ConfigError if there is none."""
    try:
        return RELEASES[name]
    except KeyError:
        raise ConfigError(
            f"unknown format release {quoted(name)}: choose one of " + ", ".join(RELEASES)
        ) from None
