"""Definitions by name: the built-in ones, which are the *.toml files beside this module, and
an operator's own.

Definitions are loaded when they are asked for, and so is the code for them: compiling a
language takes time, a process needs one or two of them, and tor wants an answer first.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from importlib import resources
from pathlib import PurePath
from typing import TYPE_CHECKING

from obfsfte.covers.cover import Definition
from obfsfte.errors import ConfigError, quoted

if TYPE_CHECKING:
    from obfsfte.covers.table import Table

DEFAULT_COVER = "websocket"

_SUFFIX = ".toml"


def _kinds() -> Mapping[str, Callable[[Table, str, str], Definition]]:
    """For each kind: what makes a definition from its table, its name and its description."""
    from obfsfte.covers.http_definition import HttpDefinition
    from obfsfte.covers.stream_definition import StreamDefinition
    from obfsfte.covers.websocket_definition import WebSocketDefinition

    kinds = (StreamDefinition, WebSocketDefinition, HttpDefinition)
    return {each.kind: each.load for each in kinds}


def load_definition(text: str, filename: str) -> Definition:
    """The definition that a file's text describes; its name is the file's, without `.toml`.

    Raises ConfigError, with file, key and reason, for the first fault.
    """
    from obfsfte.covers.table import Table

    name = PurePath(filename).name.removesuffix(_SUFFIX)
    # The name goes into bridge lines, where much else would need quoting.
    if not filename.endswith(_SUFFIX) or not re.fullmatch(r"[a-z0-9][a-z0-9-]{0,31}", name):
        raise ConfigError(
            f"{filename}: a definition's file name is the cover's name, up to 32 of a-z, 0-9 "
            f"and '-', and ends in {_SUFFIX}"
        )
    table = Table.parse(text, filename)
    kinds, kind = _kinds(), table.text("kind")
    if kind not in kinds:
        raise table.fault("kind", f"must be one of: {', '.join(kinds)}; not {kind!r}")
    description = table.text("description")
    if not description.isprintable():
        raise table.fault("description", "must be a single line of printable characters")
    definition = kinds[kind](table, name, description)
    table.finish()
    return definition


class Catalogue:
    """The definitions that a process may use. `own` ones win over built-in ones."""

    def __init__(self, own: Iterable[Definition] = ()) -> None:
        self._loaded = {definition.name: definition for definition in own}
        self._built_in = {
            file.name.removesuffix(_SUFFIX): file
            for file in resources.files("obfsfte.covers").iterdir()
            if file.name.endswith(_SUFFIX)
        }

    @property
    def names(self) -> list[str]:
        """All names, sorted."""
        return sorted({*self._loaded, *self._built_in})

    def check(self, name: str) -> None:
        """Raise ConfigError, with all names, if there is no definition of that name."""
        if name not in self._loaded and name not in self._built_in:
            raise ConfigError(
                f"no cover is named {quoted(name)}; there are: {', '.join(self.names)}"
            )

    def get(self, name: str) -> Definition:
        """The definition of that name. Raises ConfigError as `check` does."""
        self.check(name)
        if name not in self._loaded:
            file = self._built_in[name]
            self._loaded[name] = load_definition(file.read_text("utf-8"), file.name)
        return self._loaded[name]
