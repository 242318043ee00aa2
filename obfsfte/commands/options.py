"""What the option classes of several commands share."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from twisted.logger import Logger
from twisted.python import usage

from obfsfte._version import __version__
from obfsfte.classic import DEFAULT_KEY, ClassicKey
from obfsfte.errors import ConfigError

log = Logger()

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
            raise usage.UsageError(f"does not take {arguments[0]!r}")


def seconds(text: str) -> float:
    """A time limit: a positive number of seconds. Raises ConfigError."""
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise ConfigError(f"{text!r} is no number of seconds above 0")
    return value


def read_key_file(path: str) -> ClassicKey:
    """Read a classic key: 64 hexadecimal characters. Raises ConfigError with the file's name."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            text = stream.read(1024).decode("ascii", "replace")
            mode = os.fstat(stream.fileno()).st_mode
    except OSError as error:
        raise ConfigError(f"cannot read the key file {path}: {error.strerror}") from None
    try:
        key = ClassicKey.from_hex(text)
    except ConfigError as error:
        raise ConfigError(f"key file {path}: {error}") from None
    if mode & 0o077:
        log.warn("others on this machine can read the key file {path}: chmod 600", path=path)
    return key


def classic_key(path: str | None) -> ClassicKey:
    """The key of a file, or fteproxy's public one."""
    return DEFAULT_KEY if path is None else read_key_file(path)


def warn_if_public(key: ClassicKey) -> None:
    """Say what the default key is worth: last, so that a fault is a line by itself."""
    if key.is_default:
        log.warn(
            "using fteproxy's public key: whoever knows fteproxy can read and forge this "
            "traffic; give both halves the same --key-file (64 hexadecimal characters)"
        )
