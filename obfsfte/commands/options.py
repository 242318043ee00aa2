"""What the option classes of several commands share."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from twisted.python import usage

from obfsfte._version import __version__
from obfsfte.errors import ConfigError, quoted

T = TypeVar("T")


def coerced(parse: Callable[[str], T]) -> Callable[[str], T]:
    """`parse`, whose ConfigError is shown as it is: twisted.python.usage would add words."""

    def coerce(text: str) -> T:
        try:
            return parse(text)
        except ConfigError as error:
            raise usage.UsageError(str(error)) from None

    coerce.coerceDoc = ""  # type: ignore[attr-defined]
    return coerce


class Options(usage.Options):
    """Options whose `--version` is ours and that take no positional arguments."""

    def opt_version(self) -> None:
        """Print the version and exit."""
        print(f"obfsfte {__version__}")
        raise SystemExit(0)

    def parseArgs(self, *arguments: str) -> None:
        if arguments:
            raise usage.UsageError(f"does not take {quoted(arguments[0])}")


class SubOptions(Options):
    """Options of a command's own command. Twisted would put the parent's synopsis before theirs."""

    synopsis: str

    def getSynopsis(self) -> str:
        return self.synopsis


def seconds(text: str) -> float:
    """A time limit: a positive number of seconds. Raises ConfigError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{quoted(text)} is no number of seconds above 0")
    return value


def directory(text: str) -> str:
    """The name of a directory; not none, as of a variable that is not set. Raises ConfigError."""
    if not text:
        raise ConfigError("an empty name is no directory")
    return text
