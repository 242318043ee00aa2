"""What HTTP of ours looks like: templates of requests and responses.

A template is the head of a message as it stands on the wire, one line per line, with the
names of what varies in braces:

    GET {path}?v=2 HTTP/1.1
    Host: {host}
    [https] Sec-Fetch-Mode: cors
    Cookie: lang=en; session={token}
    ...

A line that begins with `[http]` or `[https]` is there only if the site's scheme is that: browsers
send other heads on the way with TLS.

One of these is a *carrier*: the language whose string is the client's hello. The server
finds it by its *place*, whatever happened to the rest of the request on the way.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random
from typing import ClassVar, TypeVar

import attrs

from obfsfte.covers.embedding import Embedding
from obfsfte.covers.http_fields import Headers, values
from obfsfte.errors import WireError
from obfsfte.regular import Language

#: A placeholder in a template.
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")

#: A site's schemes, each of which has its variant of a request's template.
SCHEMES = ("http", "https")
_MARK = re.compile(rf"\[({'|'.join(SCHEMES)})\] ")

#: The `source` of a place in the request's target; of others it is a field's name.
QUERY = "query"

#: Strings of one request that the session is asked about at most: each costs it a key agreement.
_MAX_CANDIDATES = 8

T = TypeVar("T")


class Seeded:
    """Choices that are the same for all connections of one bridge, and differ between bridges."""

    def __init__(self, seed: str) -> None:
        self._seed = seed.encode("utf-8", "surrogatepass")  # any text of a command line

    def draw(self, name: str) -> int:
        """A number that belongs to that name, 0 <= number < 2**512."""
        return int.from_bytes(hashlib.sha512(name.encode() + b"\0" + self._seed).digest(), "big")

    def choice(self, name: str, choices: Sequence[T]) -> T:
        return choices[self.draw(name) % len(choices)]


@attrs.frozen
class Field:
    """A value that varies: a string of one of these languages."""

    name: str
    languages: Sequence[Language]
    #: What has one value: a "bridge", a "session", a "connection", or a "message".
    per: str

    @property
    def longest(self) -> int:
        """Bytes of the longest strings."""
        return max(language.length for language in self.languages)

    def value(self, seeded: Seeded, random: Random) -> str:
        if self.per == "bridge":
            language = seeded.choice(f"length of {self.name}", self.languages)
            return language.unrank(seeded.draw(self.name) % language.size).decode("ascii")
        return self.fresh(random)

    def fresh(self, random: Random) -> str:
        """A string of any of the languages, each of which is as likely."""
        language = random.choice(self.languages)
        return language.unrank(random.randrange(language.size)).decode("ascii")

    def of_session(self, key: bytes) -> str:
        """The value that both ends of a session know."""
        return drawn(self.languages, key, f"field {self.name}").decode("ascii")


@attrs.frozen
class Follower:
    """A value that goes with another field's, which is per bridge: a browser's brands."""

    name: str
    leader: Field
    #: By the leader's strings.
    values: Mapping[str, str]
    per: ClassVar[str] = "bridge"

    @property
    def longest(self) -> int:
        """Bytes of the longest value."""
        return max(map(len, self.values.values()))

    def value(self, seeded: Seeded, random: Random) -> str:
        return self.values[self.leader.value(seeded, random)]


AnyField = Field | Follower


def drawn(languages: Sequence[Language], key: bytes, label: str) -> bytes:
    """A string of one of the languages that follows from the key; each of them is as likely.

    SHAKE256(key || label) gives 8 bytes for the language's number, modulo their number, and
    16 more than the largest language's capacity has, for the string's number in it, the same.
    """
    size = 24 + max(language.capacity for language in languages) // 8
    digest = hashlib.shake_256(key + label.encode("ascii")).digest(size)
    language = languages[int.from_bytes(digest[:8], "big") % len(languages)]
    return language.unrank(int.from_bytes(digest[8:], "big") % language.size)


@attrs.frozen
class Carrier:
    """The languages of a client's hello: one embedding per length, shortest first."""

    name: str
    pattern: str
    embeddings: Sequence[Embedding]

    @property
    def lengths(self) -> list[int]:
        """Bytes of its strings, ascending."""
        return [embedding.language.length for embedding in self.embeddings]


@attrs.frozen(order=True)
class Place:
    """Where a request has its hello: after `prefix`, in one part of `source`.

    The parts of a query are what `&` joins, those of a Cookie field what `;` joins; any
    other field is one part.
    """

    source: str
    prefix: str
    carrier: str

    def strings(self, target: bytes, headers: Headers) -> Iterator[bytes]:
        """What a request has in this place."""
        prefix = self.prefix.encode("ascii")
        for part in _parts(self.source, target, headers):
            if part.startswith(prefix):
                yield part[len(prefix) :]


def _parts(source: str, target: bytes, headers: Headers) -> Iterator[bytes]:
    if source == QUERY:
        yield from target.partition(b"?")[2].split(b"&")
        return
    for value in values(headers, source.encode("ascii")):
        if source == "cookie":
            yield from (part.strip(b" \t") for part in value.split(b";"))
        else:
            yield value


def hellos_in(
    places: Sequence[Place], carriers: Mapping[str, Carrier], target: bytes, headers: Headers
) -> Iterator[tuple[bytes, int, Embedding]]:
    """What may be hellos in a request: record, place in its language, and that language."""
    strings = [
        (carriers[place.carrier], string)
        for place in places
        for string in place.strings(target, headers)
    ]
    for carrier, string in strings[:_MAX_CANDIDATES]:
        for embedding in carrier.embeddings:
            if embedding.language.length == len(string):
                with contextlib.suppress(WireError):
                    yield *embedding.extract(string), embedding


@attrs.frozen
class Template:
    """The head of a message, with placeholders."""

    name: str
    text: str

    @classmethod
    def of(cls, name: str, text: str, scheme: str) -> Template:
        """A request's variant for one scheme."""
        lines = []
        for line in text.splitlines():
            mark = _MARK.match(line)
            if mark is None or mark[1] == scheme:
                lines.append(line[mark.end() :] if mark else line)
        return cls(name, "\n".join(lines))

    @property
    def placeholders(self) -> list[str]:
        """Their names, in order."""
        return PLACEHOLDER.findall(self.text)

    def strings(
        self, fields: Mapping[str, AnyField], seeded: Seeded, random: Random
    ) -> dict[str, str]:
        """A string for each placeholder that is one of the fields."""
        names = [name for name in self.placeholders if name in fields]
        return {name: fields[name].value(seeded, random) for name in names}

    def values(self, name: str) -> list[str]:
        """The values of all fields of that name, as they stand here."""
        lines = (line.partition(":") for line in self.text.splitlines())
        return [value.strip() for each, _, value in lines if each.lower() == name.lower()]

    def place_of(self, carrier: str) -> Place | None:
        """Where this request has a carrier's placeholder; None where no server would find it."""
        target, *fields = self.text.strip().splitlines()
        mark = f"{{{carrier}}}"
        query = target.removesuffix(" HTTP/1.1").partition("?")[2]
        candidates = [(QUERY, part) for part in query.split("&")]
        for field in fields:
            name, _, value = field.partition(":")
            parts = value.split(";") if name.lower() == "cookie" else [value]
            candidates += [(name.lower(), part.strip()) for part in parts]
        for source, part in candidates:
            if part.endswith(mark) and not PLACEHOLDER.search(part.removesuffix(mark)):
                return Place(source, part.removesuffix(mark), carrier)
        return None


@attrs.frozen
class Filled:
    """A template, and the strings for its fields."""

    template: Template
    strings: Mapping[str, str]

    def render(self, more: Mapping[str, str]) -> bytes:
        """The head as bytes, the blank line included; `more` are the strings still missing."""
        strings = {**self.strings, **more}
        lines = self.template.text.strip().splitlines()
        text = "".join(f"{line}\r\n" for line in [*lines, ""])
        return PLACEHOLDER.sub(lambda match: strings[match[1]], text).encode("ascii")
