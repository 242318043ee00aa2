"""The options and the language that `encode` and `decode` share."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import BinaryIO, TypeVar

from twisted.python import usage

from obfsfte.classic import DEFAULT_RELEASE, CellCipher, find_release
from obfsfte.commands import key_file
from obfsfte.commands import options as shared
from obfsfte.errors import ConfigError
from obfsfte.logs import log_to
from obfsfte.regular import Language

T = TypeVar("T")


def _length(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) <= 1 << 16:
        raise ConfigError(f"{text!r} is no length: it must be a number from 1 to 65536")
    return int(text)


class CodingOptions(shared.Options):
    optParameters = [
        ["format", "f", None, "A language of a release, such as manual-http-request."],
        ["release", None, DEFAULT_RELEASE.name, "The release that has it."],
        ["pattern", "p", None, "A language of your own: a regular expression of Python's re."],
        ["length", "n", None, "With --pattern: bytes of each string.", shared.coerced(_length)],
        ["key-file", "k", None, "64 hexadecimal characters; without it, fteproxy's public key."],
    ]

    def postOptions(self) -> None:
        if (self["format"] is None) == (self["pattern"] is None):
            raise usage.UsageError("needs --format, or --pattern with --length")
        if (self["pattern"] is None) != (self["length"] is None):
            raise usage.UsageError("takes --pattern and --length together")

    def make(self, coder: Callable[[Language, CellCipher], T]) -> T:
        """An encoder or decoder for the language and the key. Raises ConfigError."""
        log_to(sys.stderr)
        language = self._language()
        key = key_file.classic_key(self["key-file"])
        made = coder(language, CellCipher(key))
        key_file.warn_if_public(key)
        return made

    def _language(self) -> Language:
        if self["format"] is not None:
            return find_release(self["release"]).format(self["format"]).language()
        return Language(self["pattern"].encode("utf-8", "surrogateescape"), self["length"])


def standard_streams() -> tuple[BinaryIO, BinaryIO]:
    """Input and output, for bytes. Raises ConfigError when one was closed by our parent."""
    for stream, name in ((sys.stdin, "input"), (sys.stdout, "output")):
        if stream is None:
            raise ConfigError(f"standard {name} is closed")
    return sys.stdin.buffer, sys.stdout.buffer
