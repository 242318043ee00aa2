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
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from random import Random

import attrs

from obfsfte.covers.template_fields import Field, fresh
from obfsfte.covers.template_places import QUERY, Place

#: A placeholder in a template.
PLACEHOLDER = re.compile(r"\{([a-z0-9_]+)\}")

#: A site's schemes, each of which has its variant of a request's template.
SCHEMES = ("http", "https")
_MARK = re.compile(rf"\[({'|'.join(SCHEMES)})\] ")


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

    def values(self, name: str) -> list[str]:
        """The values of all fields of that name, as they stand here."""
        lines = (line.partition(":") for line in self.text.splitlines())
        return [value.strip() for each, _, value in lines if each.lower() == name.lower()]

    def place_of(self, name: str) -> Place | None:
        """Where this request has a placeholder; None where no server would find it."""
        target, *fields = self.text.strip().splitlines()
        mark = f"{{{name}}}"
        query = target.removesuffix(" HTTP/1.1").partition("?")[2]
        candidates = [(QUERY, part) for part in query.split("&")]
        for field in fields:
            field_name, _, value = field.partition(":")
            parts = value.split(";") if field_name.lower() == "cookie" else [value]
            candidates += [(field_name.lower(), part.strip()) for part in parts]
        for source, part in candidates:
            if part.endswith(mark) and not PLACEHOLDER.search(part.removesuffix(mark)):
                return Place(source, part.removesuffix(mark), name)
        return None


@attrs.frozen
class Head:
    """The head of messages: bytes, and gaps between them for what differs from one to another.

    ```
     pieces   b"GET /live?v=" |   b""   | b" HTTP/1.1\\r\\nHost: ..." |  b""  | b"\\r\\n\\r\\n"
     gaps                     | number  |                         | token |
    ```
    """

    _pieces: tuple[bytes, ...]
    gaps: tuple[str, ...]
    #: The gaps' fields that every message has anew.
    _changing: tuple[Field, ...]

    @classmethod
    def of(cls, template: Template, changing: Iterable[Field] = ()) -> Head:
        """A template's, with the blank line at its end; `changing` are new in each message."""
        text = "".join(f"{line}\r\n" for line in [*template.text.strip().splitlines(), ""])
        literals, gaps = PLACEHOLDER.split(text)[::2], template.placeholders
        pieces = [b""] * (2 * len(gaps) + 1)
        pieces[::2] = [literal.encode("ascii") for literal in literals]
        return cls(tuple(pieces), tuple(gaps), tuple(changing))

    def filled(self, strings: Mapping[str, bytes]) -> Head:
        """With these strings in their gaps; there may be others."""
        pieces, gaps = [self._pieces[0]], []
        for gap, literal in zip(self.gaps, self._pieces[2::2], strict=True):
            if gap in strings:
                pieces[-1] += strings[gap] + literal
            else:
                gaps.append(gap)
                pieces += [b"", literal]
        return Head(tuple(pieces), tuple(gaps), self._changing)

    def render(self, random: Random, strings: Mapping[str, bytes]) -> bytes:
        """One message's: with what is new in it, and `strings` for the other gaps."""
        if self._changing:
            strings = {**strings, **fresh(self._changing, random)}
        pieces = [*self._pieces]
        pieces[1::2] = [strings[gap] for gap in self.gaps]
        return b"".join(pieces)
