"""The options and the language that `encode` and `decode` share."""

from __future__ import annotations

import sys

from twisted.python import usage

from obfsfte.classic import DEFAULT_RELEASE, ClassicKey, find_release
from obfsfte.commands import options as shared
from obfsfte.errors import ConfigError
from obfsfte.logs import log_to
from obfsfte.regular import Language


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

    def key(self) -> ClassicKey:
        log_to(sys.stderr)
        return shared.classic_key(self["key-file"])


def make_language(options: CodingOptions) -> Language:
    """The language that the options name. Raises ConfigError."""
    if options["format"] is not None:
        language: Language = find_release(options["release"]).format(options["format"]).language()
        return language
    return Language(options["pattern"].encode("utf-8", "surrogateescape"), options["length"])


def read_some(size: int) -> bytes:
    """Up to `size` bytes of standard input, exactly as many while it lasts; b"" at its end."""
    return sys.stdin.buffer.read(size)
