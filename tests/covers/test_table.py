"""Reading TOML tables: the values, and the errors that name file, key and reason."""

import re

import pytest

from obfsfte.covers.table import Table
from obfsfte.errors import ConfigError


def test_reads_values() -> None:
    table = Table.parse('a = "x"\n[b]\nc = [1, 2]\n', "f.toml")
    assert table.has("a")
    assert not table.has("z")
    assert table.text("a") == "x"
    below = table.table("b")
    assert below.whole_numbers("c") == [1, 2]
    below.finish()
    table.finish()


@pytest.mark.parametrize(
    ("text", "read", "message"),
    [
        ("a = ", lambda table: None, "f.toml: not valid TOML: "),
        ("", lambda table: table.text("a"), "f.toml: a: missing"),
        ("a = ''", lambda table: table.text("a"), "f.toml: a: must be a string that is not empty"),
        ("a = 1", lambda table: table.text("a"), "f.toml: a: must be a string"),
        ("a = 1", lambda table: table.table("a"), "f.toml: a: must be a table, [a], not 1"),
        ("a = 1", lambda table: table.whole_numbers("a"), "f.toml: a: must be a list of whole"),
        ("a = [true]", lambda table: table.whole_numbers("a"), "f.toml: a: must be a list of"),
        ("a = [1.0]", lambda table: table.whole_numbers("a"), "f.toml: a: must be a list of"),
        ("[b]", lambda table: table.table("b").text("c"), "f.toml: b.c: missing"),
        (
            "[b]\nc = 1\nd = 2",
            lambda table: (table.table("b").has("e"), table.table("b").finish()),
            "f.toml: b.c: unknown key",
        ),
    ],
)
def test_faults(text, read, message) -> None:
    with pytest.raises(ConfigError, match=re.escape(message)) as caught:
        read(Table.parse(text, "f.toml"))
    assert "\n" not in str(caught.value)


def test_an_unknown_key_is_answered_with_the_known_ones() -> None:
    table = Table.parse("discription = 'x'", "f.toml")
    table.has("description")
    table.has("kind")
    with pytest.raises(
        ConfigError, match="discription: unknown key; known here: description, kind"
    ):
        table.finish()
