"""Libraries that tests compare with, and that a system's own packages may lack or have too old."""

from __future__ import annotations

import importlib
from typing import Any

from tests.e2e.tools import unavailable


def library(name: str, *, has: str = "") -> Any:
    """A module of such a library; without it, or its attribute `has`, who uses it is given up."""
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError:
        return _Missing(f"the library that has {name} is not installed")
    if has and not hasattr(module, has):
        return _Missing(f"the library that has {name} is too old to have {has} there")
    return module


class _Missing:
    """Stands for the module; the test that takes something of it is given up."""

    def __init__(self, reason: str) -> None:
        self._reason = reason

    def __getattr__(self, name: str) -> Any:
        unavailable(self._reason)
