"""The classic wire's key, as people give it to a command."""

from __future__ import annotations

import os
from pathlib import Path

from twisted.logger import Logger

from obfsfte.classic import DEFAULT_KEY, ClassicKey
from obfsfte.errors import ConfigError, plain

log = Logger()


def read_key_file(path: str) -> ClassicKey:
    """Read a classic key: 64 hexadecimal characters. Raises ConfigError with the file's name."""
    file = Path(path)
    try:
        with file.open("rb") as stream:
            text = stream.read(1024).decode("ascii", "replace")
            mode = os.fstat(stream.fileno()).st_mode
    except OSError as error:
        raise ConfigError(f"cannot read the key file {plain(path)}: {error.strerror}") from None
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
