"""`obfsfte bridge-line`: what to give to the clients of a bridge."""

from __future__ import annotations

from twisted.python import usage

from obfsfte.bridge import bridge_line, check_site
from obfsfte.bridge_line import UNKNOWN_HOST, BridgeLine, parse_address
from obfsfte.commands import options as shared
from obfsfte.commands import site
from obfsfte.covers.catalogue import DEFAULT_COVER
from obfsfte.errors import ConfigError
from obfsfte.own_covers import catalogue
from obfsfte.state import StateDirectory


class Options(shared.Options):
    synopsis = "Usage: obfsfte bridge-line --state DIRECTORY [--address HOST:PORT] [OPTIONS]"
    longdesc = (
        "Prints the line that clients need: for torrc, with Bridge before it, or for obfsfte "
        "client --bridge. Under tor the state directory is pt_state/fte in its DataDirectory."
    )
    optParameters = [
        ["state", "s", None, "The bridge's directory.", shared.coerced(shared.directory)],
        ["address", "a", None, "HOST:PORT where clients find it.", shared.coerced(parse_address)],
        ["cover", "c", None, "A cover that the server has; default the one that it prefers."],
        *site.PARAMETERS,
    ]

    def postOptions(self) -> None:
        if self["state"] is None:
            raise usage.UsageError("needs --state DIRECTORY")
        self["site"] = site.given(self)


def run(options: Options) -> int:
    state = StateDirectory(options["state"])
    keys = state.keys()
    covers = catalogue(state=state.path)
    cover, address, place = DEFAULT_COVER, options["address"], {}
    # A server that has started left the line with what it knows: its port, its cover, its url.
    stored = state.bridge_line()
    if stored is not None:
        try:
            known = BridgeLine.parse(stored)
        except ConfigError:
            raise ConfigError(
                f"bridgeline.txt in {state.path} is damaged: remove it, and start the server once"
            ) from None
        place = {name: text for name, text in known.arguments.items() if name in site.NAMES}
        cover = known.arguments.get("cover", cover)
        if known.host != UNKNOWN_HOST or not place.keys() | options["site"].keys() >= {"url"}:
            address = address or (known.host, known.port)
    place |= options["site"]
    if options["cover"] is not None:
        cover = covers.get(options["cover"]).name
    if place:
        check_site(cover, place, covers)
    print(bridge_line(state, keys, cover, place, address))
    return 0
