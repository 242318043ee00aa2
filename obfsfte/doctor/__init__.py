"""What keeps a bridge on this machine from working, and the remedy to type.

```
 torrc, /etc/default/obfsfte --setups--> Setup --checks--> Finding, Finding, ...
                        everything is asked of a Machine
```
A check looks at one thing of one setup. It says nothing when it cannot know: whoever runs it may
not be root, and the machine may not be Debian's.
"""

from __future__ import annotations

from pathlib import PurePosixPath

from obfsfte.doctor import confinement, running, software, state
from obfsfte.doctor.finding import Finding
from obfsfte.doctor.machine import Machine
from obfsfte.doctor.setups import Setup, service_setup, tor_setups, unit_findings

__all__ = ["Finding", "Machine", "examine"]

_EVERYWHERE = (software.versions, software.ranking, software.clock)
_FOR_EACH = (
    confinement.program,
    confinement.apparmor,
    confinement.low_port,
    state.directory,
    state.journal,
    running.listening,
    running.open_files,
    running.firewall,
    running.places,
)


def examine(
    machine: Machine, torrc: PurePosixPath, state_path: PurePosixPath | None = None
) -> list[Finding]:
    """All findings, the ones to mend first at the front. Raises ConfigError for a torrc.

    With `state_path`, only that state directory is looked at, and what concerns all.
    """
    findings = [finding for check in _EVERYWHERE for finding in check(machine)]
    if state_path is not None:
        setup = Setup(name=f"the bridge of {state_path}", state=state_path)
        return findings + [
            f for check in (state.directory, state.journal) for f in check(machine, setup)
        ]
    setups, found = tor_setups(machine, torrc)
    findings += found
    service = service_setup(machine)
    if service is not None:
        setups.append(service)
        findings += unit_findings(machine, service)
    if not setups and not found:
        findings.append(
            Finding(
                f"nothing runs obfsfte: {torrc} has no line for it, and obfsfte.service is off",
                "less /usr/share/doc/obfsfte/examples/torrc.example   # the lines to add",
            )
        )
    return findings + [f for setup in setups for check in _FOR_EACH for f in check(machine, setup)]
