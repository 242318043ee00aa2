"""The catalogue: built-ins by name, an operator's own before them, faulty files named."""

import re
from pathlib import Path

import pytest

from obfsfte.covers import Catalogue, load_definition
from obfsfte.errors import ConfigError

TEXT = """
kind = "stream"
description = "letters"
[upstream]
pattern = '[a-z]*'
lengths = [200]
"""


def test_lists_and_finds_the_built_in_ones() -> None:
    catalogue = Catalogue()
    assert catalogue.names == sorted(catalogue.names)
    hexadecimal = catalogue.get("hex")
    assert (hexadecimal.name, hexadecimal.kind) == ("hex", "stream")
    assert catalogue.get("hex") is hexadecimal  # compiled once


def test_an_own_definition_adds_or_replaces() -> None:
    own = load_definition(TEXT, "/etc/covers/letters.toml")
    other_hex = load_definition(TEXT, "hex.toml")
    catalogue = Catalogue([own, other_hex])
    assert "letters" in catalogue.names
    assert catalogue.names.count("hex") == 1
    assert catalogue.get("letters") is own
    assert catalogue.get("hex") is other_hex


def test_an_unknown_name_is_answered_with_the_known_ones() -> None:
    with pytest.raises(
        ConfigError, match="no cover is named 'nosuch'; there are: base64, "
    ) as caught:
        Catalogue().get("nosuch")
    assert all(name in str(caught.value) for name in Catalogue().names)


@pytest.mark.parametrize("name", ["../hex", "hex.toml", "", "HEX", "__init__", "/etc/passwd"])
def test_names_are_not_paths(name: str) -> None:
    with pytest.raises(ConfigError, match="no cover is named"):
        Catalogue().get(name)


@pytest.mark.parametrize(
    "filename", ["x", "x.json", ".toml", "UPPER.toml", "a b.toml", "-x.toml", "x" * 33 + ".toml"]
)
def test_file_names_that_make_no_name(filename: str) -> None:
    with pytest.raises(ConfigError, match="file name is the cover's name"):
        load_definition(TEXT, filename)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("kind", "sort", "x.toml: kind: missing"),
        ('"stream"', '"smtp"', "x.toml: kind: must be one of: stream, websocket, http; not 'smtp'"),
        ('"stream"', "3", "x.toml: kind: must be a string"),
        ("description", "about", "x.toml: description: missing"),
        ('"letters"', r'"let\nters"', "x.toml: description: must be a single line"),
        ('"letters"', r'"\u001b[31m"', "x.toml: description: must be a single line"),
        ("[upstream]", "length = 3\n[upstream]", "x.toml: length: unknown key"),
        ("[upstream]", "[upstream", "x.toml: not valid TOML: "),
    ],
)
def test_faults(old: str, new: str, message: str) -> None:
    assert old in TEXT
    with pytest.raises(ConfigError) as caught:
        load_definition(TEXT.replace(old, new, 1), "x.toml")
    assert str(caught.value).startswith(message)
    assert "\n" not in str(caught.value)


DOCS = Path(__file__).parents[2] / "docs" / "covers.md"


def test_the_example_of_the_documentation_is_right() -> None:
    text = DOCS.read_text("utf-8")
    examples = re.findall(r"```toml\n# (\S+)\n(.*?)```", text, re.S)
    assert len(examples) == 3
    for name, example in examples:
        load_definition(example, name)
    name, example = examples[0]
    with pytest.raises(ConfigError) as caught:
        load_definition(example.replace("[370,", "[90,"), name)
    assert str(caught.value) in " ".join(text.split())


def test_the_documentation_has_every_built_in_cover() -> None:
    rows = re.findall(r"^\| (`[^|]*) \|", DOCS.read_text("utf-8"), re.M)
    assert set(Catalogue().names) <= set(re.findall(r"`([a-z0-9-]+)`", " ".join(rows)))
