"""Debian's own tor, in its own unit, is a bridge with the lines of torrc.example.

```
 curl -> client tor -> obfsfte pt ~~~ obfsfte pt -> tor@default.service -> relays -> web server
         `-- torrc.example, second part --'   `-- torrc.example, first part --'
```
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path, PurePath, PurePosixPath

import pytest
from machine import OBFSFTE, journal, remedies, run, shell

from obfsfte.doctor import Machine, examine
from tests.e2e.tornet import Tor, TorNetwork
from tests.e2e.transports import Fte
from tests.e2e.waiting import LOOPBACK, listens, wait_for
from tests.e2e.web import WebServer, curl

TORRC = Path("/etc/tor/torrc")
STATE = Path("/var/lib/tor/pt_state/fte")
UNIT = "tor@default.service"
PT = Fte(f"{OBFSFTE} pt")


class WithAppArmor(Machine):
    """This machine, as if its kernel had AppArmor switched on."""

    def read(self, path: PurePath | str) -> str | None:
        return "Y" if str(path).endswith("/apparmor/parameters/enabled") else super().read(path)


@pytest.fixture(scope="module")
def network() -> Iterator[TorNetwork]:
    before = TORRC.read_text()
    with TorNetwork() as network:
        yield network
    TORRC.write_text(before)
    run("systemctl", "stop", UNIT)
    Path("/etc/sysctl.d/99-obfsfte-ports.conf").unlink()


def start_bridge(network: TorNetwork, address: str) -> None:
    """With the lines of torrc.example, and those that make tor part of the private network."""
    TORRC.write_text(network._torrc + PT.bridge_torrc(address) + "Log notice syslog\n")
    run("systemctl", "restart", UNIT)


def bridge_line(address: str) -> str:
    command = [OBFSFTE, "bridge-line", "--state", str(STATE), "--address", address]
    return run(*command).strip()


def fetches(network: TorNetwork, name: str, line: str) -> None:
    client: Tor = network.add_client(name, PT.client_torrc(line))
    client.wait_for_bootstrap()
    with WebServer() as web:
        assert curl(client, web.url(3_000_000)) == web.body(3_000_000)


def test_a_bridge_and_a_client_of_it(network: TorNetwork) -> None:
    address = f"{LOOPBACK}:8080"
    start_bridge(network, address)
    wait_for(lambda: listens(8080), "bridge that listens", timeout=60)
    line = bridge_line(address)
    assert re.fullmatch(r"fte 127\.0\.0\.1:8080 [0-9A-F]{40} cert=\S+ cover=websocket", line)
    fetches(network, "client", line)


def test_tors_unit_is_as_debian_has_it() -> None:
    assert run("systemctl", "show", "--value", "-p", "NoNewPrivileges", UNIT) == "yes\n"
    [pt] = run("pgrep", "-u", "debian-tor", "-f", f"{OBFSFTE} pt").split()
    status = Path(f"/proc/{pt}/status").read_text()
    assert "NoNewPrivs:\t1" in status
    assert "CapEff:\t0000000000000000" in status


def test_the_keys_are_tors_alone() -> None:
    assert (STATE / "bridge.keys").owner() == "debian-tor"
    assert (STATE / "bridge.keys").stat().st_mode & 0o777 == 0o600


def test_doctor_finds_nothing_wrong() -> None:
    assert remedies() == []


def test_doctors_remedy_for_tors_apparmor_profile() -> None:
    """Judged by AppArmor's own parser, and by ours of the profile that Debian's tor has today.

    Whether a kernel enforces it is not seen here: that takes a kernel with AppArmor.
    """
    machine = WithAppArmor()
    [finding] = [f for f in examine(machine, PurePosixPath(TORRC)) if "AppArmor" in f.what]
    allow, _reload = finding.remedy.split(" && ", 1)
    shell(allow)
    try:
        assert not any("AppArmor" in f.what for f in examine(machine, PurePosixPath(TORRC)))
        for profile in ("system_tor", "obfsfte"):
            path = f"/etc/apparmor.d/{profile}"
            run("apparmor_parser", "--skip-kernel-load", "--skip-cache", "--add", path)
    finally:
        Path("/etc/apparmor.d/local/system_tor").write_text("")


def test_doctors_remedy_for_a_port_below_1024(network: TorNetwork) -> None:
    address = f"{LOOPBACK}:443"
    start_bridge(network, address)
    wait_for(lambda: "cannot listen on" in journal(UNIT), "complaint", timeout=60)
    remedy, _not_listening = remedies()
    shell(remedy.replace("sysctl --system", "sysctl -q --load /etc/sysctl.d/99-obfsfte-ports.conf"))
    wait_for(lambda: listens(443), "bridge that listens", timeout=60)
    assert remedies() == []
    fetches(network, "client443", bridge_line(address))
