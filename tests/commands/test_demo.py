"""`obfsfte demo`: what a newcomer sees first."""

from __future__ import annotations

import re

import pytest

from tests.commands.shell import obfsfte

pytestmark = pytest.mark.e2e


def test_the_demo_moves_data_and_shows_it() -> None:
    finished = obfsfte("demo", "--megabytes", "2")
    said = finished.stdout.decode()
    assert finished.status == 0
    assert finished.stderr == ""
    assert "GET /" in said
    assert "HTTP/1.1 200 OK" in said
    assert re.search(r"Moved 2 MiB there and back in [0-9.]+ s: [0-9.]+ MB/s", said)
    assert "SHA-256 of what came back: equal." in said
    assert "NOT equal" not in said
