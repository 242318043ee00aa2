"""What bridges look like stays as it is from version to version."""

from __future__ import annotations

import json

from tests.covers import looks


def test_bridges_look_as_they_did() -> None:
    assert json.loads(looks.document()) == json.loads(looks.FILE.read_text())
