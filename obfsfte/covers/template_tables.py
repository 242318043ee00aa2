"""What definitions that show HTTP have in common: carriers, fields, templates, parameters.

    [carriers.NAME]             # what a client's hello looks like
    pattern = '...'
    lengths = [...]             # in bytes; the client picks one for each connection
    [fields.NAME]               # what else varies; `host` and `path` must be there
    pattern = '...'
    lengths = [...]
    per = "bridge"              # the same for all connections of a bridge, or "connection"
    [fields.OTHER]              # what goes with a field that is per bridge
    follows = "NAME"
    values = { STRING = '...' } # one for each of that field's strings

Parameters of the bridge line: `host` and `path` replace the fields of that name, `scheme` is
that of the site (`http` or `https`), `seed` (any text) chooses what is per bridge.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Mapping, Sequence
from itertools import product

from obfsfte.covers.embedding import Embedding
from obfsfte.covers.table import Table
from obfsfte.covers.template_fields import AnyField, Field, Follower, Strings
from obfsfte.covers.template_places import Carrier, Place
from obfsfte.covers.templates import SCHEMES, Template
from obfsfte.errors import ConfigError, plain
from obfsfte.regular import EmptyLanguage, Language, Pattern, PatternError
from obfsfte.session.handshake import MIN_HELLO

#: The most that one length may be of a bridge's first messages. A censor who counts some hundred
#: sees more of one by chance, but not the tenth part of all, as of no real client with cookies.
MAX_SHARE_OF_LENGTH = 0.05
MAX_LENGTHS = 64
#: Bytes of a request's head at most: common servers take 8 KB, and an intermediary may add to it.
MAX_REQUEST = 6144
#: Of each string that a session's request is known by.
MIN_TICKET_BITS = 96
MAX_LENGTH = 4096
_VISIBLE = frozenset(range(0x21, 0x7F))
#: What neither ends a cookie or a member of a query nor is changed by an intermediary.
_CARRIER_BYTES = frozenset(
    b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~!$*+/:=%"
)

_HOST = re.compile(r"(?:[A-Za-z0-9.-]+|\[[0-9A-Fa-f:.]+\])(?::[0-9]{1,5})?")
_PATH = re.compile(r"/[!-\"$->@-~]*")  # visible, without # and ?

SEED = "seed"
PARAMETERS: Mapping[str, tuple[re.Pattern[str], str]] = {
    "host": (_HOST, "a host name, with :PORT if it is not 80"),
    "path": (_PATH, "a path that begins with /, without blanks, ? and #"),
    "scheme": (re.compile("https?"), "http or https"),
    SEED: (re.compile(r".*", re.S), "any text"),
}


def check_parameters(cover: str, parameters: Mapping[str, str]) -> None:
    """Raise ConfigError for the first parameter that is unknown, or has no usable value."""
    for key, value in parameters.items():
        if key not in PARAMETERS:
            known = ", ".join(f"{each}=" for each in PARAMETERS)
            raise ConfigError(f"{plain(key)}=: the cover {cover} does not know it, only {known}")
        pattern, meaning = PARAMETERS[key]
        if not pattern.fullmatch(value):
            raise ConfigError(f"{key}={plain(value)}: must be {meaning}")


def load_carriers(table: Table) -> dict[str, Carrier]:
    """From `[carriers.*]` of a definition. Raises ConfigError."""
    below = table.table("carriers")
    return {each: _load_carrier(below.table(each), each) for each in below.names()}


def load_tickets(table: Table) -> dict[str, tuple[str, Strings]]:
    """From `[tickets.*]`: patterns, and their strings. Raises ConfigError."""
    below = table.table("tickets")
    return {each: _load_ticket(below.table(each)) for each in below.names()}


def _load_ticket(table: Table) -> tuple[str, Strings]:
    text, languages = load_languages(table, _CARRIER_BYTES)
    table.finish()
    for language in languages:
        if language.capacity < MIN_TICKET_BITS:
            raise table.fault(
                "lengths",
                f"{language.length} is too short: a ticket must have {MIN_TICKET_BITS} bits, so "
                f"that nobody guesses it, and has {language.capacity}",
            )
    return text, Strings(languages)


def load_fields(table: Table, taken: Sequence[str], per: Sequence[str]) -> dict[str, AnyField]:
    """From `[fields.*]`; the names that are `taken` cannot be used. Raises ConfigError.

    `per` are the values of that key.
    """
    below = table.table("fields")
    tables = {each: below.table(each) for each in below.names()}
    plain = {
        name: _load_field(each, name, per)
        for name, each in tables.items()
        if not each.has("follows")
    }
    fields = {
        name: plain[name] if name in plain else _load_follower(each, name, plain)
        for name, each in tables.items()
    }
    for each in ("host", "path"):
        if each not in fields:
            raise below.fault(each, "missing; the bridge line can replace it")
    for each in taken:
        if each in fields:
            raise below.fault(each, "this name has another meaning in templates")
    return fields


def load_languages(table: Table, allowed: frozenset[int]) -> tuple[str, list[Language]]:
    """A pattern, and its languages, shortest first."""
    text = table.text("pattern")
    lengths = table.whole_numbers("lengths")
    table.check_lengths(lengths, 1, MAX_LENGTHS, MAX_LENGTH)
    try:
        pattern = Pattern(text)
        languages = Language.several(pattern, sorted(lengths))
    except EmptyLanguage as error:
        raise table.fault("lengths", str(error)) from None
    except PatternError as error:
        raise table.fault("pattern", str(error)) from None
    used = 0  # a set of bytes: bit b for byte b
    for moves in pattern.automaton.moves:
        for byte_set, _ in moves:
            used |= byte_set
    for byte in range(256):
        if used >> byte & 1 and byte not in allowed:
            raise table.fault("pattern", f"{chr(byte)!r} cannot be used here")
    return text, languages


def _load_carrier(table: Table, name: str) -> Carrier:
    text, languages = load_languages(table, _CARRIER_BYTES)
    table.finish()
    embeddings = [Embedding(language) for language in languages]
    for embedding in embeddings:
        if embedding.size < MIN_HELLO:
            raise table.fault(
                "lengths",
                f"{embedding.language.length} is too short: it must carry {MIN_HELLO} bytes, "
                f"and carries {embedding.size}",
            )
    return Carrier(name, text, embeddings)


def _load_field(table: Table, name: str, values: Sequence[str]) -> Field:
    _, languages = load_languages(table, _VISIBLE)
    per = table.text("per")
    table.finish()
    if per not in values:
        known = " or ".join(f'"{each}"' for each in values)
        raise table.fault("per", f"must be {known}, not {per!r}")
    return Field(name, Strings(languages), per)


def _load_follower(table: Table, name: str, others: Mapping[str, Field]) -> Follower:
    leader = others.get(table.text("follows"))
    if leader is None or leader.per != "bridge":
        raise table.fault("follows", 'must be the name of a field that is per "bridge"')
    below = table.table("values")
    texts = {each: below.text(each) for each in below.names()}
    table.finish()
    for each, value in texts.items():
        if not re.fullmatch(r"[!-~]([ -~]*[!-~])?", value):
            raise below.fault(each, "must be printable ASCII, without blanks at its ends")
    for language in leader.strings.languages:
        for number in range(min(language.size, len(texts) + 1)):
            string = language.unrank(number).decode("ascii")
            if string not in texts:
                raise below.fault(string, f"missing: {leader.name} can be that")
    values = {string.encode(): value.encode() for string, value in texts.items()}
    return Follower(name, leader, values)


def facts_of_hellos(places: Sequence[Place], carriers: Mapping[str, Carrier]) -> list[str]:
    """A line for each place of a hello: for the operator who chooses a cover."""
    lines = []
    for place in places:
        carrier = carriers[place.name]
        shortest, longest = carrier.embeddings[0], carrier.embeddings[-1]
        lines.append(
            f"hello in {place.source}, {place.prefix}...: {len(carrier.embeddings)} lengths, "
            f"{shortest.language.length} to {longest.language.length} bytes, "
            f"for {shortest.size} to {longest.size} of hello"
        )
    return lines


def check_template(template: Template, table: Table, known: set[str]) -> None:
    """Refuse lines that cannot be sent, and placeholders that are not known."""
    text = template.text
    if not all(" " <= char <= "~" or char == "\n" for char in text) or "\n\n" in text.strip():
        raise table.fault(template.name, "must be lines of printable ASCII, none of them empty")
    for line in text.splitlines():
        if line.startswith("["):
            marks = " or ".join(f"[{scheme}]" for scheme in SCHEMES)
            raise table.fault(template.name, f"{line!r}: only {marks} and a blank can be before it")
    for name in template.placeholders:
        if name not in known:
            raise table.fault(
                template.name, f"{{{name}}} is not known; known here: {', '.join(sorted(known))}"
            )


def place_in(template: Template, table: Table, names: Sequence[str]) -> Place:
    """Where the request has the one placeholder of these names. Raises ConfigError."""
    found = [name for name in template.placeholders if name in names]
    place = template.place_of(found[0]) if len(found) == 1 else None
    if place is None:
        raise table.fault(
            template.name,
            f"must have one of {', '.join(names)} in braces, at the end of a member of the "
            "query, of a cookie, or of another field",
        )
    return place


def check_lengths_vary(
    template: Template,
    table: Table,
    carriers: Mapping[str, Carrier],
    fields: Mapping[str, AnyField],
) -> None:
    """Raise ConfigError if too many of a bridge's requests would have the same length."""
    share = _commonest_length(template.placeholders, carriers, fields)
    if share > MAX_SHARE_OF_LENGTH:
        raise table.fault(
            template.name,
            f"{share:.0%} of its requests have the same length, and at most "
            f"{MAX_SHARE_OF_LENGTH:.0%} may: add lengths to what varies with the connection",
        )


def _commonest_length(
    names: Sequence[str], carriers: Mapping[str, Carrier], fields: Mapping[str, AnyField]
) -> float:
    """The share of one bridge's requests that have the most frequent length."""
    shares = {0: 1.0}
    for name, times in Counter(names).items():
        if name in carriers:
            lengths: Sequence[int] = carriers[name].lengths
        else:
            field = fields.get(name)
            if not isinstance(field, Field) or field.per == "bridge":
                continue
            lengths = [language.length for language in field.strings.languages]
        longer: dict[int, float] = {}
        for (so_far, share), length in product(shares.items(), lengths):
            total = so_far + times * length
            longer[total] = longer.get(total, 0.0) + share / len(lengths)
        shares = longer
    return max(shares.values())


def check_length(
    template: Template,
    table: Table,
    carriers: Mapping[str, Carrier],
    fields: Mapping[str, AnyField],
) -> None:
    """Refuse a request's template that may be longer than servers take."""
    longest = len(template.text) + sum(
        carriers[name].lengths[-1] if name in carriers else fields[name].longest
        for name in template.placeholders
        if name in carriers or name in fields
    )
    if longest > MAX_REQUEST:
        raise table.fault(
            template.name, f"has up to {longest} bytes, and servers may refuse over {MAX_REQUEST}"
        )
