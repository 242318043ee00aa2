"""The covers that show HTTP, through a server and a client of Python's that frame all anew."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.e2e.aiohttp_proxy import AiohttpProxy
from tests.e2e.sessions import tunnel, use
from tests.e2e.waiting import free_port

pytestmark = pytest.mark.e2e


@pytest.mark.parametrize("cover", ["http", "http-api", "websocket", "websocket-api"])
def test_through_aiohttp(tmp_path: Path, cover: str) -> None:
    port = free_port()
    with (
        tunnel(tmp_path / "state", cover, through=port) as (way, _, bridge),
        AiohttpProxy(port, bridge.port) as proxy,
    ):
        use(way, 2, 1_000_000)
    assert proxy.errors == []
    if cover.startswith("websocket"):
        assert proxy.messages > 60
        assert proxy.requests == 0
    else:
        assert proxy.requests > 20
