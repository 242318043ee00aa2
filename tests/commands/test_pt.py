"""`obfsfte pt`: its part of the handshake, and what is loaded before tor has its answer."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from twisted.python.usage import UsageError

from obfsfte.commands import pt
from obfsfte.errors import ConfigError
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.server import ServerTransportPlugin
from tests.e2e.pt_process import client_environment, server_environment
from tests.pyptlib.conftest import CLIENT, SERVER, said


@pytest.fixture
def environment(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """The environment of this process, empty for a test to fill."""
    environment: dict[str, str] = {}
    monkeypatch.setattr(os, "environ", environment)
    return environment


@pytest.mark.parametrize(
    ("variables", "kind"),
    [(CLIENT, ClientTransportPlugin), (SERVER, ServerTransportPlugin)],
    ids=["client", "server"],
)
def test_a_client_or_a_server(
    environment: dict[str, str], variables: dict[str, str], kind: type
) -> None:
    environment.update(variables)
    plugin = pt.make_plugin(io.BytesIO())
    assert isinstance(plugin, kind)
    assert plugin.getTransports() == ["fte"]
    assert said(plugin) == ["VERSION 1"]


def test_without_tor(environment: dict[str, str]) -> None:
    stdout = io.BytesIO()
    with pytest.raises(ConfigError, match=r"tor runs this command, see torrc\.example"):
        pt.make_plugin(stdout)
    assert stdout.getvalue().startswith(b"ENV-ERROR neither TOR_PT_CLIENT_TRANSPORTS nor ")


@pytest.mark.parametrize(
    ("name", "value", "told"),
    [
        ("TOR_PT_MANAGED_TRANSPORT_VER", "2", [b"VERSION-ERROR no-version"]),
        ("TOR_PT_STATE_LOCATION", "", [b"ENV-ERROR TOR_PT_STATE_LOCATION: is empty"]),
        ("TOR_PT_PROXY", "socks5://s3cret@192.0.2.1:1", [b"VERSION 1", b"PROXY-ERROR SOCKS5 "]),
    ],
)
def test_what_tor_is_told_the_person_is_told(
    environment: dict[str, str], name: str, value: str, told: list[bytes]
) -> None:
    environment.update({**CLIENT, name: value})
    stdout = io.BytesIO()
    with pytest.raises(ConfigError) as caught:
        pt.make_plugin(stdout)
    lines = stdout.getvalue().splitlines()
    assert len(lines) == len(told)
    assert all(line.startswith(start) for line, start in zip(lines, told, strict=True))
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


class Closed(io.RawIOBase):
    def write(self, data: object) -> int:
        raise BrokenPipeError


@pytest.mark.parametrize("variables", [CLIENT, {}], ids=["client", "nothing"])
def test_nobody_listens(environment: dict[str, str], variables: dict[str, str]) -> None:
    environment.update(variables)
    with pytest.raises(ConfigError, match="nobody reads standard output"):
        pt.make_plugin(Closed())  # type: ignore[arg-type]


@contextmanager
def pipes_as_output() -> Iterator[tuple[int, int]]:
    """Make descriptors 1 and 2 pipes, for a while; here are their other ends."""
    saved = os.dup(1), os.dup(2)
    pipes = os.pipe(), os.pipe()
    for descriptor, (_, sink) in zip((1, 2), pipes, strict=True):
        os.dup2(sink, descriptor)
        os.close(sink)
    try:
        yield pipes[0][0], pipes[1][0]
    finally:
        for descriptor, copy in zip((1, 2), saved, strict=True):
            os.dup2(copy, descriptor)
            os.close(copy)
        for source, _ in pipes:
            os.close(source)


def test_descriptor_1_is_no_longer_tors() -> None:
    with pipes_as_output() as (stdout, stderr), pt.claim_stdout() as protocol:
        os.write(1, b"noise")
        protocol.write(b"VERSION 1\n")
        assert os.read(stdout, 100) == b"VERSION 1\n"
        assert os.read(stderr, 100) == b"noise"


def test_options() -> None:
    options = pt.Options()
    options.parseOptions(["--log-file"])
    assert options["log-file"]
    with pytest.raises(UsageError, match="does not take 'client'"):
        pt.Options().parseOptions(["client"])


#: How the names of modules begin that only a connection needs, or only the other side.
BY_NEITHER = (
    *("obfsfte.classic", "obfsfte.covers.stream", "obfsfte.covers.websocket", "obfsfte.regular"),
    *("obfsfte.session_channel", "obfsfte.transport.outbound_proxy", "obfsfte.wires", "h11"),
)
NOT_BY_A_CLIENT = (
    *("obfsfte.covers", "obfsfte.managed.server", "obfsfte.session", "obfsfte.state"),
    *BY_NEITHER,
)
NOT_BY_A_SERVER = ("obfsfte.managed.client", "obfsfte.transport.socks", *BY_NEITHER)


@pytest.mark.e2e
@pytest.mark.parametrize("side", ["client", "server"])
def test_what_tor_need_not_wait_for_is_not_loaded(tmp_path: Path, side: str) -> None:
    environment, unwanted = {
        "client": (client_environment(tmp_path), NOT_BY_A_CLIENT),
        "server": (server_environment(tmp_path, 9), NOT_BY_A_SERVER),
    }[side]
    result = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "obfsfte", "pt"],
        env=environment,
        stdin=subprocess.DEVNULL,  # its end, once launched
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=True,
    )
    # "import time: self | cumulative | name" once a module is loaded, among the protocol's.
    told = [line.rpartition("|")[2].strip() for line in result.stdout.splitlines()]
    assert told.index("VERSION 1") < told.index("twisted.internet.reactor")
    before = told[: told.index("CMETHODS DONE" if side == "client" else "SMETHODS DONE")]
    assert "obfsfte.managed." + side in before
    assert [name for name in before if name.startswith(unwanted)] == []
