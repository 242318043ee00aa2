"""Stream definitions: what they say, their fingerprint, every fault with file, key and reason."""

import hashlib
import re
from random import Random
from typing import Any

import pytest

from obfsfte.covers import load_definition
from obfsfte.errors import ConfigError

from .test_stream import DEFINITION, TEXT, UP, connect, send


def test_name_kind_and_description() -> None:
    assert (DEFINITION.name, DEFINITION.kind) == ("both", "stream")
    assert DEFINITION.description == "letters one way, digits the other"


def test_without_downstream_both_directions_speak_alike() -> None:
    definition = load_definition(TEXT[: TEXT.index("[downstream]")], "one.toml")
    _, server = connect(1, definition)
    assert all(re.fullmatch(UP, message) for message in send(server, 5, Random(1))[1])


def test_the_fingerprint_is_of_what_is_on_the_wire() -> None:
    fingerprint = DEFINITION.fingerprint({})
    assert len(fingerprint) == 32

    def with_text(old: str, new: str) -> bytes:
        assert old in TEXT
        return load_definition(TEXT.replace(old, new), "other.toml").fingerprint({})

    assert with_text("letters one way", "some letters one way") == fingerprint
    assert with_text("[250, 170, 201]", "[170, 201, 250]") == fingerprint
    assert with_text("[250, 170, 201]", "[170, 201, 251]") != fingerprint
    assert with_text("[0-9A-F]*", "[0-9a-f]*") != fingerprint
    # The same language in other words is another definition: nobody can tell them alike cheaply.
    assert with_text("[0-9A-F]*", "[0-9A-EF]*") != fingerprint


def test_the_fingerprint_is_the_documented_one() -> None:
    canonical = '{"downstream":["[0-9a-f]*",[200]],"kind":"stream","upstream":["[0-9a-f]*",[200]]}'
    definition = load_definition(
        "kind='stream'\ndescription='d'\n[upstream]\npattern='[0-9a-f]*'\nlengths=[200]", "x.toml"
    )
    assert definition.fingerprint({}) == hashlib.sha256(canonical.encode()).digest()


def test_parameters_are_refused_by_name() -> None:
    for method in (DEFINITION.fingerprint, DEFINITION.look):
        with pytest.raises(
            ConfigError, match=r"host=: the cover both takes no parameters"
        ) as caught:
            method({"host": "bridge.example"})
        assert "bridge.example" not in str(caught.value)


def definition_text(**changes: Any) -> str:
    """A right definition with some of its lines replaced, or left out (None)."""
    lines = {
        "kind": "kind = 'stream'",
        "description": "description = 'd'",
        "upstream": "[upstream]",
        "pattern": "pattern = '[a-z ]*'",
        "lengths": "lengths = [200]",
    }
    return "\n".join(line for line in (lines | changes).values() if line is not None)


def test_the_template_of_the_faults_is_right() -> None:
    load_definition(definition_text(), "x.toml")


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"upstream": None, "pattern": None, "lengths": None}, "x.toml: upstream: missing"),
        ({"pattern": None}, "x.toml: upstream.pattern: missing"),
        ({"pattern": "pattern = ''"}, "x.toml: upstream.pattern: must be a string"),
        ({"pattern": "pattern = '[a-z'"}, "x.toml: upstream.pattern: "),
        ({"pattern": r"pattern = '(a)\1*'"}, "x.toml: upstream.pattern: "),
        ({"pattern": "pattern = '(?=a)[a-z]*'"}, "x.toml: upstream.pattern: "),
        ({"pattern": "pattern = '[a-zé]*'"}, "x.toml: upstream.pattern: "),
        ({"lengths": None}, "x.toml: upstream.lengths: missing"),
        ({"lengths": "lengths = 200"}, "x.toml: upstream.lengths: must be a list"),
        ({"lengths": "lengths = []"}, "x.toml: upstream.lengths: needs 1 to 16 lengths"),
        ({"lengths": f"lengths = {list(range(200, 217))}"}, "lengths: needs 1 to 16 lengths"),
        ({"lengths": "lengths = [200, 300, 200]"}, "lengths: 200 is there twice"),
        ({"lengths": "lengths = [0]"}, "lengths: 0 is not from 1 to 8192"),
        ({"lengths": "lengths = [200, -5]"}, "lengths: -5 is not from 1 to 8192"),
        ({"lengths": "lengths = [8193]"}, "lengths: 8193 is not from 1 to 8192"),
        (
            {"pattern": "pattern = '(?:[a-z]{4})*'", "lengths": "lengths = [200, 202]"},
            "x.toml: upstream.lengths: the pattern matches no string of 202 bytes",
        ),
        ({"lengths": "lengths = [90, 200]"}, "x.toml: upstream.lengths: 90 "),
        (
            {"pattern": r"pattern = '[\x80-\xff]*'"},
            "x.toml: upstream.pattern: a first message of 200 bytes is not sure to pass a firewall",
        ),
        ({"more": "length = 3"}, "x.toml: upstream.length: unknown key"),
        ({"more": "[downstream]\npattern = 'a*'"}, "x.toml: downstream.lengths: missing"),
        ({"more": "[downstream]\npattern='[a-z]*'\nlengths=[9]"}, "x.toml: downstream.lengths: 9 "),
        ({"more": "[sideways]"}, "x.toml: sideways: unknown key"),
    ],
)
def test_faulty_definitions(changes: dict[str, str | None], message: str) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        load_definition(definition_text(**changes), "x.toml")
    assert "\n" not in str(caught.value)


def test_too_short_a_length_names_one_that_would_do() -> None:
    with pytest.raises(ConfigError) as caught:
        load_definition(definition_text(lengths="lengths = [90]"), "x.toml")
    match = re.search(r"the shortest length that would do is (\d+)", str(caught.value))
    assert match
    shortest = int(match[1])
    load_definition(definition_text(lengths=f"lengths = [{shortest}]"), "x.toml")
    with pytest.raises(ConfigError):
        load_definition(definition_text(lengths=f"lengths = [{shortest - 1}]"), "x.toml")


def test_a_language_that_no_length_makes_large_enough_is_refused() -> None:
    text = definition_text(pattern="pattern = 'a{80,}b{10,}'", lengths="lengths = [200]")
    with pytest.raises(ConfigError, match=r"no length up to 8192 would do"):
        load_definition(text, "x.toml")
