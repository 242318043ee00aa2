"""Writes session.json and stream.json, for other implementations.

    python -m tests.vectors.generate

The one has complete sessions with fixed keys, the other messages of stream covers.
docs/protocol.md says what the fields mean. All byte strings but text are in hexadecimal.
"""

import json
from hashlib import sha512
from itertools import islice
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from obfsfte.covers import Catalogue
from obfsfte.covers.schedule import schedule
from obfsfte.covers.stream_definition import StreamDefinition
from obfsfte.session.handshake import ClientHandshake, ServerHandshake, session_prologue
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.records import OVERHEAD, REKEY_INTERVAL, RecordType, Sealer
from obfsfte.session.replay import ReplayFilter

FILE = Path(__file__).with_name("session.json")
STREAM_FILE = Path(__file__).with_name("stream.json")

STREAM_COVERS = ("hex", "words")

#: Both directions of every session: number, type, payload, size. All others are empty
#: padding records of the least size.
RECORDS = [
    (0, RecordType.DATA, b"hello, world", 32),
    (1, RecordType.DATA, b"", 20),
    (2, RecordType.PADDING, b"", 100),
    (3, RecordType.DATA, bytes(range(256)), 300),
    (REKEY_INTERVAL - 1, RecordType.DATA, b"last under the first key", 64),
    (REKEY_INTERVAL, RecordType.DATA, b"first under the second key", 64),
    (2 * REKEY_INTERVAL, RecordType.DATA, b"first under the third key", 64),
    (2 * REKEY_INTERVAL + 1, RecordType.END, b"", 64),
    (2 * REKEY_INTERVAL + 2, RecordType.PADDING, b"", 64),
]


def numbers(first: int, count: int) -> bytes:
    return bytes((first + i) % 256 for i in range(count))


def make_session(
    cover: str, first: int, client_time: int, server_time: int, sizes: tuple[int, int]
) -> dict[str, object]:
    private_key, secret = numbers(first, 32), numbers(first + 32, 32)
    nonce, client_ephemeral = numbers(first + 64, 16), numbers(first + 80, 32)
    server_ephemeral = numbers(first + 112, 32)
    fingerprint = numbers(first + 144, 32)

    keys = BridgeKeys(private_key, secret)
    prologue = session_prologue(cover, fingerprint)
    key = X25519PrivateKey.from_private_bytes
    client = ClientHandshake(keys.cert, prologue, client_time, nonce, key(client_ephemeral))
    hello = client.hello(sizes[0])
    server = ServerHandshake(keys, prologue, ReplayFilter())
    accepted = server.receive(hello, server_time)
    answer, session = accepted.answer(sizes[1], key(server_ephemeral))
    client_session = client.receive(answer)
    return {
        "private_key": private_key.hex(),
        "secret": secret.hex(),
        "cert": keys.cert.encode(),
        "cover": cover,
        "fingerprint": fingerprint.hex(),
        "client_time": client_time,
        "client_nonce": nonce.hex(),
        "client_ephemeral": client_ephemeral.hex(),
        "client_hello": hello.hex(),
        "server_time": server_time,
        "server_ephemeral": server_ephemeral.hex(),
        "server_hello": answer.hex(),
        "upstream_cover_key": client.cover_keys.upstream.hex(),
        "downstream_cover_key": client.cover_keys.downstream.hex(),
        "upstream_records": seal_records(client_session.sealer),
        "downstream_records": seal_records(session.sealer),
    }


def seal_records(sealer: Sealer) -> list[dict[str, object]]:
    listed = []
    number = 0
    for wanted, kind, payload, size in RECORDS:
        while number < wanted:
            sealer.seal(RecordType.PADDING, b"", OVERHEAD)
            number += 1
        record = sealer.seal(kind, payload, size)
        number += 1
        listed.append(
            {"number": wanted, "type": kind, "payload": payload.hex(), "record": record.hex()}
        )
    return listed


def make_document() -> str:
    sessions = [
        make_session("words", 0, 1_700_000_000, 1_700_000_000, (74, 74)),
        make_session("websocket", 100, 1_800_000_000, 1_800_004_321, (300, 517)),
    ]
    return json.dumps({"sessions": sessions}, indent=1) + "\n"


def make_stream(cover: str) -> dict[str, object]:
    """The first messages of one direction, whose records are made of hashes."""
    definition = Catalogue().get(cover)
    assert isinstance(definition, StreamDefinition)
    key = numbers(200, 32)
    messages = []
    drawn = schedule(definition.downstream.embeddings, key)
    for number, (embedding, draw) in enumerate(islice(drawn, 8)):
        record = (sha512(b"%d" % number).digest() * 20)[: embedding.size]
        string = embedding.embed(record, draw)
        messages.append({"record": record.hex(), "string": string.decode("ascii")})
    return {
        "cover": cover,
        "fingerprint": definition.fingerprint({}).hex(),
        "downstream_cover_key": key.hex(),
        "downstream_messages": messages,
    }


def make_stream_document() -> str:
    return json.dumps({"streams": [make_stream(cover) for cover in STREAM_COVERS]}, indent=1) + "\n"


if __name__ == "__main__":
    FILE.write_text(make_document())
    STREAM_FILE.write_text(make_stream_document())
