"""`obfsfte bridge-line`: what to give to the clients of a bridge."""

from __future__ import annotations

from twisted.python import usage

from obfsfte.bridge import bridge_line
from obfsfte.bridge_line import BridgeLine, parse_address
from obfsfte.commands import options as shared
from obfsfte.covers.catalogue import DEFAULT_COVER
from obfsfte.errors import ConfigError
from obfsfte.own_covers import catalogue
from obfsfte.state import StateDirectory


class Options(shared.Options):
    synopsis = "Usage: obfsfte bridge-line --state DIRECTORY [--address HOST:PORT] [--cover NAME]"
    longdesc = (
        "Prints the line that clients need: for torrc, with Bridge before it, or for obfsfte "
        "client --bridge. Under tor the state directory is pt_state/fte in its DataDirectory."
    )
    optParameters = [
        ["state", "s", None, "The bridge's directory.", shared.coerced(shared.directory)],
        ["address", "a", None, "HOST:PORT where clients find it.", shared.coerced(parse_address)],
        ["cover", "c", None, "A cover that the server has; default the one that it prefers."],
    ]

    def postOptions(self) -> None:
        if self["state"] is None:
            raise usage.UsageError("needs --state DIRECTORY")


def run(options: Options) -> int:
    state = StateDirectory(options["state"])
    keys = state.keys()
    cover, address = DEFAULT_COVER, options["address"]
    # A server that has started left the line with what it knows: its port, its cover.
    stored = state.bridge_line()
    if stored is not None:
        try:
            known = BridgeLine.parse(stored)
        except ConfigError:
            raise ConfigError(
                f"bridgeline.txt in {state.path} is damaged: remove it, and start the server once"
            ) from None
        cover = known.arguments.get("cover", cover)
        address = address or (known.host, known.port)
    if options["cover"] is not None:
        cover = catalogue(state=state.path).get(options["cover"]).name
    print(bridge_line(state, keys, cover, address))
    return 0
