"""The state directory: whose it is, who may read it, and whether its files are sound."""

from __future__ import annotations

import shlex
import stat
from collections.abc import Iterator

from obfsfte.doctor.finding import Finding
from obfsfte.doctor.machine import Machine
from obfsfte.doctor.setups import Setup
from obfsfte.errors import ConfigError
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import WINDOW
from obfsfte.state import JOURNAL_ENTRY

#: The replay journal is a few MB at most.
_ENOUGH_DISK = 16 << 20


def directory(machine: Machine, setup: Setup) -> Iterator[Finding]:
    if setup.state is None:
        return
    place = shlex.quote(str(setup.state))
    found = machine.stat(setup.state)
    if found is None:
        if setup.unit is None:
            yield Finding(f"there is no {place}", f"obfsfte keygen --state {place}")
        elif machine.stat(setup.state.parents[1]) is not None:  # else we may not look
            start = "systemctl restart tor" if setup.under_tor else f"systemctl start {setup.unit}"
            yield Finding(f"{setup.name} has never started: there is no {place}", start)
        return
    if not stat.S_ISDIR(found.st_mode):
        yield Finding(f"{place} is no directory", f"mv {place} {place}.old")
        return
    if found.st_mode & 0o022:
        yield Finding(f"others may write to {place}", f"chmod 700 {place}")
    owner = machine.user(setup.user) if setup.user is not None else None
    for name in ("", "bridge.keys", "replay.journal", "lock"):
        each = machine.stat(setup.state / name)
        if owner is not None and each is not None and each.st_uid != owner:
            what = shlex.quote(str(setup.state / name))
            yield Finding(
                f"{what} does not belong to {setup.user}, whose bridge it is",
                f"chown -R {setup.user}: {place}",
            )
            break
    yield from _keys(machine, setup)
    free = machine.free_bytes(setup.state)
    if free is not None and free < _ENOUGH_DISK:
        yield Finding(
            f"the disk that {place} is on is full: the replay journal cannot be written",
            f"df -h {place}   # then make room",
        )


def _keys(machine: Machine, setup: Setup) -> Iterator[Finding]:
    assert setup.state is not None  # noqa: S101
    path = setup.state / "bridge.keys"
    file = shlex.quote(str(path))
    found = machine.stat(path)
    if found is None:
        return
    if found.st_mode & 0o077:
        yield Finding(
            f"others may read {file}, and the bridge refuses to start", f"chmod 600 {file}"
        )
    text = machine.read(path)
    if text is not None:
        try:
            BridgeKeys.decode(text)
        except ConfigError as error:
            yield Finding(
                f"{file} is damaged: {error}",
                f"obfsfte keygen --force --state {shlex.quote(str(setup.state))}   "
                "# if no backup: clients need a new bridge line",
            )


def journal(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Hellos from the future say that the clock was wrong when they were answered."""
    if setup.state is None:
        return
    path = setup.state / "replay.journal"
    found = machine.stat(path)
    if found is None:
        return
    if not machine.at(path).is_file():
        file = shlex.quote(str(path))
        yield Finding(f"{file} is no file", f"mv {file} {file}.old")
        return
    try:
        data = machine.at(path).read_bytes()
    except OSError:
        return
    whole = len(data) - len(data) % JOURNAL_ENTRY.size
    latest = max((time for time, _ in JOURNAL_ENTRY.iter_unpack(data[:whole])), default=0)
    if latest > machine.now() + 2 * WINDOW:
        yield Finding(
            f"{path} has hellos from the future: this clock is wrong, or was",
            "timedatectl   # and set it right",
        )
