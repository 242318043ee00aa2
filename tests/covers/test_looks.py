"""What bridges look like: the same in every version, and with nothing of any connection."""

from __future__ import annotations

import json
from random import Random

import pytest

from tests.covers import looks


def test_bridges_look_as_they_did() -> None:
    assert json.loads(looks.document()) == json.loads(looks.FILE.read_text())


@pytest.mark.parametrize("cover", looks.COVERS)
def test_connections_know_nothing_of_each_other(cover: str) -> None:
    """Several that go on at once with one look are as those that have it for themselves."""
    definition = looks.CATALOGUE.get(cover)
    for seed in "abcd":
        shared = definition.look({"seed": seed})
        several = [looks.conversation(definition, shared, Random(number)) for number in range(3)]
        at_once = [*zip(*[*zip(*several, strict=True)], strict=True)]
        for number, heads in enumerate(at_once):
            own = definition.look({"seed": seed})
            assert heads == tuple(looks.conversation(definition, own, Random(number)))
        assert len({heads[0] for heads in at_once}) == 3
