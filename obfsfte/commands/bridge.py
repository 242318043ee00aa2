"""`twistd fte-bridge`: the server half as a twistd plugin, by itself or run by tor."""

from __future__ import annotations

import os

from twisted.application.service import IService

from obfsfte.commands import pt, server
from obfsfte.errors import ConfigError
from obfsfte.limits import allow_many_connections
from obfsfte.logs import also_log_to_tor
from obfsfte.managed.life import live


class Options(server.Options):
    synopsis = "--managed | --state DIRECTORY [OPTIONS]"  # twistd puts the rest before it
    longdesc = (
        "With --managed, tor runs this: ServerTransportPlugin fte exec /usr/bin/twistd -n "
        "fte-bridge --managed. Without it, the server half by itself: "
        f"{server.Options.longdesc}"
    )
    optFlags = [
        *server.Options.optFlags,
        ["managed", None, "Run by tor, client or server by its environment."],
    ]

    def postOptions(self) -> None:
        if not self["managed"]:
            super().postOptions()
        elif self.parent is not None:
            # tor keeps the count of what it started, and two of them may share a directory.
            self.parent["pidfile"] = ""


def makeService(options: Options) -> IService:
    """Called by twistd, for which SystemExit is the way to end with one line."""
    from twisted.internet import reactor

    allow_many_connections()
    try:
        if options["managed"]:
            os.umask(0o077)
            plugin = pt.make_plugin(pt.claim_stdout())
            also_log_to_tor(plugin)
            return live(reactor, plugin)
        return server.make_service(reactor, options)
    except ConfigError as error:
        raise SystemExit(f"obfsfte: {error}") from None
