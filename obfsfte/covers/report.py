"""What an operator needs to know of a cover before choosing it: samples, and figures.

The samples are made by running both sides of a connection against each other with random
records, as a session's are to anyone without its keys; so making them also shows that the
definition works.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random
from typing import cast

import attrs

from obfsfte.covers.cover import (
    KEY_SIZE,
    AnyCover,
    Definition,
    ServerCover,
    TurnCover,
    TurnOpening,
)
from obfsfte.covers.exemption import PRINTABLE
from obfsfte.covers.openings import (
    entropy,
    facts_of_first_messages,
    facts_of_uris,
    first_messages,
)
from obfsfte.session.records import OVERHEAD

#: Bytes that each sample wants to carry, where the cover leaves it the choice.
_WANTED = OVERHEAD + 400
#: Connections whose first messages are looked at.
_CONNECTIONS = 300
#: When the samples answer: a Date has always the same length.
_NOW = 1_800_000_000


@attrs.define
class Traffic:
    """What one direction of a connection carried."""

    messages: list[bytes] = attrs.Factory(list)
    record_bytes: int = 0

    @property
    def wire(self) -> bytes:
        return b"".join(self.messages)

    def figures(self) -> str:
        """One line: message lengths, overhead, entropy of the bytes, printable share."""
        wire = self.wire
        lengths = sorted(len(message) for message in self.messages)
        data = self.record_bytes - OVERHEAD * len(self.messages)
        printable = sum(byte in PRINTABLE for byte in wire) / len(wire)
        return (
            f"messages of {lengths[0]} to {lengths[-1]} bytes; "
            f"{len(wire) / data:.2f} bytes on the wire for one of data; "
            f"byte entropy {entropy(wire):.2f} bits; {printable:.0%} printable"
        )


def converse(
    definition: Definition, parameters: Mapping[str, str], random: Random, count: int
) -> tuple[Traffic, Traffic]:
    """Upstream and downstream of a connection: hello, answer, and `count` - 1 records more each.

    Raises AssertionError if an end does not receive what the other sent.
    """
    upstream, downstream = Traffic(), Traffic()
    keys = random.randbytes(KEY_SIZE), random.randbytes(KEY_SIZE)
    look = definition.look(parameters)
    greeting = look.greeting(random)
    hello = random.randbytes(greeting.record_size(_WANTED))
    client = greeting.begin(hello, *keys)
    upstream.messages.append(b"".join(client.data_to_send()))
    upstream.record_bytes += len(hello)
    found = look.opening(random).feed(upstream.wire)
    [server] = [maybe.accept(*keys, _NOW) for maybe in found if maybe.record == hello]
    server.unwrap(b"")
    _carry(server, client.unwrap, downstream, random)

    def serve(message: bytes) -> Sequence[bytes | memoryview]:
        if not definition.takes_turns:
            return server.unwrap(message)
        opening = look.opening(random)
        opening.feed(message)
        cast(ServerCover, server).resume(cast(TurnOpening, opening))
        return server.unwrap(b"")

    for _ in range(count - 1):
        _carry(client, serve, upstream, random)
        _carry(server, client.unwrap, downstream, random)
    return upstream, downstream


def _carry(
    sender: AnyCover,
    receive: Callable[[bytes], Sequence[bytes | memoryview]],
    traffic: Traffic,
    random: Random,
) -> None:
    """Send one random record through."""
    record = random.randbytes(sender.record_size(_WANTED))
    if isinstance(sender, TurnCover):
        message = b"".join(sender.say([record], _NOW))
    else:
        message = b"".join([*sender.data_to_send(), *sender.wrap(record)])
    traffic.messages.append(message)
    traffic.record_bytes += len(record)
    if receive(message) != [record]:
        raise AssertionError("the cover did not carry a record")


def report(
    definition: Definition, parameters: Mapping[str, str], random: Random, samples: int
) -> list[str]:
    """Lines for a terminal: the definition, its figures, and `samples` messages each way."""
    upstream, downstream = converse(definition, parameters, random, max(samples, 20))
    first = first_messages(definition, parameters, random, _CONNECTIONS)
    lines = [
        f"{definition.name}: {definition.description}",
        f"kind: {definition.kind}",
        *definition.facts(),
        *facts_of_first_messages(first),
        *facts_of_uris([*first, *upstream.messages]),
    ]
    for name, traffic in (("upstream", upstream), ("downstream", downstream)):
        lines.append(f"{name} as measured: {traffic.figures()}")
    for name, traffic in (("upstream", upstream), ("downstream", downstream)):
        for number, message in enumerate(traffic.messages[:samples], 1):
            lines += ["", f"{name}, message {number}, {len(message)} bytes:"]
            lines += _show(message)
    return lines


def _show(message: bytes) -> list[str]:
    """The message as lines of its own, with what a terminal should not see escaped."""
    return [
        "  | " + "".join(chr(b) if b in PRINTABLE else f"\\x{b:02x}" for b in line)
        for line in message.removesuffix(b"\n").split(b"\n")
    ]
