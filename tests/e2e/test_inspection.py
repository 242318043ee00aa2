"""Real sessions before judges that nobody here wrote; the real thing before the same ones."""

from __future__ import annotations

from pathlib import Path

import pytest

from obfsfte.covers import Catalogue
from tests.e2e.waiting import free_port
from tests.inspection.judges import judge
from tests.inspection.subjects import (
    Baseline,
    baseline,
    captured_tunnel,
    fteproxy,
    in_cover,
    obfs4proxy,
    web_covers,
)

pytestmark = pytest.mark.e2e

LABELS = {"websocket": {"HTTP", "WebSocket"}, "http": {"HTTP"}}

#: Short connections beside those of each pattern of use: enough to see a favourite length.
CONNECTIONS = 150


@pytest.fixture(scope="module")
def real(tmp_path_factory: pytest.TempPathFactory) -> Baseline:
    return baseline(tmp_path_factory.mktemp("real"), free_port())


@pytest.mark.parametrize("cover", web_covers())
def test_no_judge_tells_a_cover_from_the_real_thing(
    tmp_path: Path, real: Baseline, cover: str
) -> None:
    file = tmp_path / "wire.pcapng"
    port = captured_tunnel(lambda: in_cover(cover), file, CONNECTIONS)
    found = judge(file, port)
    kind = Catalogue().get(cover).kind
    # Without the part before a dot: a client's port may have a name of its own (EthernetIP.HTTP).
    assert {label.rpartition(".")[2] for label in found.ndpi} <= LABELS[kind]
    assert {label.rpartition(".")[2] for label in found.nfstream} <= LABELS[kind]
    assert sum(found.nfstream.values()) >= found.connections >= CONNECTIONS + 4
    assert found.risks <= real.of(kind).risks
    assert found.malformed == 0
    assert found.warnings <= real.of(kind).warnings
    assert found.undissected == 0
    assert found.unmatched == 0
    assert found.blocked == 0
    assert found.flagged == 0
    assert found.commonest_first_length <= 0.1


def test_the_judges_can_tell_fteproxy(tmp_path: Path) -> None:
    """What they say of others shows that they would have said it of us."""
    file = tmp_path / "wire.pcapng"
    found = judge(file, captured_tunnel(fteproxy, file, 10))
    assert found.undissected > 0
    assert found.unmatched > 0
    assert found.flagged > 0
    assert found.commonest_first_length > 0.9


def test_the_judges_can_tell_obfs4(tmp_path: Path) -> None:
    file = tmp_path / "wire.pcapng"
    found = judge(file, captured_tunnel(obfs4proxy, file, 10))
    assert "HTTP" not in found.ndpi
    assert found.blocked > found.connections / 2
