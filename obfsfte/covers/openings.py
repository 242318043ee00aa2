"""What a censor measures of the first messages of one bridge's connections.

Three detectors are published that look no further. Each line tells what one of them sees:

- lengths: a length that many connections have in common can be filtered for;
- Wu et al. (USENIX Security 2023): what the firewall blocks that blocks fully encrypted traffic
  (`exemption`);
- Wang et al. (CCS 2015, section 5): fteproxy's URIs had always 239 bytes, and 5.5 bits of entropy
  a byte or more.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from random import Random

from obfsfte.covers.cover import KEY_SIZE, Definition
from obfsfte.covers.exemption import exemption_of
from obfsfte.session.handshake import MIN_HELLO

#: Of Wang et al.'s test.
SUSPECT_URI_LENGTH = 239
SUSPECT_URI_ENTROPY = 5.5

_URI = re.compile(rb"[A-Z]+ (\S+) HTTP/1\.[01]\r\n")


def entropy(text: bytes) -> float:
    """Shannon's entropy of the single bytes, in bits a byte."""
    return sum(n / len(text) * math.log2(len(text) / n) for n in Counter(text).values())


def first_messages(
    definition: Definition, parameters: Mapping[str, str], random: Random, count: int
) -> list[bytes]:
    """Those of so many connections of a bridge, with random hellos."""
    messages = []
    look = definition.look(parameters)
    for _ in range(count):
        greeting = look.greeting(random)
        hello = random.randbytes(greeting.record_size(MIN_HELLO))
        keys = random.randbytes(KEY_SIZE), random.randbytes(KEY_SIZE)
        messages.append(b"".join(greeting.begin(hello, *keys).data_to_send()))
    return messages


def facts_of_first_messages(messages: Sequence[bytes]) -> list[str]:
    """Lines for lengths, and for who blocks what looks fully encrypted."""
    count = len(messages)
    lengths = Counter(map(len, messages))
    [(_, most)] = lengths.most_common(1)
    rules = Counter(_rule(message) for message in messages)
    named = ", ".join(f"{rules[rule]} by {rule}" for rule in sorted(rules) if rule)
    return [
        f"first messages of {count} connections: {_range(map(len, messages), '{:.0f}')} bytes; "
        f"{len(lengths)} lengths, the commonest in {most / count:.1%}; "
        f"byte entropy {_range(map(entropy, messages), '{:.2f}')} bits",
        f"of these {rules['']} would be blocked as fully encrypted (Wu et al. 2023); "
        f"exempt: {named or 'none'}",
    ]


def facts_of_uris(messages: Sequence[bytes]) -> list[str]:
    """A line for who looks at URIs; none where there are none."""
    uris = [match[1] for message in messages if (match := _URI.match(message))]
    if not uris:
        return []
    return [
        f"URIs of {_range(map(len, uris), '{:.0f}')} bytes, with an entropy of "
        f"{_range(map(entropy, uris), '{:.2f}')} bits a byte; the test of Wang et al. 2015 "
        f"({SUSPECT_URI_LENGTH} bytes, or {SUSPECT_URI_ENTROPY} bits) flags "
        f"{sum(map(is_suspect, uris))} of {len(uris)}"
    ]


def is_suspect(uri: bytes) -> bool:
    """Whether Wang et al.'s test may take it for fteproxy's; a little stricter than theirs."""
    return len(uri) == SUSPECT_URI_LENGTH or entropy(uri) >= SUSPECT_URI_ENTROPY


def _rule(message: bytes) -> str:
    """The rule that exempts the message; empty if none does."""
    return (exemption_of([frozenset([byte]) for byte in message]) or "").partition(":")[0]


def _range(values: Iterable[float], form: str) -> str:
    listed = sorted(values)
    return f"{form.format(listed[0])} to {form.format(listed[-1])}"
