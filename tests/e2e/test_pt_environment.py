"""What a managed proxy makes of its environment: places, files, and errors that say what to do."""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest

from obfsfte.bridge_line import BridgeLine
from tests.e2e.halves import COMMAND, Target
from tests.e2e.pt_process import (
    PT,
    TWISTD,
    Bridge,
    Managed,
    client_environment,
    server_environment,
)
from tests.e2e.waiting import LOOPBACK, free_port, listens, wait_for

pytestmark = pytest.mark.e2e

#: No test here is about tor itself: nobody needs to listen.
ORPORT = 9
FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"

Changes = dict[str, str | None]

CLIENT_FAULTS: dict[str, tuple[Changes, list[str]]] = {
    "no versions": ({"TOR_PT_MANAGED_TRANSPORT_VER": None}, [r"ENV-ERROR TOR_PT_MANAGED_.*"]),
    "other versions": ({"TOR_PT_MANAGED_TRANSPORT_VER": "2,3"}, ["VERSION-ERROR no-version"]),
    "no state": ({"TOR_PT_STATE_LOCATION": None}, ["ENV-ERROR TOR_PT_STATE_LOCATION: .*"]),
    "neither side": ({"TOR_PT_CLIENT_TRANSPORTS": None}, ["ENV-ERROR neither .*"]),
    "no transports": ({"TOR_PT_CLIENT_TRANSPORTS": ""}, ["ENV-ERROR TOR_PT_CLIENT_.*"]),
    "garbled source": (
        {"TOR_PT_OUTBOUND_BIND_ADDRESS_V4": "here"},
        ["ENV-ERROR TOR_PT_OUTBOUND_BIND_ADDRESS_V4: .*"],
    ),
    "unknown proxy": ({"TOR_PT_PROXY": "ftp://192.0.2.1:21"}, ["VERSION 1", "PROXY-ERROR .*"]),
    "proxy by name": ({"TOR_PT_PROXY": "http://proxy:80"}, ["VERSION 1", "PROXY-ERROR .*"]),
    "login for socks4a": (
        {"TOR_PT_PROXY": "socks4a://user:s3cret@192.0.2.1:1080"},
        ["VERSION 1", "PROXY-ERROR .*"],
    ),
}

SERVER_FAULTS: dict[str, tuple[Changes, list[str]]] = {
    "no transports": ({"TOR_PT_SERVER_TRANSPORTS": ""}, ["ENV-ERROR TOR_PT_SERVER_TRANSPORTS.*"]),
    "garbled address": (
        {"TOR_PT_SERVER_BINDADDR": "fte-somewhere"},
        ["ENV-ERROR TOR_PT_SERVER_BINDADDR: .*"],
    ),
    "address of a stranger": (
        {"TOR_PT_SERVER_BINDADDR": f"obfs4-{LOOPBACK}:443"},
        ["ENV-ERROR TOR_PT_SERVER_BINDADDR: .*"],
    ),
    "no ORPort": ({"TOR_PT_ORPORT": None}, ["ENV-ERROR TOR_PT_ORPORT .*"]),
    "garbled ORPort": ({"TOR_PT_ORPORT": "9001"}, ["ENV-ERROR TOR_PT_ORPORT: .*"]),
    "garbled ExtORPort": (
        {"TOR_PT_EXTENDED_SERVER_PORT": "here"},
        ["ENV-ERROR TOR_PT_EXTENDED_SERVER_PORT: .*"],
    ),
    "ExtORPort without cookie": (
        {"TOR_PT_EXTENDED_SERVER_PORT": f"{LOOPBACK}:9002"},
        ["ENV-ERROR TOR_PT_EXTENDED_SERVER_PORT is set without TOR_PT_AUTH_COOKIE_FILE"],
    ),
    "cookie without ExtORPort": (
        {"TOR_PT_AUTH_COOKIE_FILE": "/cookie"},
        ["ENV-ERROR TOR_PT_AUTH_COOKIE_FILE is set without .*"],
    ),
    "garbled options": (
        {"TOR_PT_SERVER_TRANSPORT_OPTIONS": "fte:key=s3cret;fte"},
        ["ENV-ERROR TOR_PT_SERVER_TRANSPORT_OPTIONS: .*"],
    ),
}


def assert_refused(
    environment: dict[str, str], lines: list[str], command: tuple[object, ...]
) -> None:
    """tor is told these lines and no others; whoever reads standard error, one."""
    with Managed(environment, command=command) as proxy:
        assert proxy.wait() == 1
        assert len(proxy.lines) == len(lines), proxy.lines
        for pattern, line in zip(lines, proxy.lines, strict=True):
            assert re.fullmatch(pattern, line)
        (complaint,) = proxy.stderr.splitlines()
        assert complaint.startswith("obfsfte: ")
        assert "s3cret" not in "".join([*proxy.lines, complaint])


@pytest.mark.parametrize(("changes", "lines"), CLIENT_FAULTS.values(), ids=CLIENT_FAULTS)
def test_a_client_says_what_is_wrong(tmp_path: Path, changes: Changes, lines: list[str]) -> None:
    assert_refused(client_environment(tmp_path, **changes), lines, PT)


@pytest.mark.parametrize(("changes", "lines"), SERVER_FAULTS.values(), ids=SERVER_FAULTS)
def test_a_server_says_what_is_wrong(tmp_path: Path, changes: Changes, lines: list[str]) -> None:
    assert_refused(server_environment(tmp_path, ORPORT, **changes), lines, PT)


@pytest.mark.parametrize("fault", ["no state", "unknown proxy"])
def test_twistd_says_the_same(tmp_path: Path, fault: str) -> None:
    changes, lines = CLIENT_FAULTS[fault]
    assert_refused(client_environment(tmp_path, **changes), lines, TWISTD)


def test_a_log_that_cannot_be_written(tmp_path: Path) -> None:
    (tmp_path / "fte").touch()
    with Managed(client_environment(tmp_path), "--log-file") as client:
        _, method, _ = client.launched()
        assert method.startswith("CMETHOD fte ")
        assert client.logged()[0].startswith('LOG SEVERITY=warning MESSAGE="cannot log to ')


def test_a_person_is_told_that_this_is_for_tor(tmp_path: Path) -> None:
    environment = {name: text for name, text in os.environ.items() if "TOR_PT" not in name}
    result = subprocess.run([COMMAND, "pt"], env=environment, capture_output=True, text=True)
    assert result.returncode == 1
    assert result.stderr.count("\n") == 1
    assert result.stderr.endswith("tor runs this command, see torrc.example\n")


# Transports


def test_several_versions_and_transports(tmp_path: Path) -> None:
    environment = client_environment(
        tmp_path, TOR_PT_MANAGED_TRANSPORT_VER="2,1", TOR_PT_CLIENT_TRANSPORTS="obfs4,fte"
    )
    with Managed(environment) as client:
        version, error, method, done = client.launched()
    assert (version, done) == ("VERSION 1", "CMETHODS DONE")
    assert error == "CMETHOD-ERROR obfs4 no such transport"
    assert method.startswith(f"CMETHOD fte socks5 {LOOPBACK}:")


def test_tor_escapes_options(tmp_path: Path) -> None:
    options = rf"obfs4:iat-mode=1;fte:cover=words;fte:fallback=tcp\:{LOOPBACK}\:80"
    environment = server_environment(tmp_path, ORPORT, TOR_PT_SERVER_TRANSPORT_OPTIONS=options)
    with Managed(environment) as server:
        assert server.launched()[1].endswith(",cover=words")


@pytest.mark.parametrize(
    "options",
    [
        "fte:cover=nonsense",
        "fte:colour=blue",
        r"fte:fallback=tcp\:80",
        "fte:classic=1;fte:key=s3cret",
    ],
)
def test_options_that_cannot_be_used(tmp_path: Path, options: str) -> None:
    environment = server_environment(tmp_path, ORPORT, TOR_PT_SERVER_TRANSPORT_OPTIONS=options)
    with Managed(environment) as server:
        _, error, done = server.launched()
        assert error.startswith("SMETHOD-ERROR fte ")
        assert done == "SMETHODS DONE"
        assert "s3cret" not in "".join(server.lines)


def test_a_fallback_that_is_the_bridge_itself(tmp_path: Path) -> None:
    place = f"{LOOPBACK}:{free_port()}"
    environment = server_environment(
        tmp_path,
        ORPORT,
        TOR_PT_SERVER_BINDADDR=f"fte-{place}",
        TOR_PT_SERVER_TRANSPORT_OPTIONS=f"fte:fallback=tcp:{place}",
    )
    with Managed(environment) as server:
        _, error, _ = server.launched()
        assert error.startswith(f"SMETHOD-ERROR fte the fallback tcp:{place} is this server itself")
        wait_for(lambda: not listens(int(place.rpartition(":")[2])), "closed port")


def test_an_address_in_use(tmp_path: Path) -> None:
    with Target() as occupant:
        place = f"{LOOPBACK}:{occupant.port}"
        environment = server_environment(tmp_path, ORPORT, TOR_PT_SERVER_BINDADDR=f"fte-{place}")
        with Managed(environment) as server:
            _, error, _ = server.launched()
    assert error.startswith("SMETHOD-ERROR fte cannot listen on ")
    assert error.endswith("Address already in use")


def test_ipv6(tmp_path: Path) -> None:
    environment = server_environment(tmp_path, ORPORT, TOR_PT_SERVER_BINDADDR="fte-[::1]:0")
    with Managed(environment) as server:
        port = server.port()
        assert f"SMETHOD fte [::1]:{port} " in server.lines[-1]
        socket.create_connection(("::1", port)).close()


# Files


def test_files_are_private_and_nowhere_else(tmp_path: Path) -> None:
    for name in ("cwd", "home", "tmp"):
        (tmp_path / name).mkdir()
    data_dir = tmp_path / "tor"
    state = data_dir / "pt_state"
    environment = server_environment(
        state, ORPORT, HOME=str(tmp_path / "home"), TMPDIR=str(tmp_path / "tmp")
    )
    for command in (PT, TWISTD):
        umask = os.umask(0o022)
        try:
            options = ["--log-file"] if command == PT else []
            server = Managed(environment, *options, command=command, cwd=tmp_path / "cwd")
        finally:
            os.umask(umask)
        with server:
            server.launched()
    made = {path: path.stat().st_mode & 0o777 for path in tmp_path.rglob("*")}
    for name in ("cwd", "home", "tmp"):
        del made[tmp_path / name]
    directories = {path for path in made if path.is_dir()}
    assert directories == {data_dir, state, state / "fte"}
    assert {path.parent for path in made.keys() - directories} == {state / "fte"}
    assert {made.pop(path) for path in directories} == {0o700}
    assert set(made.values()) == {0o600}


def test_a_client_needs_no_files(tmp_path: Path) -> None:
    with Managed(client_environment(tmp_path / "state")) as client:
        client.launched()
    assert list(tmp_path.iterdir()) == []


def output(*arguments: object) -> str:
    result = subprocess.run([COMMAND, *map(str, arguments)], capture_output=True, text=True)
    assert (result.returncode, result.stderr) == (0, "")
    return result.stdout.strip()


def test_everybody_names_the_same_bridge(tmp_path: Path) -> None:
    state = tmp_path / "pt_state"
    cert = output("keygen", "--state", state / "fte")
    (tmp_path / "fingerprint").write_text(f"Unnamed {FINGERPRINT}\n")
    with Target() as target, Managed(server_environment(state, target.port)) as server:
        bridge = Bridge(server, target)
    assert cert == f"cert={bridge.arguments['cert']}"
    published = BridgeLine.parse((state / "fte" / "bridgeline.txt").read_text())
    assert (published.port, published.arguments) == (bridge.port, bridge.arguments)
    told = output("bridge-line", "--state", state / "fte", "--address", "192.0.2.1:443")
    line = BridgeLine("192.0.2.1", 443, FINGERPRINT, bridge.arguments)
    assert BridgeLine.parse(told) == line
