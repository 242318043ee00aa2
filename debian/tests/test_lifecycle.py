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
    return version(package, tmp_path_factory.mktemp("next"), "+next")


def version(package: Path, directory: Path, suffix: str, **scripts: str) -> Path:
    """The package with a suffix to its version, and these maintainer scripts instead of its own."""
    tree = directory / "tree"
    run("dpkg-deb", "--raw-extract", str(package), str(tree))
    control = tree / "DEBIAN" / "control"
    control.write_text(re.sub(r"(?m)^(Version: .*)$", rf"\1{suffix}", control.read_text()))
    for name, text in scripts.items():
        script = tree / "DEBIAN" / name
        script.write_text(text)
        script.chmod(0o755)
    run("dpkg-deb", "--build", str(tree), str(directory / "new.deb"))
    return directory / "new.deb"


@pytest.fixture(scope="module")
def version_that_fails(package: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The same package with a higher version, which cannot be installed."""
    directory = tmp_path_factory.mktemp("fails")
    return version(package, directory, "+fails", preinst="#!/bin/sh\nexit 1\n")


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


def test_an_upgrade_that_fails_leaves_the_old_version_running(version_that_fails: Path) -> None:
    before = [(STATE / name).read_text() for name in FILES]
    installed = run("dpkg-query", "--show", "obfsfte")
    run("dpkg", "--install", str(version_that_fails), status=1)
    assert run("dpkg-query", "--show", "obfsfte") == installed
    assert run("dpkg-query", "--show", "-f", "${Status}", "obfsfte") == "install ok installed"
    wait_for(lambda: listens(8080), "server that listens")
    assert is_active("obfsfte.service")
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


def test_what_was_removed_comes_back_with_its_keys(package: Path) -> None:
    kept = [*(STATE / name for name in FILES), Path("/etc/default/obfsfte")]
    before = [path.read_text() for path in kept]
    for _ in range(2):  # the same version over itself, too
        run("dpkg", "--install", str(package))
        assert is_active("obfsfte.socket")
        assert [path.read_text() for path in kept] == before
    run("dpkg", "--remove", "obfsfte")


def test_purging_leaves_nothing() -> None:
    run("dpkg", "--purge", "obfsfte")
    assert left_behind() == []
    # dh_apparmor takes an empty directory of AppArmor's with it.
    assert run("dpkg", "--verify").replace("missing     /etc/apparmor.d/disable\n", "") == ""


def test_tors_apparmor_profile_stays_valid() -> None:
    """With the line in it that `obfsfte doctor` has people add."""
    local = Path("/etc/apparmor.d/local/system_tor")
    before = local.read_text()
    local.write_text("include if exists <abstractions/obfsfte>\n")
    try:
        run("apparmor_parser", "--skip-kernel-load", "--skip-cache", "/etc/apparmor.d/system_tor")
    finally:
        local.write_text(before)


def test_installing_again(package: Path) -> None:
    assert not twistd_lists_us()
    run("dpkg", "--install", str(package))
    assert cache_has_us()
    assert twistd_lists_us()
    assert property_of("obfsfte.service", "UnitFileState") == "disabled"
