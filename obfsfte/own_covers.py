"""Definitions of covers that people wrote themselves: files, read and checked.

Client and server need the same file. A command is given it by name; under tor, and for a
server with a state directory, every file in the `covers` folder there is read. One's own
definition wins over a built-in one of the same name.
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from obfsfte.covers.catalogue import Catalogue, load_definition
from obfsfte.covers.cover import Definition
from obfsfte.errors import ConfigError

#: No definition is nearly as large as this, in characters.
_MAX_FILE = 1 << 20


def read_definition(path: str | Path) -> Definition:
    """Load one definition. Raises ConfigError with the file's name."""
    try:
        with Path(path).open(encoding="utf-8") as stream:
            text = stream.read(_MAX_FILE + 1)
    except OSError as error:
        raise ConfigError(f"cannot read the definition {path}: {error.strerror}") from None
    except UnicodeDecodeError:
        raise ConfigError(f"cannot read the definition {path}: it is not UTF-8 text") from None
    if len(text) > _MAX_FILE:
        raise ConfigError(f"the definition {path} is larger than {_MAX_FILE} characters")
    return load_definition(text, str(path))


def catalogue(files: Iterable[str | Path] = (), state: Path | None = None) -> Catalogue:
    """The covers that a process may use: built-in, of these files, of a state directory.

    Raises ConfigError for the first definition that cannot be used.
    """
    found = [] if state is None else _definitions_in(state / "covers")
    return Catalogue([read_definition(path) for path in (*found, *files)])


def _definitions_in(folder: Path) -> list[Path]:
    """The files there, which need not be."""
    try:
        paths = sorted(path for path in folder.glob("*.toml"))
        for path in paths:
            if not path.is_file():  # a pipe would be waited for
                raise ConfigError(f"cannot read the definition {path}: it is not a file")
    except OSError as error:
        raise ConfigError(f"cannot read the covers in {folder}: {error.strerror}") from None
    return paths
