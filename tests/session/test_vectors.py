"""The vectors in tests/vectors/: the published ones for Noise, and ours for the session."""

import base64
import json
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey

from obfsfte.session import noise
from obfsfte.session.records import OVERHEAD, RecordType
from tests.session import independent
from tests.vectors import generate

VECTORS = Path(generate.__file__).parent
NOISE = json.loads((VECTORS / "noise.json").read_text())["vectors"]
SESSIONS = json.loads((VECTORS / "session.json").read_text())["sessions"]


@pytest.mark.parametrize("vector", NOISE, ids=range(len(NOISE)))
def test_noise(vector):
    assert vector["protocol_name"].encode() == noise.PROTOCOL_NAME
    remote_static, static, initiator_ephemeral, responder_ephemeral, prologue = (
        bytes.fromhex(vector[name])
        for name in (
            "init_remote_static",
            "resp_static",
            "init_ephemeral",
            "resp_ephemeral",
            "init_prologue",
        )
    )
    messages = [
        (bytes.fromhex(message["payload"]), bytes.fromhex(message["ciphertext"]))
        for message in vector["messages"]
    ]
    (psk,) = map(bytes.fromhex, vector["init_psks"])
    private_key, initiator_key, responder_key = map(
        X25519PrivateKey.from_private_bytes, (static, initiator_ephemeral, responder_ephemeral)
    )
    assert noise.public_bytes(private_key) == remote_static
    shared = noise.PreShared.of(remote_static, psk)
    initiator = noise.Initiator(shared, prologue, initiator_key)
    responder = noise.Responder(shared, prologue, private_key)

    assert initiator.write_message(messages[0][0]) == messages[0][1]
    assert responder.read_message(messages[0][1]) == messages[0][0]
    assert responder.write_message(messages[1][0], responder_key) == messages[1][1]
    assert initiator.read_message(messages[1][1]) == messages[1][0]

    sides = [initiator.split(), responder.split()]
    for number, (payload, ciphertext) in enumerate(messages[2:]):
        sender, receiver = sides[number % 2], sides[1 - number % 2]
        assert sender[0].encrypt_with_ad(b"", payload) == ciphertext
        assert receiver[1].decrypt_with_ad(b"", ciphertext) == payload


def test_session_vectors_are_what_the_generator_writes():
    assert generate.make_document() == generate.FILE.read_text()


@pytest.mark.parametrize("vector", SESSIONS, ids=lambda vector: vector["cover"])
def test_session_vectors_are_what_the_document_says(vector):
    field = {
        name: bytes.fromhex(value)
        for name, value in vector.items()
        if isinstance(value, str) and name not in ("cert", "cover")
    }
    cert = base64.urlsafe_b64decode(vector["cert"] + "==")
    assert cert[32:] == field["secret"]
    prologue = independent.make_prologue(vector["cover"], field["fingerprint"])
    for direction in ("upstream", "downstream"):
        label = f"{direction} cover".encode()
        key = independent.derive(field["secret"], field["client_nonce"], label)
        assert field[f"{direction}_cover_key"] == key

    client = independent.Client(
        cert[:32], cert[32:], prologue, field["client_nonce"], field["client_ephemeral"]
    )
    hello = client.hello(1, vector["client_time"], len(field["client_hello"]))
    assert hello == field["client_hello"]
    server = independent.Server(
        field["private_key"], field["secret"], prologue, field["server_ephemeral"]
    )
    assert server.receive(hello) == (1, vector["client_time"])
    answer, server_records = server.answer(1, vector["server_time"], len(field["server_hello"]))
    assert answer == field["server_hello"]
    version, server_time, client_records = client.receive(answer)
    assert (version, server_time) == (1, vector["server_time"])
    check_records(vector["upstream_records"], client_records, server_records)
    check_records(vector["downstream_records"], server_records, client_records)


def check_records(listed, sealer, opener):
    number = 0
    for entry in listed:
        for _ in range(number, entry["number"]):
            assert opener.open(sealer.seal(RecordType.PADDING, b"", OVERHEAD)) == (1, b"")
        number = entry["number"] + 1
        record, payload = bytes.fromhex(entry["record"]), bytes.fromhex(entry["payload"])
        assert sealer.seal(entry["type"], payload, len(record)) == record
        assert opener.open(record) == (entry["type"], payload)
