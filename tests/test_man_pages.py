"""The man pages say what the commands and the covers are today.

Options are compared with the tables that `--help` prints; what a failure names is to be added
to, or taken out of, a file in docs/man.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import tomllib
from collections.abc import Iterator
from importlib import resources
from pathlib import Path

import pytest

from obfsfte.commands.tables import commands
from obfsfte.covers.catalogue import Catalogue
from obfsfte.managed import server
from tests.e2e.tools import unavailable

ROOT = Path(__file__).resolve().parents[1]
PAGES = ROOT / "docs" / "man"
COMMAND = (PAGES / "obfsfte.1").read_text()
COVERS = (PAGES / "obfsfte-covers.5").read_text().replace(r"\-", "-")

#: Of every command; the page says so once.
COMMON = {"--help", "--version"}


def section(title: str) -> str:
    """The source of a section of obfsfte(1), up to the next one."""
    found = re.search(rf"^\.S[hs] {re.escape(title)}\n(.*?)(?=^\.S[hs] )", COMMAND, re.M | re.S)
    assert found, f"docs/man/obfsfte.1 has no section: .Ss {title}"
    return found[1]


def titles() -> dict[str, str]:
    """Each command with the title of the subsection that is about it, maybe with others."""
    found = re.findall(r"^\.Ss (.*)$", COMMAND.partition(".Sh UNDER TOR")[0], re.M)
    return {name.replace("\\-", "-"): title for title in found for name in title.split(" , ")}


def expected() -> Iterator[tuple[str, set[str]]]:
    """Each command with its options, those of its subcommands included."""
    options: dict[str, set[str]] = {}
    for command in commands():
        name = command.words.split()[0]
        options.setdefault(name, set()).update(command.options)
    return ((name, found - COMMON) for name, found in options.items())


def test_every_command_has_its_section_and_no_other() -> None:
    names = {name for name, _ in expected()}
    missing, gone = names - titles().keys(), titles().keys() - names
    assert not missing, f"add to docs/man/obfsfte.1, under .Sh COMMANDS: .Ss {missing}"
    assert not gone, f"take out of docs/man/obfsfte.1: .Ss {gone}"


@pytest.mark.parametrize(("name", "options"), list(expected()), ids=lambda value: str(value)[:12])
def test_every_option_is_there_and_no_other(name: str, options: set[str]) -> None:
    lines = re.findall(r"^\.It (.*)$", section(titles()[name]), re.M)
    names = re.findall(r"Fl \\-(\S+)", "\n".join(lines))
    there = {f"--{found}".replace("\\-", "-") for found in names}
    where = f"docs/man/obfsfte.1, under .Ss {titles()[name]}"
    assert not options - there, f"add to {where}: .It Fl \\-NAME for each of {options - there}"
    assert not there - options, f"take out of {where}: {there - options}"


def test_every_option_of_torrc_is_there_and_no_other() -> None:
    source = section("ServerTransportOptions").replace(r"\-", "-")
    there = set(re.findall(r"^\.It Li ([\w-]+)=", source, re.M))
    where = "docs/man/obfsfte.1, under .Ss ServerTransportOptions"
    known = set(server._OPTIONS)
    assert not known - there, f"add to {where}: .It Li NAME= for each of {known - there}"
    assert not there - known, f"take out of {where}: {there - known}"


def test_every_cover_is_there() -> None:
    words = set(re.findall(r"[a-z0-9-]+", COVERS))
    missing = set(Catalogue().names) - words
    assert not missing, f"add to docs/man/obfsfte-covers.5, under Built-in covers: {missing}"


def test_every_kind_has_a_section() -> None:
    kinds = {Catalogue().get(name).kind for name in Catalogue().names}
    missing = {kind for kind in kinds if f"\n.Sh KIND {kind.upper()}\n" not in COVERS}
    assert not missing, f"add to docs/man/obfsfte-covers.5: .Sh KIND for each of {missing}"


def test_every_key_of_a_definition_is_there() -> None:
    keys: set[str] = set()
    for file in resources.files("obfsfte.covers").iterdir():
        if file.name.endswith(".toml"):
            keys |= tomllib.loads(file.read_text("utf-8")).keys()
    missing = {key for key in keys if not re.search(rf"\bLi {key}\b", COVERS)}
    assert not missing, f"add to docs/man/obfsfte-covers.5: .It Li KEY for each of {missing}"


def test_every_argument_of_a_bridge_line_is_there() -> None:
    definitions = [Catalogue().get(name) for name in Catalogue().names]
    known = {name for definition in definitions for name in definition.parameters}
    missing = {name for name in known if f"Li {name}=" not in COVERS}
    assert not missing, f"add to docs/man/obfsfte-covers.5: .It Li NAME= for each of {missing}"


@pytest.mark.parametrize("page", sorted(PAGES.iterdir()), ids=lambda page: page.name)
def test_the_source_is_faultless(page: Path) -> None:
    mandoc = shutil.which("mandoc") or unavailable("mandoc is not installed")
    found = subprocess.run(
        [mandoc, "-T", "lint", "-W", "warning", page], capture_output=True, text=True
    )
    assert found.stdout == ""
