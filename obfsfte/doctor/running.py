"""What runs: who listens on the port, with which limits, and what it has to reach."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from obfsfte.doctor.finding import Finding
from obfsfte.doctor.machine import Machine
from obfsfte.doctor.setups import Setup
from obfsfte.errors import ConfigError
from obfsfte.own_covers import catalogue
from obfsfte.places import client_endpoint

#: Two descriptors for each connection, and some; 1024 is what a process has without being asked.
_ENOUGH_FILES = 4096


def _restart(setup: Setup) -> str:
    unit = "tor" if setup.under_tor else setup.unit
    return f"systemctl restart {unit} && journalctl -n 20 -u {setup.unit}"


def _is_ours(words: list[str]) -> bool:
    return any("obfsfte" in word or "fte-bridge" in word for word in words[:4])


def listening(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether the port is open, and ours."""
    if setup.port is None:
        return
    sockets = machine.listeners(setup.port)
    if not sockets:
        yield Finding(
            f"nothing listens on port {setup.port}: {setup.name} does not run", _restart(setup)
        )
        return
    owners = machine.owners(sockets)
    commands = dict(machine.processes())
    others = [
        number
        for number in sorted(owners)
        if not _is_ours(commands.get(number, [])) and number != 1  # systemd, with a socket unit
    ]
    if others and not any(_is_ours(commands.get(number, [])) for number in owners):
        name = PurePosixPath(commands.get(others[0], ["?"])[0]).name
        yield Finding(
            f"port {setup.port} is taken by {name} (process {others[0]})",
            f"editor {setup.configured_in}   # name another port, or stop {name}",
        )


def open_files(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether many clients can be connected at once."""
    if setup.port is None or setup.unit is None:
        return
    sockets = machine.listeners(setup.port)
    for number in sorted(machine.owners(sockets)):
        limits = machine.read(f"/proc/{number}/limits") or ""
        found = re.search(r"^Max open files\s+(\d+)", limits, re.M)
        if number != 1 and found and int(found[1]) < _ENOUGH_FILES:
            folder = f"/etc/systemd/system/{setup.unit}.d"
            yield Finding(
                f"{setup.name} may have {found[1]} files open: enough for "
                f"{int(found[1]) // 2 - 20} clients at once",
                f"mkdir -p {folder} && printf '[Service]\\nLimitNOFILE=65536\\n' "
                f"> {folder}/files.conf && systemctl daemon-reload && {_restart(setup)}",
            )
            return


def firewall(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether ufw, Debian's simple firewall, lets clients in. Others are not asked."""
    if setup.port is None or "ENABLED=yes" not in (machine.read("/etc/ufw/ufw.conf") or ""):
        return
    rules = machine.read("/etc/ufw/user.rules")
    if rules is not None and not re.search(
        rf"^### tuple ### allow (?:tcp|any) {setup.port}\b", rules, re.M
    ):
        yield Finding(f"ufw keeps clients from port {setup.port}", f"ufw allow {setup.port}/tcp")


def places(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether the fallback and the target answer, and the covers exist."""
    for what, place in setup.places:
        try:
            client_endpoint(None, place)
        except ConfigError as error:
            yield Finding(
                f"{setup.configured_in}: the {what}: {error}", f"editor {setup.configured_in}"
            )
            continue
        fault = machine.connect(place)
        if fault is not None:
            yield Finding(
                f"{setup.name} cannot reach its {what} {place}: {fault}",
                f"editor {setup.configured_in}   # name a place that answers, or start it",
            )
    if setup.covers and setup.state is not None:
        try:
            known = catalogue(state=machine.at(setup.state))
            for name in setup.covers:
                known.check(name)
        except ConfigError as error:
            yield Finding(f"{setup.configured_in}: {error}", f"editor {setup.configured_in}")
