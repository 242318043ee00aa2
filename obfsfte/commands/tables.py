"""The option tables of all commands, for what must say the same as they do.

The completion of shells is made from them, and the man page is compared with them.
"""

from __future__ import annotations

import importlib
from collections.abc import Iterator

import attrs
from twisted.python import usage

from obfsfte.cli import COMMANDS


@attrs.frozen
class Command:
    """What one command takes. Names of options are as on the command line, with dashes."""

    words: str  # "server", or "covers show"
    options: tuple[str, ...]  # the long ones
    with_value: dict[str, str]  # an option that takes a value, long or short -> its long name
    subcommands: tuple[str, ...] = ()


def commands() -> Iterator[Command]:
    """Every command, each followed by its subcommands."""
    for name, (module, _) in COMMANDS.items():
        options = importlib.import_module(f"obfsfte.commands.{module}").Options()
        yield from _read(name, options)


def _read(words: str, options: usage.Options) -> Iterator[Command]:
    subcommands = getattr(options, "subCommands", None) or []
    valued = {f"--{long[:-1]}": f"--{long[:-1]}" for long in options.longOpt if long[-1] == "="}
    shorts = options.shortOpt.replace(":", "")
    valued |= {
        f"-{short}": f"--{options.synonyms[short]}"
        for short in shorts
        if f"{short}:" in options.shortOpt
    }
    longs = tuple(f"--{long.rstrip('=')}" for long in options.longOpt)
    yield Command(words, longs, valued, tuple(name for name, *_ in subcommands))
    for name, _, make, _ in subcommands:
        yield from _read(f"{words} {name}", make())
