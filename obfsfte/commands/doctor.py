"""`obfsfte doctor`: what keeps a bridge on this machine from working, and the remedy to type."""

from __future__ import annotations

import os
import sys
from pathlib import PurePosixPath

from obfsfte.commands import options as shared
from obfsfte.doctor import Machine, examine
from obfsfte.doctor.setups import DEFAULT_TORRC


class Options(shared.Options):
    synopsis = "Usage: obfsfte doctor [--torrc FILE] [--state DIRECTORY]"
    longdesc = (
        "Looks for what keeps a bridge on this machine from working, and prints what is wrong "
        "and the remedy to type. The status is 0 if nothing was found, else 1. Run it as root, "
        "which may read everything."
    )
    optParameters = [
        ["torrc", None, str(DEFAULT_TORRC), "The torrc of the bridge."],
        [
            "state",
            "s",
            None,
            "Look at this state directory, not at what torrc says.",
            shared.coerced(shared.directory),
        ],
    ]


def run(options: Options) -> int:
    state = None if options["state"] is None else _absolute(options["state"])
    findings = examine(Machine(), _absolute(options["torrc"]), state)
    for finding in findings:
        print(f"- {finding.what}\n    {finding.remedy}")
    if os.geteuid() != 0:
        print("obfsfte: doctor: not run as root: some things could not be seen", file=sys.stderr)
    if not findings:
        print("nothing is wrong")
    return 1 if findings else 0


def _absolute(path: str) -> PurePosixPath:
    return PurePosixPath(os.path.abspath(path))
