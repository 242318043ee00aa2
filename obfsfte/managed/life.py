"""Living as long as tor wants: from the start of the reactor until tor ends it.

pt-spec 3.4, and proposal 180, from which it grew:

    standard input closed    if tor said that this is a sign: end at once
    SIGTERM                  end at once
    SIGINT                   listen no more, end when the connections there are have ended
    SIGINT again             end at once
"""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from typing import Any

from twisted.internet.defer import Deferred
from twisted.internet.interfaces import IReadDescriptor
from twisted.internet.main import CONNECTION_DONE
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.garbage import exempt_what_is_loaded
from obfsfte.managed.proxy import ManagedProxy
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.server import ServerTransportPlugin


def live(reactor: Any, plugin: ClientTransportPlugin | ServerTransportPlugin) -> ManagedProxy:
    """The proxy that tor wants, launched once the reactor runs, and ended by tor."""
    proxy = _managed_proxy(reactor, plugin)
    life = _Life(reactor, proxy, plugin.config.getExitOnStdinClose())
    # Not earlier: the reactor's own handlers of signals would replace those of `live`.
    reactor.callWhenRunning(lambda: Deferred.fromCoroutine(life.live()))
    return proxy


def _managed_proxy(
    reactor: Any, plugin: ClientTransportPlugin | ServerTransportPlugin
) -> ManagedProxy:
    # Each side loads much that the other has no use for, while tor waits.
    if isinstance(plugin, ClientTransportPlugin):
        from obfsfte.managed.client import ManagedClient

        return ManagedClient(reactor, plugin)
    from obfsfte.managed.server import ManagedServer

    return ManagedServer(reactor, plugin)


class _Life:
    def __init__(self, reactor: Any, proxy: ManagedProxy, ends_with_stdin: bool) -> None:
        self._reactor = reactor
        self._proxy = proxy
        self._ends_with_stdin = ends_with_stdin
        self._finishing = False
        self._ended = False

    async def live(self) -> None:
        signal.signal(signal.SIGTERM, lambda *_: self._reactor.callFromThread(self.end))
        signal.signal(signal.SIGINT, lambda *_: self._reactor.callFromThread(self.interrupt))
        if self._ends_with_stdin:
            self._reactor.addReader(_StandardInput(self.end))
        try:
            await self._proxy.launch()
        except BrokenPipeError:  # tor went away while it was told what there is
            self.end()
        # Behind what the proxy still loads now that tor does not wait for it any more.
        self._reactor.callLater(0, exempt_what_is_loaded)

    def end(self) -> None:
        """Stop the reactor, which stops the proxy. Tor tends to ask for it in two ways."""
        if not self._ended:
            self._ended = True
            self._reactor.stop()

    def interrupt(self) -> None:
        """End with the last connection; asked again, end."""
        if self._finishing:
            self.end()
            return
        self._finishing = True
        Deferred.fromCoroutine(self._proxy.finish()).addBoth(lambda _: self.end())


@implementer(IReadDescriptor)
class _StandardInput:
    """Reads for the sake of the end, and keeps nothing.

    Unlike `StandardIO`, it does not make standard output non-blocking too, which is here
    what others share with us: standard error.
    """

    def __init__(self, on_end: Callable[[], None]) -> None:
        self._on_end = on_end

    def fileno(self) -> int:
        return 0

    def logPrefix(self) -> str:
        return "standard input"

    def doRead(self) -> Any:
        return None if os.read(self.fileno(), 4096) else CONNECTION_DONE

    def connectionLost(self, reason: Failure) -> None:
        self._on_end()
