"""Programs that tests need and that are installed by other means than pip."""

from __future__ import annotations

import os
import shutil
import sys
from pathlib import Path
from typing import NoReturn

import pytest

_BIN = Path(sys.executable).parent
#: The twistd beside this Python, which Debian calls twistd3.
TWISTD_COMMAND = _BIN / ("twistd" if (_BIN / "twistd").exists() else "twistd3")


def tool(name: str) -> str:
    """The path of a program. The calling test is given up if there is none."""
    path = shutil.which(name, path=f"{os.environ['PATH']}:/usr/sbin:/sbin")
    return path or unavailable(f"{name} is not installed")


def unavailable(reason: str) -> NoReturn:
    """Skip the calling test, on a contributor's machine; with CI=true it fails."""
    if os.environ.get("CI") == "true":
        pytest.fail(reason)
    pytest.skip(reason)
