"""`obfsfte pt`: run by tor, as client or as server, by what its environment says.

Tor waits for what it ordered, so the handshake begins before anything is loaded that it
does not need.
"""

from __future__ import annotations

import os
from pathlib import Path
from typing import IO, Any

from obfsfte.commands import options as shared
from obfsfte.errors import ConfigError
from obfsfte.limits import allow_many_connections
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.config import EnvError, checkClientMode
from obfsfte.pyptlib.server import ServerTransportPlugin

TRANSPORTS = ("fte",)

Plugin = ClientTransportPlugin | ServerTransportPlugin


class Options(shared.Options):
    synopsis = "Usage: obfsfte pt [--log-file]"
    longdesc = (
        "Tor runs this, on a line of torrc such as: ServerTransportPlugin fte exec "
        "/usr/bin/obfsfte pt. See torrc.example."
    )
    optFlags = [["log-file", None, "Also log to fte/obfsfte.log in tor's pt_state directory."]]


def claim_stdout() -> IO[bytes]:
    """Keep standard output for tor's eyes.

    Returns a stream to the real one; file descriptor 1 becomes standard error, so that
    nothing that a library prints, or has printed into a buffer, is taken for the protocol.
    Raises ConfigError.
    """
    try:
        protocol = os.fdopen(os.dup(1), "wb", buffering=0)
        os.dup2(2, 1)
    except OSError:
        raise ConfigError("standard output is closed: tor runs this command") from None
    return protocol


def make_plugin(stdout: IO[bytes]) -> Plugin:
    """Do the first part of the handshake. Raises ConfigError; tor has then been told why."""
    plugin: Plugin = ClientTransportPlugin(stdout=stdout)
    try:
        try:
            if not checkClientMode():
                plugin = ServerTransportPlugin(stdout=stdout)
        except EnvError as error:
            plugin.emit(f"ENV-ERROR {error}")
            raise EnvError(f"{error}: tor runs this command, see torrc.example") from None
        plugin.init(TRANSPORTS)
    except EnvError as error:
        raise ConfigError(str(error)) from None
    except BrokenPipeError:
        raise ConfigError("nobody reads standard output: tor runs this command") from None
    return plugin


def run(options: Options) -> int:
    os.umask(0o077)  # what we keep is for this user, also the directories on the way to it
    plugin = make_plugin(claim_stdout())

    from twisted.internet import reactor

    from obfsfte.logs import log_to_tor
    from obfsfte.managed.life import live

    log_path = Path(plugin.config.getStateLocation(), "fte", "obfsfte.log")
    log_to_tor(plugin, log_path if options["log-file"] else None)
    allow_many_connections()
    loop: Any = reactor
    proxy = live(loop, plugin)
    loop.addSystemEventTrigger("before", "shutdown", proxy.stopService)
    loop.run()
    return 0
