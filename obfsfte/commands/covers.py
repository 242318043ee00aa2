"""`obfsfte covers`: what covers there are, and what one is like."""

from __future__ import annotations

from collections.abc import Sequence
from random import SystemRandom

from twisted.python import usage

from obfsfte.commands import options as shared
from obfsfte.covers.catalogue import Catalogue
from obfsfte.covers.cover import Definition
from obfsfte.covers.report import report
from obfsfte.errors import ConfigError
from obfsfte.own_covers import read_definition


def _count(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1000:
        raise ConfigError(f"{text!r} is no number of samples: it must be from 1 to 1000")
    return int(text)


def _only(arguments: Sequence[str], what: str) -> str:
    if len(arguments) != 1:
        raise usage.UsageError(f"needs {what}, and nothing else")
    return arguments[0]


class ListOptions(shared.SubOptions):
    synopsis = "Usage: obfsfte covers list"
    longdesc = "Lists the built-in covers."


class _SampleOptions(shared.SubOptions):
    optParameters = [
        ["samples", "n", 1, "Messages to show each way.", shared.coerced(_count)],
    ]

    def parseOptions(self, options: Sequence[str] | None = None) -> None:
        """As usual, but the argument may also stand before the options."""
        words = list(options or [])
        if words and not words[0].startswith("-"):
            words.append(words.pop(0))
        super().parseOptions(words)


class ShowOptions(_SampleOptions):
    synopsis = "Usage: obfsfte covers show NAME [--samples N]"
    longdesc = "Shows what a built-in cover looks like, what it carries, and at what price."

    def parseArgs(self, *arguments: str) -> None:
        self["name"] = _only(arguments, "the NAME of a cover")


class CheckOptions(_SampleOptions):
    synopsis = "Usage: obfsfte covers check FILE [--samples N]"
    longdesc = "Checks a definition of your own, a TOML file, and shows it as 'show' does."

    def parseArgs(self, *arguments: str) -> None:
        self["file"] = _only(arguments, "the FILE of a definition")


class Options(shared.Options):
    synopsis = "Usage: obfsfte covers list | show NAME [--samples N] | check FILE [--samples N]"
    longdesc = "What the traffic can look like. docs/covers.md teaches how to define a cover."
    subCommands = [
        ["list", None, ListOptions, "name the covers there are"],
        ["show", None, ShowOptions, "show samples and figures of a cover"],
        ["check", None, CheckOptions, "check a definition of your own"],
    ]

    def postOptions(self) -> None:
        if self.subCommand is None:
            raise usage.UsageError("needs one of list, show, check")


def run(options: Options) -> int:
    arguments = options.subOptions
    match options.subCommand:
        case "list":
            catalogue = Catalogue()
            lines = []
            for name in catalogue.names:
                definition = catalogue.get(name)
                lines.append(f"{name:<12} {definition.kind:<10} {definition.description}")
        case "show":
            lines = _report(Catalogue().get(arguments["name"]), arguments["samples"])
        case "check":
            lines = _report(read_definition(arguments["file"]), arguments["samples"])
    print("\n".join(lines))
    return 0


def _report(definition: Definition, samples: int) -> list[str]:
    return report(definition, {}, SystemRandom(), samples)
