"""`obfsfte server`: the server half, without tor."""

from __future__ import annotations

import sys

from twisted.python import usage

from obfsfte import service
from obfsfte.commands import options as shared
from obfsfte.logs import log_to
from obfsfte.transport.context import Timeouts
from obfsfte.wires import ClassicWire, served_releases


class Options(shared.Options):
    synopsis = "Usage: obfsfte server --listen ENDPOINT --target ENDPOINT --classic [OPTIONS]"
    longdesc = (
        "Clients' covertext arrives at --listen; what it carries goes to --target. "
        "Places are Twisted endpoint strings."
    )
    optParameters = [
        ["listen", "l", service.DEFAULT_SERVER_LISTEN, "Where client halves connect."],
        ["target", "t", service.DEFAULT_TARGET, "The service that this is in front of."],
        [
            "key-file",
            "k",
            None,
            "With --classic: 64 hexadecimal characters, the same at both halves.",
        ],
        ["format", "f", None, "With --classic: the only pair of languages to take; default all."],
        ["release", None, None, "With --classic: the only release to take; default all."],
        [
            "idle-timeout",
            None,
            3600.0,
            "Seconds without a byte after which a connection ends.",
            shared.coerced(shared.seconds),
        ],
    ]
    optFlags = [["classic", None, "Take clients that speak fteproxy's wire."]]

    def postOptions(self) -> None:
        if not self["classic"]:
            raise usage.UsageError("needs --classic: that is the one wire there is")


def make_service(reactor: object, options: Options) -> service.TunnelService:
    """The server half as these options ask for it. Raises ConfigError."""
    releases = served_releases(options["release"], options["format"])
    return service.server_service(
        reactor,
        listen=options["listen"],
        target=options["target"],
        wires=[ClassicWire(releases, shared.classic_key(options["key-file"]))],
        timeouts=Timeouts(idle=options["idle-timeout"]),
    )


def run(options: Options) -> int:
    from twisted.internet import reactor

    from obfsfte.commands.running import run_service

    log_to(sys.stderr)
    return run_service(reactor, make_service(reactor, options))
