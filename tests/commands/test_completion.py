"""`obfsfte completion`, as bash understands it."""

from __future__ import annotations

import shlex
import subprocess
from pathlib import Path

import pytest

from obfsfte.cli import COMMANDS, main
from obfsfte.commands.completion import proposals, script
from obfsfte.commands.tables import Command, commands
from obfsfte.covers.catalogue import Catalogue
from tests.e2e.tools import tool

ALL = list(commands())


def complete(*words: str, directory: Path = Path("/")) -> list[str]:
    """What bash proposes for the last of the words after `obfsfte`."""
    program = f"""
        set -u
        {script()}
        COMP_WORDS=({shlex.join(["obfsfte", *words])}) COMP_CWORD={len(words)}
        _obfsfte
        ((${{#COMPREPLY[@]}} == 0)) || printf '%s\\n' "${{COMPREPLY[@]}}"
    """
    done = subprocess.run(
        [tool("bash"), "--norc", "-c", program], capture_output=True, text=True, cwd=directory
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_the_command_prints_the_script(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["completion"]) == 0
    assert capsys.readouterr().out == script()


def test_all_commands_are_proposed() -> None:
    assert complete("") == [*COMMANDS, "--help", "--version"]


def test_a_word_that_was_begun() -> None:
    assert complete("key") == ["keygen"]
    assert complete("nothing-like-it") == []


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.words)
def test_all_options_are_proposed(command: Command) -> None:
    assert complete(*command.words.split(), "--") == list(command.options)


def test_subcommands_are_proposed() -> None:
    assert complete("covers", "") == ["list", "show", "check", "--help", "--version"]


@pytest.mark.parametrize("command", ALL, ids=lambda command: command.words)
def test_no_option_is_proposed_where_a_value_is_wanted(command: Command) -> None:
    for option in command.with_value:
        assert complete(*command.words.split(), option, "--") == []


def test_covers_are_proposed() -> None:
    names = Catalogue().names
    assert complete("server", "--cover", "") == names
    assert complete("bridge-line", "-c", "") == names
    assert complete("covers", "show", "") == names
    assert complete("server", "--state", "x", "--cover", "=", "webs") == [
        "websocket",
        "websocket-api",
    ]
    assert complete("server", "--state", "x", "--cover", "=") == names


def test_paths_are_proposed(tmp_path: Path) -> None:
    (tmp_path / "a directory").mkdir()
    (tmp_path / "a.toml").touch()
    assert complete("keygen", "--state", "a", directory=tmp_path) == ["a directory"]
    assert complete("server", "-k", "a.", directory=tmp_path) == ["a.toml"]
    assert complete("doctor", "--torrc", "a.", directory=tmp_path) == ["a.toml"]
    both = complete("covers", "check", "a", directory=tmp_path)
    assert sorted(both) == ["a directory", "a.toml"]


def test_every_proposal_is_for_an_option_that_exists() -> None:
    exist = {long for command in ALL for long in command.with_value.values()}
    gone = proposals().keys() - exist
    assert not gone, f"take {gone} out of proposals() in obfsfte/commands/completion.py"
