"""The server half: covertext arrives, the target gets the application's bytes."""

from __future__ import annotations

from twisted.internet.interfaces import IAddress
from twisted.internet.protocol import Factory

from obfsfte.transport.context import Context
from obfsfte.transport.proxy_protocol import ProxyHeaderPhase
from obfsfte.transport.server_connection import ServerConnection
from obfsfte.transport.side import Side
from obfsfte.transport.site import Site


class TunnelServerFactory(Factory):
    """Listens on the wire; each connection is for the target, or for the fallback."""

    noisy = False

    def __init__(self, site: Site, context: Context) -> None:
        self._site = site
        self._context = context

    def buildProtocol(self, addr: IAddress | None) -> Side:
        return _Accepted(self._site, self._context)


class _Accepted(Side):
    def __init__(self, site: Site, context: Context) -> None:
        super().__init__()
        self._site = site
        self._context = context

    def connectionMade(self) -> None:
        super().connectionMade()
        peer = self.transport.getPeer()
        if self._site.proxies.announces(peer):
            ProxyHeaderPhase(self, lambda source: self._begin(source or peer), self._context)
        else:
            self._begin(peer)

    def _begin(self, peer: IAddress) -> None:
        ServerConnection(self, peer, self._site, self._context).start()
