"""`twistd fte-bridge`: the server half as a twistd plugin, with the server command's options."""

from __future__ import annotations

from twisted.application.service import IService
from twisted.python import usage

from obfsfte.commands import server
from obfsfte.errors import ConfigError


class Options(server.Options):
    synopsis = "Usage: twistd [OPTIONS] fte-bridge --listen ENDPOINT --target ENDPOINT --classic"


def makeService(options: Options) -> IService:
    """Called by twistd; a UsageError is what it shows as one line."""
    from twisted.internet import reactor

    try:
        return server.make_service(reactor, options)
    except ConfigError as error:
        raise usage.UsageError(str(error)) from None
