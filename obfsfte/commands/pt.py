"""`obfsfte pt`: run by tor, as client or as server, by what its environment says.

The end comes from tor, too: a closed standard input or SIGTERM, at once; SIGINT, once
the connections there are have ended, or at the second one.
"""

from __future__ import annotations

import os
import signal
import sys
from pathlib import Path
from typing import IO, Any

from obfsfte.commands import options as shared
from obfsfte.errors import ConfigError
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
    nothing that a library prints can be taken for the protocol.
    """
    sys.stdout.flush()
    protocol = os.fdopen(os.dup(1), "wb", buffering=0)
    os.dup2(2, 1)
    return protocol


def make_plugin(stdout: IO[bytes]) -> Plugin:
    """Do the first part of the handshake. Raises ConfigError; tor has then been told why."""
    plugin: Plugin = ClientTransportPlugin(stdout=stdout)
    try:
        if not checkClientMode():
            plugin = ServerTransportPlugin(stdout=stdout)
    except EnvError as error:
        plugin.emit(f"ENV-ERROR {error}")
        raise ConfigError(f"{error}: tor runs this command, see torrc.example") from None
    try:
        plugin.init(TRANSPORTS)
    except EnvError as error:
        raise ConfigError(str(error)) from None
    return plugin


def live_with_tor(reactor: Any, proxy: Any, exits_with_stdin: bool) -> None:
    """End when tor says so, in any of its ways. Called once the reactor runs."""
    from twisted.internet.defer import Deferred
    from twisted.internet.protocol import Protocol
    from twisted.internet.stdio import StandardIO

    finishing = False

    def at_once() -> None:
        proxy.abort()
        if reactor.running:
            reactor.stop()

    def interrupted() -> None:
        nonlocal finishing
        if finishing:
            at_once()
        else:
            finishing = True
            Deferred.fromCoroutine(proxy.finish()).addCallback(lambda _: at_once())

    class StdinEnd(Protocol):
        def connectionLost(self, reason: object = None) -> None:
            at_once()

    signal.signal(signal.SIGINT, lambda *_: reactor.callFromThread(interrupted))
    signal.signal(signal.SIGTERM, lambda *_: reactor.callFromThread(at_once))
    if exits_with_stdin:
        StandardIO(StdinEnd())


def managed_service(plugin: Plugin) -> Any:
    """The services that tor wants, ended by tor."""
    from twisted.internet import reactor

    from obfsfte.managed import ManagedClient, ManagedServer

    loop: Any = reactor
    proxy = (
        ManagedClient(loop, plugin)
        if isinstance(plugin, ClientTransportPlugin)
        else ManagedServer(loop, plugin)
    )
    loop.callWhenRunning(live_with_tor, loop, proxy, plugin.config.getExitOnStdinClose())
    return proxy


def run(options: Options) -> int:
    plugin = make_plugin(claim_stdout())

    from twisted.internet import reactor

    from obfsfte.logs import log_to_tor

    log_path = Path(plugin.config.getStateLocation(), "fte", "obfsfte.log")
    log_to_tor(plugin, log_path if options["log-file"] else None)
    proxy = managed_service(plugin)
    loop: Any = reactor
    loop.callWhenRunning(proxy.startService)
    loop.addSystemEventTrigger("before", "shutdown", proxy.stopService)
    loop.run()
    return 0
