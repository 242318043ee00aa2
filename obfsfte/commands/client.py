"""`obfsfte client`: the client half, without tor."""

from __future__ import annotations

import sys
from typing import Any

from twisted.python import usage

from obfsfte import places, service
from obfsfte.bridge import unix_time
from obfsfte.bridge_line import BridgeLine
from obfsfte.classic import DEFAULT_KEY, DEFAULT_RELEASE, find_release
from obfsfte.commands import key_file
from obfsfte.commands import options as shared
from obfsfte.logs import log_to
from obfsfte.own_covers import catalogue
from obfsfte.transport.context import Timeouts
from obfsfte.wires import DEFAULT_FORMAT, classic_client_wire, client_wire


class Options(shared.Options):
    synopsis = 'Usage: obfsfte client --bridge "fte HOST:PORT KEY=VALUE ..." [OPTIONS]'
    longdesc = (
        "Applications connect to --listen and reach what the server half is in front of. "
        "Places are Twisted endpoint strings."
    )
    optParameters = [
        ["listen", "l", places.DEFAULT_CLIENT_LISTEN, "Where applications connect."],
        [
            "bridge",
            "b",
            None,
            "The bridge line of the server half.",
            shared.coerced(BridgeLine.parse),
        ],
        ["connect", "c", None, "Another place to find the server half: tcp:, tls:, ..."],
        [
            "ca-file",
            None,
            None,
            "With a url=wss://: whom to believe in place of the system's (PEM).",
        ],
        [
            "key-file",
            "k",
            None,
            "With --classic: 64 hexadecimal characters, the same at both halves.",
        ],
        ["format", "f", DEFAULT_FORMAT, "With --classic: the pair of languages."],
        ["release", None, DEFAULT_RELEASE.name, "With --classic: the release that has them."],
        [
            "connect-timeout",
            None,
            30.0,
            "Seconds to wait for a connection.",
            shared.coerced(shared.seconds),
        ],
        [
            "idle-timeout",
            None,
            3600.0,
            "Seconds without a byte, pings and polls included, after which a connection ends.",
            shared.coerced(shared.seconds),
        ],
    ]
    optFlags = [["classic", None, "Speak fteproxy's wire."]]

    def __init__(self) -> None:
        super().__init__()
        self["cover-files"] = []

    def opt_cover_file(self, path: str) -> None:
        """A cover's definition of your own, as at the server; may be given several times."""
        self["cover-files"].append(path)

    def postOptions(self) -> None:
        if self["bridge"] is None and self["connect"] is None:
            raise usage.UsageError("needs --bridge, or --connect with --classic")
        if self["bridge"] is not None and self["classic"]:
            raise usage.UsageError(
                "takes --bridge or --classic: a bridge line says itself which wire it is"
            )
        if self["bridge"] is None and not self["classic"]:
            raise usage.UsageError("needs --bridge with the keys, or --classic")


def make_service(reactor: object, options: Options) -> service.TunnelService:
    """The client half as these options ask for it. Raises ConfigError."""
    line = options["bridge"]
    place = options["connect"]
    connect: Any = None if place is None else places.client_endpoint(reactor, place)
    if line is not None:
        # A line without either asks for the classic wire with the key that everybody has.
        key = None if {"cert", "key"} & line.arguments.keys() else DEFAULT_KEY
        open_channel = client_wire(line.arguments, catalogue(options["cover-files"]), unix_time)
        connect = places.bridge_endpoint(reactor, line, connect, options["ca-file"])
    else:
        key = key_file.classic_key(options["key-file"])
        open_channel = classic_client_wire(find_release(options["release"]), options["format"], key)
    tunnel = service.client_service(
        reactor,
        listen=options["listen"],
        connect=connect,
        open_channel=open_channel,
        timeouts=Timeouts(connect=options["connect-timeout"], idle=options["idle-timeout"]),
    )
    if key is not None:
        key_file.warn_if_public(key)
    return tunnel


def run(options: Options) -> int:
    from twisted.internet import reactor

    from obfsfte.commands.running import run_service

    log_to(sys.stderr)
    return run_service(reactor, make_service(reactor, options))
