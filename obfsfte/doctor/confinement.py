"""What tor's unit and AppArmor let obfsfte do: being started, and listening on its port.

Debian's tor starts as root under AppArmor's profile system_tor, which names the transports that it
may execute, in a unit with NoNewPrivileges= and ProtectHome=, and changes to a user of its own.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from pathlib import PurePosixPath

from obfsfte.doctor.finding import Finding
from obfsfte.doctor.machine import Machine
from obfsfte.doctor.setups import Setup, unit_text

_APPARMOR = "/etc/apparmor.d"
_PROFILE = "system_tor"
_HIDDEN = {"ProtectHome": ("/home", "/root", "/run/user"), "PrivateTmp": ("/tmp", "/var/tmp")}  # noqa: S108
_UNPRIVILEGED = "/proc/sys/net/ipv4/ip_unprivileged_port_start"


def program(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether tor can see and start what torrc says."""
    path = setup.program
    if path is None or not setup.under_tor:
        return
    found = machine.stat(path)
    remedy = (
        f"sed -i 's|exec {path}|exec /usr/bin/obfsfte|' {setup.configured_in} "
        "&& systemctl restart tor"
    )
    if found is None:
        if path == "/usr/bin/obfsfte":
            remedy = remedy.replace("/usr/bin/obfsfte|'", "'$(command -v obfsfte)'|'")
        yield Finding(f"{setup.configured_in} starts {path}, which is not there", remedy)
        return
    if not found.st_mode & 0o001:
        yield Finding(f"tor's user may not execute {path}", f"chmod 755 {path}")
    unit = unit_text(machine, setup.unit or "")
    for setting, places in _HIDDEN.items():
        if _setting(unit, setting) and PurePosixPath(path).is_relative_to(_one_of(path, places)):
            yield Finding(
                f"tor's unit hides {path} from tor ({setting}=yes)",
                f"apt install obfsfte && {remedy}",
            )


def _one_of(path: str, places: tuple[str, ...]) -> str:
    return next((place for place in places if PurePosixPath(path).is_relative_to(place)), "\0")


def _setting(unit: str, name: str) -> bool:
    """A yes or no of a unit: the last one counts."""
    values = re.findall(rf"^{name}=(.*)$", unit, re.M)
    return bool(values) and values[-1].strip().lower() not in ("no", "false", "0", "off", "")


def apparmor(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether tor's profile lets tor execute the program."""
    if not setup.under_tor or setup.program is None:
        return
    if (machine.read("/sys/module/apparmor/parameters/enabled") or "N").strip() != "Y":
        return
    loaded = machine.read("/sys/kernel/security/apparmor/profiles")  # for root only
    if loaded is not None and f"{_PROFILE} (enforce)" not in loaded:
        return
    if machine.stat(f"{_APPARMOR}/disable/{_PROFILE}") is not None:
        return
    rules = _profile_text(machine, f"{_APPARMOR}/{_PROFILE}", set())
    if not rules or _may_execute(rules, setup.program):
        return
    local = f"{_APPARMOR}/local/{_PROFILE}"
    reload_profile = f"apparmor_parser --replace {_APPARMOR}/{_PROFILE} && systemctl restart tor"
    ready = _profile_text(machine, f"{_APPARMOR}/abstractions/obfsfte", set())
    if _may_execute(ready, setup.program):
        allow = "echo 'include if exists <abstractions/obfsfte>'"
    else:
        folder = PurePosixPath(setup.program).parents[1]
        allow = (
            f"printf '%s\\n' 'include <abstractions/python>' '/usr/bin/python3.* mrix,' "
            f"'{folder}/** mrix,'"
        )
    yield Finding(
        f"tor's AppArmor profile does not let tor start {setup.program}",
        f"{allow} >> {local} && {reload_profile}",
    )


def _profile_text(machine: Machine, path: str, seen: set[str]) -> str:
    """A profile, with what it includes in the place of each include."""
    text = machine.read(path)
    if text is None or path in seen:
        return ""
    seen.add(path)

    def included(match: re.Match[str]) -> str:
        return _profile_text(machine, os.path.normpath(f"{_APPARMOR}/{match[1]}"), seen)

    return re.sub(
        r'^\s*#?include\s+(?:if exists\s+)?[<"]([^>"]+)[>"].*$', included, text, flags=re.M
    )


def _may_execute(rules: str, path: str) -> bool:
    found = re.findall(r"^\s*(?:owner\s+)?(/\S+)\s+([a-zA-Z]+)\s*,", rules, re.M)
    found += [rule[::-1] for rule in re.findall(r"^\s*([a-zA-Z]*x)\s+(/\S+)\s*,", rules, re.M)]
    return any("x" in rights and re.fullmatch(_as_regex(glob), path) for glob, rights in found)


def _as_regex(glob: str) -> str:
    """AppArmor's globbing: ** crosses directories, * and ? do not, {a,b} are alternatives."""
    if glob.count("{") != glob.count("}"):
        return re.escape(glob)
    translated = {"**": ".*", "*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")", ",": "|"}
    parts = re.findall(r"\*\*|\[[^]]*\]|.", glob)
    return "".join(
        translated.get(part, part if len(part) > 1 else re.escape(part)) for part in parts
    )


def low_port(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether the program may listen on its port.

    No privilege reaches it under tor: NoNewPrivileges= stops those of a file, which a script
    cannot have anyway, and tor loses the ambient ones when it changes from root to its own user.
    """
    text = machine.read(_UNPRIVILEGED)
    first = int(text) if text is not None else 1024
    port = setup.port
    if port is None or port >= first:
        return
    if setup.under_tor:
        unit = unit_text(machine, setup.unit or "")
        why = " (NoNewPrivileges=yes)" if _setting(unit, "NoNewPrivileges") else ""
        yield Finding(
            f"port {port} is below {first}, and tor's unit{why} cannot pass on the right to it",
            f"echo 'net.ipv4.ip_unprivileged_port_start = {port}' "
            "> /etc/sysctl.d/99-obfsfte-ports.conf && sysctl --system && systemctl restart tor",
        )
    elif not setup.adopts_port:
        yield Finding(
            f"port {port} is below {first}, and obfsfte.service has no right to it",
            f"sed -i 's/^LISTEN=.*/LISTEN=systemd:domain=INET6:index=0/' {setup.configured_in} "
            "&& systemctl enable --now obfsfte.socket   # which opens 443",
        )
