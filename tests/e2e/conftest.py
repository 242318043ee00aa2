"""What tests share: a certificate; and a failed test's report has the end of every tor's log."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Generator
from pathlib import Path
from typing import Any

import pytest

from tests.e2e.tools import tool
from tests.e2e.tornet import TorNetwork


@pytest.fixture(scope="session")
def certificate(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A directory with key.pem, cert.pem of localhost, and trust/ that has that alone."""
    directory = tmp_path_factory.mktemp("tls")
    subprocess.run(
        [tool("openssl"), "req", "-x509", "-nodes", "-days", "2", "-newkey", "ec"]
        + ["-pkeyopt", "ec_paramgen_curve:P-256", "-subj", "/CN=localhost"]
        + ["-addext", "subjectAltName=DNS:localhost"]
        + ["-keyout", directory / "key.pem", "-out", directory / "cert.pem"],
        check=True,
        capture_output=True,
    )
    (directory / "trust").mkdir()
    shutil.copy(directory / "cert.pem", directory / "trust")
    return directory


@pytest.hookimpl(hookwrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, Any, None]:
    outcome = yield
    report = outcome.get_result()
    network = getattr(item, "funcargs", {}).get("network")
    if report.failed and isinstance(network, TorNetwork):
        for tor in network.nodes.values():
            report.sections.append((f"log of tor {tor.name}", tor.log_tail()))
