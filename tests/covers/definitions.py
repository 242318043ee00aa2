"""What the tests of definitions that show HTTP have in common."""

from __future__ import annotations

from random import Random

import pytest

from obfsfte.covers import load_definition
from obfsfte.errors import ConfigError

LENGTHS = list(range(120, 144))
#: What any of them begins with, after its kind.
COMMON = f"""
description = "for tests"
[carriers.token]
pattern = '[A-Za-z0-9]+'
lengths = {LENGTHS}
[fields.host]
pattern = '[a-z]+\\.example'
lengths = [12, 14]
per = "bridge"
[fields.path]
pattern = '/[a-z]+'
lengths = [5]
per = "bridge"
"""
KEYS = (Random(8).randbytes(32), Random(9).randbytes(32))
NOW = 1_800_000_000


def fault_in(text: str, old: str, new: str) -> str:
    """Why a definition is refused that has `new` in place of the first `old`."""
    assert old in text
    with pytest.raises(ConfigError) as caught:
        load_definition(text.replace(old, new, 1), "x.toml")
    assert "\n" not in str(caught.value)
    return str(caught.value)


def fingerprint_of(text: str, old: str, new: str) -> bytes:
    """That of the definition with `new` in place of every `old`."""
    assert old in text
    return load_definition(text.replace(old, new), "y.toml").fingerprint({})
