"""Install, upgrade, remove, purge: what stays, and what goes.

The package is in the file that OBFSFTE_DEB names, or comes from apt. These tests run in order.
"""

from __future__ import annotations

import os
import re
import socket
import subprocess
from pathlib import Path

import pytest
from machine import OBFSFTE, configure, is_active, property_of, run

from tests.e2e.waiting import LOOPBACK, listens, wait_for

STATE = Path("/var/lib/obfsfte")
PLUGINS = Path("/usr/lib/python3/dist-packages/twisted/plugins")
FILES = ("bridge.keys", "bridgeline.txt")


@pytest.fixture(scope="module")
def package(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if "OBFSFTE_DEB" in os.environ:
        return Path(os.environ["OBFSFTE_DEB"])
    directory = tmp_path_factory.mktemp("package")
    subprocess.run(["apt-get", "download", "obfsfte"], cwd=directory, check=True)
    [package] = directory.glob("*.deb")
    return package


@pytest.fixture(scope="module")
def next_version(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package with a higher version."""
    directory = tmp_path_factory.mktemp("next")
    run("dpkg-deb", "--raw-extract", str(package), str(directory / "tree"))
    control = directory / "tree" / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^(Version: .*)$", r"\1+next", control.read_text()))
    run("dpkg-deb", "--build", str(directory / "tree"), str(directory / "next.deb"))
    return directory / "next.deb"


def twistd_lists_us() -> bool:
    return "\n    fte-bridge " in run("twistd3", "--help")


def cache_has_us() -> bool:
    cache = PLUGINS / "dropin.cache"
    return cache.exists() and b"fte_bridge" in cache.read_bytes()


def left_behind() -> list[str]:
    """Files of ours, or named after us, but for dpkg's own logs and what tests brought along."""
    places = ["/etc", "/usr", "/lib", "/var", "/run", "/opt"]
    names = ["-iname", "*obfsfte*", "-o", "-name", "*fte_bridge*"]
    found = run("find", *places, "-xdev", "(", *names, ")").splitlines()
    logs = r"/var/(log|cache/apt|lib/apt|lib/dpkg/triggers|tmp)/|/run/systemd/"
    return [path for path in found if not re.match(logs, path)]


def test_twistd_lists_the_plugin() -> None:
    assert twistd_lists_us()
    assert cache_has_us()
    assert "--managed" in run("twistd3", "fte-bridge", "--help")


def test_bash_completes() -> None:
    script = "/usr/share/bash-completion/completions/obfsfte"
    assert run(OBFSFTE, "completion") == Path(script).read_text()


def test_the_fast_form_runs() -> None:
    assert "(ranking: C)" in run(OBFSFTE, "--version")


def test_the_man_pages_are_found() -> None:
    for page in ("man1/obfsfte.1.gz", "man5/obfsfte-covers.5.gz"):
        assert Path("/usr/share/man", page).exists()


def test_an_upgrade_keeps_keys_and_bridge_line_and_restarts(next_version: Path) -> None:
    run("systemctl", "enable", "--now", "obfsfte.service")
    wait_for(lambda: listens(8080), "server that listens")
    before = [(STATE / name).read_text() for name in FILES]
    process = property_of("obfsfte.service", "MainPID")
    run("dpkg", "--install", str(next_version))
    wait_for(lambda: property_of("obfsfte.service", "MainPID") not in ("0", process), "new process")
    wait_for(lambda: listens(8080), "server that listens")
    assert [(STATE / name).read_text() for name in FILES] == before
    assert twistd_lists_us()


def test_an_upgrade_restarts_what_its_socket_started(package: Path, next_version: Path) -> None:
    run("dpkg", "--install", str(package))
    run("systemctl", "disable", "--now", "obfsfte.service")
    configure(LISTEN="systemd:domain=INET6:index=0", OPTIONS=f"--fallback tcp:{LOOPBACK}:1")
    run("systemctl", "enable", "--now", "obfsfte.socket")
    socket.create_connection((LOOPBACK, 443), timeout=30).close()
    wait_for(lambda: property_of("obfsfte.service", "MainPID") != "0", "service")
    process = property_of("obfsfte.service", "MainPID")
    run("dpkg", "--install", str(next_version))
    assert is_active("obfsfte.socket")
    socket.create_connection((LOOPBACK, 443), timeout=30).close()
    wait_for(lambda: property_of("obfsfte.service", "MainPID") not in ("0", process), "new process")


def test_removing_stops_it_and_keeps_the_keys() -> None:
    assert is_active("obfsfte.socket")
    run("dpkg", "--remove", "obfsfte")
    assert not is_active("obfsfte.socket")
    assert not is_active("obfsfte.service")
    assert (STATE / "bridge.keys").exists()
    assert not cache_has_us()
    assert not twistd_lists_us()


def test_purging_leaves_nothing() -> None:
    run("dpkg", "--purge", "obfsfte")
    assert left_behind() == []
    # dh_apparmor takes an empty directory of AppArmor's with it.
    assert run("dpkg", "--verify").replace("missing     /etc/apparmor.d/disable\n", "") == ""


def test_installing_again(package: Path) -> None:
    assert not twistd_lists_us()
    run("dpkg", "--install", str(package))
    assert cache_has_us()
    assert twistd_lists_us()
    assert property_of("obfsfte.service", "UnitFileState") == "disabled"
