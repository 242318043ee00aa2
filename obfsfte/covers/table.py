"""Reading a definition: values of a TOML table, checked, with errors for its author.

Every error is one line that names the file, the key (dotted, from the file's top) and the
reason. Reading goes on to the first fault.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping

from obfsfte.errors import ConfigError


class Table:
    """One table of a TOML file. Read all keys that there can be, then call `finish`."""

    def __init__(self, values: Mapping[str, object], filename: str, path: str = "") -> None:
        self._values = values
        self._filename = filename
        self._path = path
        self._known: set[str] = set()

    @classmethod
    def parse(cls, text: str, filename: str) -> Table:
        """The top table. Raises ConfigError when the text is not TOML."""
        try:
            return cls(tomllib.loads(text), filename)
        except tomllib.TOMLDecodeError as error:
            raise ConfigError(f"{filename}: not valid TOML: {error}") from None

    def fault(self, key: str, reason: str) -> ConfigError:
        """The error to raise about the value of `key`."""
        return ConfigError(f"{self._filename}: {self._path}{key}: {reason}")

    def has(self, key: str) -> bool:
        """Whether there is a value for this key, which may be left out."""
        self._known.add(key)
        return key in self._values

    def names(self) -> list[str]:
        """The keys of a table whose author names its entries, in the file's order."""
        self._known |= self._values.keys()
        return list(self._values)

    def text(self, key: str) -> str:
        """A string that is not empty."""
        value = self._get(key)
        if not isinstance(value, str) or not value:
            raise self.fault(key, f"must be a string that is not empty, not {value!r}")
        return value

    def whole_numbers(self, key: str) -> list[int]:
        """A list of whole numbers, as it stands."""
        value = self._get(key)
        # A TOML boolean is a Python int as well.
        if not isinstance(value, list) or not all(type(item) is int for item in value):
            raise self.fault(key, f"must be a list of whole numbers, not {value!r}")
        return value

    def check_lengths(self, lengths: list[int], least: int, most: int, longest: int) -> None:
        """Refuse `lengths` but `least` to `most` different ones, each up to `longest`."""
        if not least <= len(lengths) <= most:
            raise self.fault("lengths", f"needs {least} to {most} lengths, not {len(lengths)}")
        for length in lengths:
            if not 1 <= length <= longest:
                raise self.fault("lengths", f"{length} is not from 1 to {longest}")
            if lengths.count(length) > 1:
                raise self.fault("lengths", f"{length} is there twice")

    def table(self, key: str) -> Table:
        """A table below this one."""
        value = self._get(key)
        if not isinstance(value, dict):
            raise self.fault(key, f"must be a table, [{self._path}{key}], not {value!r}")
        return Table(value, self._filename, f"{self._path}{key}.")

    def finish(self) -> None:
        """Refuse keys that nobody asked for: most often a misspelt name."""
        for key in self._values:
            if key not in self._known:
                known = ", ".join(sorted(self._known))
                raise self.fault(key, f"unknown key; known here: {known}")

    def _get(self, key: str) -> object:
        if not self.has(key):
            raise self.fault(key, "missing")
        return self._values[key]
