"""Every built-in definition: carries records, stays in its language, is never blocked."""

import re
import tomllib
from importlib import resources
from random import Random

import pytest

from obfsfte.covers import Catalogue, Definition, load_definition
from obfsfte.covers.exemption import FIRST_SEGMENT
from obfsfte.covers.report import converse
from obfsfte.session.records import OVERHEAD

from .firewall import exemptions

CATALOGUE = Catalogue()


@pytest.fixture(params=CATALOGUE.names)
def definition(request: pytest.FixtureRequest) -> Definition:
    return CATALOGUE.get(request.param)


@pytest.fixture(params=[name for name in CATALOGUE.names if CATALOGUE.get(name).kind == "stream"])
def stream(request: pytest.FixtureRequest) -> Definition:
    return CATALOGUE.get(request.param)


def directions(definition: Definition) -> tuple[tuple[bytes, list[int]], tuple[bytes, list[int]]]:
    """Pattern and lengths of both directions, read from the file itself."""
    file = resources.files("obfsfte.covers") / f"{definition.name}.toml"
    tables = tomllib.loads(file.read_text("utf-8"))
    up = tables["upstream"]
    down = tables.get("downstream", up)
    return (up["pattern"].encode(), up["lengths"]), (down["pattern"].encode(), down["lengths"])


def test_the_names_that_are_promised() -> None:
    assert {"words", "sentences", "base64", "hex", "digits", "urls"} <= set(CATALOGUE.names)


def test_every_byte_is_in_the_language(stream: Definition) -> None:
    for seed in range(3):
        traffic = converse(stream, {}, Random(seed), 12)
        for (pattern, lengths), direction in zip(directions(stream), traffic, strict=True):
            for message in direction.messages:
                assert re.fullmatch(pattern, message)
                assert len(message) in lengths


@pytest.mark.parametrize(
    ("name", "pattern"),
    [
        ("websocket", r"(?ms)^(?!nginx = )[a-z-]+ = \'\'\'\nHTTP.*?\'\'\'\n"),
        ("http", r"(?ms)^\[responses\.(?!nginx\]).*?\'\'\'\n.*?\'\'\'\n"),
    ],
)
def test_an_operator_can_keep_one_response(name: str, pattern: str) -> None:
    """docs/covers.md: clients with the whole definition understand a server that has one left."""
    text = (resources.files("obfsfte.covers") / f"{name}.toml").read_text("utf-8")
    mine = load_definition(re.sub(pattern, "", text), f"{name}.toml")
    assert "responses: nginx\n" in "\n".join(mine.facts())
    assert "responses: nginx\n" not in "\n".join(CATALOGUE.get(name).facts())
    assert mine.fingerprint({}) == CATALOGUE.get(name).fingerprint({})


def test_the_first_packet_is_always_exempt(definition: Definition) -> None:
    random = Random(7)
    for _ in range(150):
        greeting = definition.look({}).greeting(random)
        hello = random.randbytes(greeting.record_size(0))
        cover = greeting.begin(hello, random.randbytes(32), random.randbytes(32))
        message = b"".join(cover.data_to_send())
        for packet in (message, message[:FIRST_SEGMENT]):
            assert {"Ex2", "Ex5"} & {*exemptions(packet)}


def test_every_first_byte_of_the_language_occurs(stream: Definition) -> None:
    random = Random(11)
    possible = {
        byte
        for embedding in stream.upstream.embeddings  # type: ignore[attr-defined]
        for byte in embedding.language.bytes_at(0)
    }
    seen = {converse(stream, {}, random, 1)[0].wire[0] for _ in range(40 * len(possible) // 4)}
    # Each byte is missed with a chance of e**-10 or so; the seed is fixed.
    assert seen == possible


def test_every_record_has_room_for_data(definition: Definition) -> None:
    for traffic in converse(definition, {}, Random(5), 30):
        assert traffic.record_bytes > 2 * OVERHEAD * len(traffic.messages)


def test_the_description_is_one_line_for_a_list(definition: Definition) -> None:
    assert 10 < len(definition.description) < 90
