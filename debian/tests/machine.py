"""The machine that the package is installed on: units, files, and the obfsfte command."""

from __future__ import annotations

import subprocess
from pathlib import Path

from tests.e2e.waiting import wait_for

OBFSFTE = "/usr/bin/obfsfte"


def run(*command: str, status: int = 0) -> str:
    """What a command prints, on both streams; it must end with this status."""
    done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    assert done.returncode == status, f"{command} ended with {done.returncode}:\n{done.stdout}"
    return done.stdout


def shell(line: str) -> str:
    """The same of a line that a person would type."""
    return run("sh", "-c", line)


def journal(unit: str) -> str:
    return run("journalctl", "--no-pager", "-o", "cat", "-u", unit)


def property_of(unit: str, name: str) -> str:
    return run("systemctl", "show", "--value", "-p", name, unit).strip()


def is_active(unit: str) -> bool:
    return property_of(unit, "ActiveState") == "active"


def main_process(unit: str) -> dict[str, str]:
    """What /proc/PID/status says of a unit's main process."""
    wait_for(lambda: property_of(unit, "MainPID") != "0", f"process of {unit}")
    status = Path(f"/proc/{property_of(unit, 'MainPID')}/status").read_text()
    return dict(line.split(":\t", 1) for line in status.splitlines())


def configure(**settings: str) -> None:
    """Set lines of /etc/default/obfsfte."""
    path = Path("/etc/default/obfsfte")
    lines = path.read_text().splitlines()
    for name, value in settings.items():
        [index] = [i for i, line in enumerate(lines) if line.startswith(f"{name}=")]
        lines[index] = f"{name}={value}"
    path.write_text("\n".join(lines) + "\n")


def remedies() -> list[str]:
    """What `obfsfte doctor` says to type, but for the clock, which a container cannot keep."""
    done = subprocess.run([OBFSFTE, "doctor"], stdout=subprocess.PIPE, text=True)
    assert done.returncode in (0, 1)
    lines = done.stdout.splitlines()
    return [line.strip() for line in lines[1::2] if "timedatectl" not in line]
