"""Programs written to pyptlib's documentation run unchanged on our package."""

import re
import subprocess
import sys
from pathlib import Path

import pytest

import obfsfte.pyptlib

from .conftest import CLIENT, SERVER

PROGRAMS = Path(__file__).parent / "programs"


@pytest.fixture
def pyptlib(tmp_path: Path) -> Path:
    """A directory in which our package is called pyptlib and is alone."""
    (tmp_path / "pyptlib").symlink_to(Path(obfsfte.pyptlib.__file__).parent)
    return tmp_path


def run(pyptlib: Path, program: str, environment: dict[str, str]) -> tuple[int, list[str], str]:
    """Run a program without site-packages; return its exit code, its lines, its complaints."""
    done = subprocess.run(
        [sys.executable, "-S", "-B", "-W", "error", PROGRAMS / f"{program}.py"],
        env={"PYTHONPATH": str(pyptlib), **environment},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=60,
    )
    out = done.stdout.decode("ascii")
    assert out == "" or out.endswith("\n")
    return done.returncode, out.split("\n")[:-1], done.stderr.decode()


def test_client(pyptlib: Path) -> None:
    environment = {**CLIENT, "TOR_PT_CLIENT_TRANSPORTS": "bluefish,unknown,blackfish"}
    code, lines, complaints = run(pyptlib, "client", environment)
    assert (code, complaints) == (0, "")
    assert lines[0] == "VERSION 1"
    assert re.fullmatch(r"CMETHOD blackfish socks5 127\.0\.0\.1:[1-9]\d*", lines[1])
    assert lines[2:] == [
        "CMETHOD-ERROR bluefish Failed to launch ('no water').",
        "CMETHODS DONE",
    ]


def test_client_with_a_proxy(pyptlib: Path) -> None:
    environment = {**CLIENT, "TOR_PT_PROXY": "socks5://127.0.0.1:8001"}
    code, lines, complaints = run(pyptlib, "client", environment)
    assert (code, lines, complaints) == (0, ["VERSION 1", "PROXY DONE", "CMETHODS DONE"], "")


@pytest.mark.parametrize(
    ("changes", "last_line"),
    [
        ({"TOR_PT_MANAGED_TRANSPORT_VER": "2"}, "VERSION-ERROR no-version"),
        ({"TOR_PT_CLIENT_TRANSPORTS": ""}, "ENV-ERROR TOR_PT_CLIENT_TRANSPORTS: is empty"),
        ({"TOR_PT_PROXY": "http://192.0.2.1:0"}, "PROXY-ERROR the proxy's port cannot be 0"),
    ],
)
def test_client_in_trouble(pyptlib: Path, changes: dict[str, str], last_line: str) -> None:
    code, lines, complaints = run(pyptlib, "client", {**CLIENT, **changes})
    assert (code, lines[-1]) == (1, last_line)
    assert complaints.startswith("pyptlib could not bootstrap")


def test_server(pyptlib: Path) -> None:
    environment = {
        **SERVER,
        "TOR_PT_SERVER_TRANSPORTS": "blackfish,bluefish",
        "TOR_PT_SERVER_BINDADDR": "blackfish-127.0.0.1:0,bluefish-203.0.113.1:1",
        "TOR_PT_SERVER_TRANSPORT_OPTIONS": "blackfish:depth=3",
    }
    code, lines, complaints = run(pyptlib, "server", environment)
    assert (code, complaints) == (0, "")
    assert lines[0] == "VERSION 1"
    assert re.fullmatch(r"SMETHOD blackfish 127\.0\.0\.1:[1-9]\d* ARGS:depth=3", lines[1])
    assert lines[2].startswith("SMETHOD-ERROR bluefish Failed to launch (")
    assert lines[3:] == ["SMETHODS DONE"]


def test_either_side(pyptlib: Path) -> None:
    code, lines, complaints = run(
        pyptlib, "rot0r", {**CLIENT, "TOR_PT_CLIENT_TRANSPORTS": "rot13,rot26"}
    )
    assert (code, complaints) == (0, "state in /var/lib/tor/pt_state/\n")
    assert lines == [
        "VERSION 1",
        "CMETHOD rot13 socks5 127.0.0.1:42042",
        "CMETHOD-ERROR rot26 Could not bind to 127.0.0.1:666",
        "CMETHODS DONE",
    ]
    environment = {
        **SERVER,
        "TOR_PT_SERVER_TRANSPORTS": "rot13",
        "TOR_PT_SERVER_BINDADDR": "rot13-[::1]:42042",
    }
    code, lines, complaints = run(pyptlib, "rot0r", environment)
    assert (code, complaints) == (0, "deliver to ('127.0.0.1', 9001)\n")
    assert lines == ["VERSION 1", "SMETHOD rot13 [::1]:42042", "SMETHODS DONE"]
    assert run(pyptlib, "rot0r", {})[:2] == (1, [])


def test_the_oldest_interface(pyptlib: Path) -> None:
    assert run(pyptlib, "deprecated", {**CLIENT, "TOR_PT_CLIENT_TRANSPORTS": "fish"}) == (
        0,
        ["VERSION 1", "CMETHOD fish socks4 127.0.0.1:1080", "CMETHODS DONE"],
        "",
    )
    environment = {
        **SERVER,
        "TOR_PT_SERVER_TRANSPORTS": "fish",
        "TOR_PT_SERVER_BINDADDR": "fish-192.0.2.1:80",
    }
    assert run(pyptlib, "deprecated", environment) == (
        0,
        ["VERSION 1", "SMETHOD fish 192.0.2.1:80", "SMETHODS DONE"],
        "",
    )
