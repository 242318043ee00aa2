"""`obfsfte keygen`: make a bridge's keys before its first start, or new ones."""

from __future__ import annotations

import sys

from twisted.python import usage

from obfsfte.commands import options as shared
from obfsfte.errors import ConfigError
from obfsfte.state import StateDirectory


class Options(shared.Options):
    synopsis = "Usage: obfsfte keygen --state DIRECTORY [--force]"
    longdesc = (
        "Makes the keys of a bridge and prints the cert= of its bridge line. A server does "
        "the same on its first start."
    )
    optParameters = [
        ["state", "s", None, "Directory for the keys.", shared.coerced(shared.directory)]
    ]
    optFlags = [["force", None, "Replace keys that are there: clients need the new bridge line."]]

    def postOptions(self) -> None:
        if self["state"] is None:
            raise usage.UsageError("needs --state DIRECTORY")


def run(options: Options) -> int:
    state = StateDirectory(options["state"])
    had_keys = state.has_keys()
    if options["force"]:
        keys = state.replace_keys()
        if had_keys:
            print(
                "obfsfte: keygen: a server that runs has the old keys until it is restarted, and "
                "bridgeline.txt the old line",
                file=sys.stderr,
            )
    elif had_keys:
        raise ConfigError(
            f"{state.path} has keys already: obfsfte bridge-line shows them to clients, "
            "--force replaces them"
        )
    else:
        keys = state.keys_or_new()
    print(f"cert={keys.cert.encode()}")
    return 0
