"""A failed test of a Tor network reports the end of every tor's log."""

from __future__ import annotations

from collections.abc import Generator
from typing import Any

import pytest

from tests.e2e.tornet import TorNetwork


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    network = getattr(item, "funcargs", {}).get("network")
    if report.failed and isinstance(network, TorNetwork):
        for tor in network.nodes.values():
            report.sections.append((f"log of tor {tor.name}", tor.log_tail()))
