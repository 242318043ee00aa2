"""What tor started, whichever side it is: launching, reporting, ending."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from twisted.application.service import Service
from twisted.internet.defer import Deferred
from twisted.logger import Logger

from obfsfte.bridge_line import TRANSPORT
from obfsfte.errors import ConfigError
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.encoding import is_transport_name
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.service import ListenError, TunnelService

log = Logger()


class ManagedProxy(Service):
    """What tor started. Its tunnels are the transports that could be launched."""

    def __init__(self, reactor: Any, plugin: ClientTransportPlugin | ServerTransportPlugin) -> None:
        self._reactor = reactor
        self._plugin = plugin
        self._tunnels: list[TunnelService] = []

    async def launch(self) -> None:
        """Start every transport that tor asked for, and say so.

        Raises BrokenPipeError when tor no longer listens.
        """
        for name in self._unknown():
            self._plugin.reportMethodError(name, "no such transport")
        for name in self._plugin.getTransports():
            try:
                await self._launch(name)
            except BrokenPipeError:
                raise
            except (ConfigError, ListenError) as error:
                log.error("{name} cannot be started: {reason}", name=name, reason=str(error))
                self._plugin.reportMethodError(name, str(error))
            except Exception as error:  # a bug of ours, but tor must not wait for ever
                log.failure("{name} cannot be started", name=name)
                self._plugin.reportMethodError(name, f"unexpected {type(error).__name__}")
        self._plugin.reportMethodsEnd()

    async def _launch(self, name: str) -> None:
        """Start one transport and report it. Raises ConfigError or ListenError."""
        raise NotImplementedError

    def _unknown(self) -> list[str]:
        """What tor asked for and we are not, as far as an error line can name it."""
        wanted = dict.fromkeys(self._plugin.config.transports)
        return [name for name in wanted if name != TRANSPORT and is_transport_name(name)]

    def stopService(self) -> Deferred[Any]:
        """tor wants us gone now: whoever wants connections to end first uses `finish`."""
        self.abort()
        super().stopService()
        return Deferred.fromCoroutine(self.finish())

    async def finish(self) -> None:
        """Stop listening, and wait until every connection has ended by itself."""
        for tunnel in self._tunnels:
            await tunnel.stop_listening()
        for tunnel in self._tunnels:
            await tunnel.drained()

    def abort(self) -> None:
        """End every connection at once."""
        for tunnel in self._tunnels:
            tunnel.abort()


def state_path(plugin: ClientTransportPlugin | ServerTransportPlugin) -> Path:
    """Our part of the directory that tor gives us."""
    return Path(plugin.config.getStateLocation()) / TRANSPORT
