"""The two forms of rank and unrank, with the same results, and which of them runs.

The one in Python (ranking.py) is always there. The one in C (kernel.py, _kernel.c) is taken
instead where its extension was built, unless the environment has OBFSFTE_PURE_PYTHON=1 when
the process starts.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping
from typing import Protocol

from obfsfte.regular import ranking
from obfsfte.regular.table import Node


class Walks(Protocol):
    """rank and unrank of one language."""

    def rank(self, data: bytes, /) -> int:
        """For as many bytes as the strings have. Raises NotInLanguage."""

    def unrank(self, number: int, /) -> bytes:
        """For a number that some string has."""


class PythonWalks:
    """The readable form."""

    def __init__(self, root: Node) -> None:
        self._root = root

    def rank(self, data: bytes) -> int:
        return ranking.rank(self._root, data)

    def unrank(self, number: int) -> bytes:
        return ranking.unrank(self._root, number)


def walk_in_python(roots: Mapping[int, Node]) -> dict[int, PythonWalks]:
    """The walks from each of these nodes, by the length of the strings that it begins."""
    return {length: PythonWalks(root) for length, root in roots.items()}


Form = Callable[[Mapping[int, Node]], Mapping[int, Walks]]


def available() -> dict[str, Form]:
    """All forms that can run here by name, the slowest first."""
    forms: dict[str, Form] = {"Python": walk_in_python}
    try:
        from obfsfte.regular.kernel import lay_out
    except ImportError:
        pass
    else:
        forms["C"] = lay_out
    return forms


def _choose() -> tuple[str, Form]:
    if os.environ.get("OBFSFTE_PURE_PYTHON") == "1":
        return "Python", walk_in_python
    *_, fastest = available().items()
    return fastest


#: The form that runs in this process.
NAME, make_walks = _choose()
