"""The benchmarks still run. How fast anything was is not looked at."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from tests.e2e.tools import tool

BENCH = Path(__file__).parents[2] / "bench"

pytestmark = pytest.mark.e2e


def run(script: str, *options: object) -> str:
    command = [sys.executable, BENCH / script, *options]
    done = subprocess.run(
        [str(word) for word in command], capture_output=True, text=True, timeout=300, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_comparison(tmp_path: Path) -> None:
    tool("haproxy")
    pairs = ["websocket", "haproxy", "twisted"]
    table = run("compare.py", "--smoke", "--output", tmp_path, "--only", ",".join(pairs))
    found = json.loads((tmp_path / "bench.json").read_text())
    assert found["remarks"] == []
    for measure in ("down, 1", "up, 2", "round trip, p99", "connections a second", "idle, held"):
        assert list(found["figures"][measure]) == pairs
        assert all(found["figures"][measure].values())
        assert f"| {measure}" in table
    assert (tmp_path / "bench.md").read_text() == table
    assert {"bulk-down.svg", "memory.svg"} <= {path.name for path in tmp_path.iterdir()}


def test_the_start() -> None:
    assert "server" in run("startup.py", 1)
