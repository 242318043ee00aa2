"""docs/pt-spec.md names tests that exist."""

import re
from pathlib import Path

TESTS = Path(__file__).parents[1]
TABLE = TESTS.parent / "docs" / "pt-spec.md"


def test_every_test_in_the_table_exists() -> None:
    named = re.findall(r"([\w/]+\.py)::(\w+)", TABLE.read_text("utf-8"))
    assert len(named) > 50
    missing = [
        f"{file}::{test}"
        for file, test in named
        if f"def {test}(" not in (TESTS / file).read_text("utf-8")
    ]
    assert missing == []
