"""What every bridge of this machine stands on: versions, the fast form of ranking, the clock."""

from __future__ import annotations

import re
from collections.abc import Iterator

from obfsfte.doctor.finding import Finding
from obfsfte.doctor.machine import Machine

#: Python package -> (the oldest version that works, Debian's name of it)
_NEEDED = {
    "Python": ((3, 11), "python3"),
    "Twisted": ((22, 4), "python3-twisted"),
    "cryptography": ((38,), "python3-cryptography"),
    "attrs": ((22, 2), "python3-attr"),
    "h11": ((0, 14), "python3-h11"),
    "service-identity": ((18, 1), "python3-service-identity"),
    "pyOpenSSL": ((23,), "python3-openssl"),
}


def versions(machine: Machine) -> Iterator[Finding]:
    for name, (oldest, package) in _NEEDED.items():
        there = machine.version(name)
        needed = ".".join(str(part) for part in oldest)
        if there is None:
            yield Finding(f"{name} is not installed", f"apt install {package}")
        elif tuple(int(part) for part in re.findall(r"\d+", there)[:3]) < oldest:
            yield Finding(
                f"{name} is {there}, and must be {needed} or newer",
                f"apt install {package}   # in a venv: pip install '{name}>={needed}'",
            )


def ranking(machine: Machine) -> Iterator[Finding]:
    if machine.ranking() == "C":
        return
    if machine.pure_python_is_chosen():
        yield Finding(
            "ranking runs in Python, ten times slower, since OBFSFTE_PURE_PYTHON=1 is set",
            "unset OBFSFTE_PURE_PYTHON",
        )
    else:
        yield Finding(
            "ranking runs in Python, ten times slower: the extension in C is not there",
            "apt install --reinstall obfsfte   "
            "# in a venv: apt install gcc python3-dev, then pip install --force-reinstall obfsfte",
        )


def clock(machine: Machine) -> Iterator[Finding]:
    if not machine.clock_is_kept():
        yield Finding(
            "nobody keeps this machine's clock right: with 90 minutes off, no client gets in",
            "apt install systemd-timesyncd && timedatectl set-ntp true",
        )
