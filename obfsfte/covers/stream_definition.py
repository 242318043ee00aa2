"""Definitions of kind `stream`: one pattern per direction, and the lengths of its messages.

    kind = "stream"
    description = "..."
    [upstream]                     # client to server
    pattern = '...'                # a regular expression, matched against whole messages
    lengths = [300, 400]           # of messages, in bytes
    [downstream]                   # server to client; the same as upstream if left out
    ...

What a definition cannot do is refused here, when it is loaded: a first message must hold a
hello and must be exempt (`exemption`) from the firewall's rule, whatever the record.
"""

from __future__ import annotations

import hashlib
import json
import math
from collections import defaultdict
from collections.abc import Mapping
from typing import ClassVar

import attrs

from obfsfte.covers.embedding import Embedding, size_for
from obfsfte.covers.exemption import exemption
from obfsfte.covers.stream import StreamLook
from obfsfte.covers.table import Table
from obfsfte.errors import ConfigError, plain
from obfsfte.regular import EmptyLanguage, Language, Pattern, PatternError
from obfsfte.session.handshake import MIN_HELLO
from obfsfte.session.records import OVERHEAD

#: More lengths cost memory and the server's time for each stranger.
MAX_LENGTHS = 16
#: Ranking takes time that grows with the square of the length.
MAX_LENGTH = 8192
#: Steps to take, at most, in search of a length that would do.
_MAX_SEARCH = 3_000_000


@attrs.frozen
class Direction:
    """What one direction speaks."""

    pattern: str
    embeddings: tuple[Embedding, ...]  # one per length, shortest first

    @property
    def lengths(self) -> list[int]:
        return [embedding.language.length for embedding in self.embeddings]


@attrs.frozen
class StreamDefinition:
    """A `Definition` of kind `stream`."""

    name: str
    description: str
    upstream: Direction
    downstream: Direction
    kind: ClassVar[str] = "stream"
    takes_turns: ClassVar[bool] = False
    speaks_http: ClassVar[bool] = False
    parameters: ClassVar[frozenset[str]] = frozenset()

    @classmethod
    def load(cls, table: Table, name: str, description: str) -> StreamDefinition:
        """From the rest of a definition's table. Raises ConfigError."""
        upstream = _load_direction(table.table("upstream"))
        for embedding in upstream.embeddings:
            if exemption(embedding.language) is None:
                raise table.fault(
                    "upstream.pattern",
                    f"a first message of {embedding.language.length} bytes is not sure to pass a "
                    "firewall that blocks fully encrypted traffic; simplest remedy: let its first "
                    "six bytes be printable ASCII",
                )
        downstream = upstream
        if table.has("downstream"):
            downstream = _load_direction(table.table("downstream"))
        return cls(name, description, upstream, downstream)

    def facts(self) -> list[str]:
        lines = []
        for name, direction in (("upstream", self.upstream), ("downstream", self.downstream)):
            if name == "downstream" and direction is self.upstream:
                lines.append("downstream: the same as upstream")
                continue
            pattern = " ".join(direction.pattern.split())
            lines.append(f"{name} pattern: {pattern[:80]}{' ...' if len(pattern) > 80 else ''}")
            for embedding in direction.embeddings:
                language = embedding.language
                data = embedding.size - OVERHEAD
                lines.append(
                    f"  length {language.length:>4}: capacity {language.capacity} bits, "
                    f"{math.log2(language.size) / language.length:.2f} per byte; "
                    f"records of {embedding.size} bytes for {data} of data: "
                    f"{language.length / data:.2f} bytes on the wire for each"
                )
        reasons = {exemption(embedding.language) for embedding in self.upstream.embeddings}
        for reason in sorted(filter(None, reasons)):
            lines.append(f"first message exempt from blocking as fully encrypted: {reason}")
        return lines

    def fingerprint(self, parameters: Mapping[str, str]) -> bytes:
        self._refuse(parameters)
        # docs/covers.md shows this form.
        canonical = json.dumps(
            {
                "kind": self.kind,
                "upstream": [self.upstream.pattern, self.upstream.lengths],
                "downstream": [self.downstream.pattern, self.downstream.lengths],
            },
            sort_keys=True,
            separators=(",", ":"),
        )
        return hashlib.sha256(canonical.encode("ascii")).digest()

    def look(self, parameters: Mapping[str, str]) -> StreamLook:
        self._refuse(parameters)
        return StreamLook(self.upstream.embeddings, self.downstream.embeddings)

    def _refuse(self, parameters: Mapping[str, str]) -> None:
        for key in parameters:
            raise ConfigError(
                f"{plain(key)}=: the cover {self.name} takes no parameters; remove it"
            )


def _load_direction(table: Table) -> Direction:
    text = table.text("pattern")
    lengths = table.whole_numbers("lengths")
    table.finish()
    table.check_lengths(lengths, 1, MAX_LENGTHS, MAX_LENGTH)
    try:
        pattern = Pattern(text)
    except PatternError as error:
        raise table.fault("pattern", str(error)) from None
    try:
        languages = Language.several(pattern, sorted(lengths))
    except (EmptyLanguage, PatternError) as error:
        raise table.fault("lengths", str(error)) from None
    embeddings = tuple(map(Embedding, languages))
    for embedding in embeddings:
        if embedding.size < MIN_HELLO:
            raise table.fault(
                "lengths",
                f"{embedding.language.length} is too short: a message must carry {MIN_HELLO} "
                f"bytes, and of this length it carries {embedding.size}; {_remedy(pattern)}",
            )
    return Direction(text, embeddings)


def _remedy(pattern: Pattern) -> str:
    """What to do about a length that is too short."""
    moves, finals = pattern.automaton.moves, pattern.automaton.finals
    limit = min(MAX_LENGTH, _MAX_SEARCH // sum(map(len, moves)))
    counts = {0: 1}  # state -> strings that lead there
    for length in range(1, limit + 1):
        following: defaultdict[int, int] = defaultdict(int)
        for state, count in counts.items():
            for byte_set, target in moves[state]:
                following[target] += count * byte_set.bit_count()
        counts = following
        if size_for(sum(counts[state] for state in finals & counts.keys())) >= MIN_HELLO:
            return f"the shortest length that would do is {length}"
    return f"no length up to {limit} would do, so choose another pattern"
