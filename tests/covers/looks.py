"""What bridges look like, with what differs between their connections left out.

    python -m tests.covers.looks

writes looks.json anew. Whoever uses a bridge, or watches it, sees the same before and after an
upgrade; so a change of looks.json is one of the definitions, or a fault.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterator
from itertools import takewhile
from pathlib import Path
from random import Random

from obfsfte.covers import Catalogue, Definition, Look
from obfsfte.session.handshake import MIN_HELLO
from tests.covers.definitions import KEYS, NOW

FILE = Path(__file__).with_name("looks.json")
CATALOGUE = Catalogue()
COVERS = ("http", "http-api", "websocket", "websocket-api")

#: Of those that are there in full; all others are in the digest.
_SHOWN = 3
_BRIDGES = 40
#: Whatever a connection draws is different in two of so many.
_CONNECTIONS = 12


def conversation(definition: Definition, look: Look, random: Random) -> Iterator[bytes]:
    """The heads of a session whose keys are always the same."""
    greeting = look.greeting(random)
    client = greeting.begin(random.randbytes(greeting.record_size(MIN_HELLO)), *KEYS)
    request = b"".join(client.data_to_send())
    yield request
    [hello] = look.opening(random).feed(request)
    server = hello.accept(*KEYS, NOW)
    if not definition.takes_turns:
        yield b"".join(server.data_to_send())
        return
    body = random.randbytes(40_000)
    for records in ([], [body]):
        server.unwrap(b"")
        response = b"".join(server.say([body], NOW))  # type: ignore[union-attr]
        yield without_body(response)
        client.unwrap(response)
        records = records or ([body] if client.needs_record else [])  # type: ignore[union-attr]
        request = b"".join(client.say(records, NOW))  # type: ignore[union-attr]
        yield without_body(request)
        opening = look.opening(random)
        opening.feed(request)
        server.resume(opening)  # type: ignore[union-attr,arg-type]


def without_body(message: bytes) -> bytes:
    """The head, and the size of the first chunk if there is one."""
    head, _, body = message.partition(b"\r\n\r\n")
    size = re.match(rb"[0-9a-f]{4}\r\n", body) if b"chunked" in head else None
    return head + b"\r\n\r\n" + (size[0] if size else b"")


def shown(cover: str, number: int) -> str:
    """The heads of one bridge, with `*` for what is not the same in all connections."""
    definition = CATALOGUE.get(cover)
    parameters = {"seed": str(number), "scheme": ("http", "https")[number % 2]}
    if number % 3 == 2:
        parameters |= {"host": "site.example", "path": "/a/b"}
    look, random = definition.look(parameters), Random(number)
    several = [list(conversation(definition, look, random)) for _ in range(_CONNECTIONS)]
    return "".join(common(heads) for heads in zip(*several, strict=True))


def common(heads: tuple[bytes, ...]) -> str:
    """What heads of one sort have in common."""
    split = [re.split(r"([ ;&\r\n])", head.decode("ascii")) for head in heads]
    return "".join(map(beginning, zip(*split, strict=True))).replace("\r\n", "\n")


def beginning(texts: tuple[str, ...]) -> str:
    """The text, or what all of them begin with."""
    if len({*texts}) == 1:
        return texts[0]
    alike = takewhile(lambda pair: pair[0] == pair[1], zip(min(texts), max(texts), strict=False))
    return "".join(letter for letter, _ in alike) + "*"


def document() -> str:
    """looks.json."""
    bridges = {cover: [shown(cover, number) for number in range(_BRIDGES)] for cover in COVERS}
    covers = {
        cover: {
            "sha256": hashlib.sha256("\0".join(heads).encode("ascii")).hexdigest(),
            "bridges": [each.split("\n") for each in heads[:_SHOWN]],
        }
        for cover, heads in bridges.items()
    }
    return json.dumps(covers, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(document())
