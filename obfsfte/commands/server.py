"""`obfsfte server`: the server half, without tor."""

from __future__ import annotations

import sys
from functools import partial
from typing import Any

from twisted.python import usage

from obfsfte import places, service
from obfsfte.bridge import SessionBridge
from obfsfte.bridge_line import parse_address
from obfsfte.commands import key_file, site
from obfsfte.commands import options as shared
from obfsfte.logs import log_to
from obfsfte.own_covers import catalogue
from obfsfte.state import StateDirectory
from obfsfte.transport.context import Timeouts
from obfsfte.transport.visitor import NO_PROXIES, TrustedProxies
from obfsfte.wires import ClassicWire, ServerWire, served_releases


class Options(shared.Options):
    synopsis = "Usage: obfsfte server --state DIRECTORY [OPTIONS]"
    longdesc = (
        "Clients' covertext arrives at --listen; what it carries goes to --target. The line "
        "to give to clients is in bridgeline.txt in the state directory. Places are Twisted "
        "endpoint strings."
    )
    optParameters = [
        ["listen", "l", places.DEFAULT_SERVER_LISTEN, "Where client halves connect."],
        ["target", "t", places.DEFAULT_TARGET, "The service that this is in front of."],
        [
            "state",
            "s",
            None,
            "Directory for the keys, made on the first start.",
            shared.coerced(shared.directory),
        ],
        ["fallback", None, None, "The site that strangers get; without it they get nothing."],
        [
            "address",
            None,
            None,
            "HOST:PORT where clients find this server, for the bridge line.",
            shared.coerced(parse_address),
        ],
        *site.PARAMETERS,
        [
            "trusted-proxies",
            None,
            None,
            "With --proxy-protocol: the proxies' addresses, networks, or unix:, with commas.",
        ],
        ["key-file", "k", None, "With --classic: 64 hexadecimal characters, as at the clients."],
        ["format", "f", None, "With --classic: the only pair of languages to take; default all."],
        ["release", None, None, "With --classic: the only release to take; default all."],
        [
            "idle-timeout",
            None,
            3600.0,
            "Seconds without a byte, pings and polls included, after which a connection ends.",
            shared.coerced(shared.seconds),
        ],
    ]
    optFlags = [
        ["classic", None, "Take clients that speak fteproxy's wire."],
        [
            "proxy-protocol",
            None,
            "Connections from trusted proxies begin with a header.",
        ],
    ]

    def __init__(self) -> None:
        super().__init__()
        self["covers"] = []
        self["cover-files"] = []

    def opt_cover(self, name: str) -> None:
        """What the traffic looks like; may be given several times. See obfsfte covers list."""
        self["covers"].append(name)

    def opt_cover_file(self, path: str) -> None:
        """A cover's definition of your own, for --cover; may be given several times."""
        self["cover-files"].append(path)

    def postOptions(self) -> None:
        if self["state"] is None and not self["classic"]:
            raise usage.UsageError("needs --state DIRECTORY for its keys, or --classic")
        self["site"] = site.given(self)
        if self["state"] is None and (self["covers"] or self["address"] or self["site"]):
            raise usage.UsageError("takes --cover, --address, --url and --path with --state only")
        if bool(self["proxy-protocol"]) is (self["trusted-proxies"] is None):
            raise usage.UsageError(
                "takes --proxy-protocol and --trusted-proxies together: anybody could send a header"
            )
        classic_only = ("key-file", "format", "release")
        if not self["classic"] and any(self[name] is not None for name in classic_only):
            raise usage.UsageError("takes --key-file, --format and --release with --classic only")


def make_service(reactor: Any, options: Options) -> service.TunnelService:
    """The server half as these options ask for it. Raises ConfigError."""
    wires: list[ServerWire] = []
    publish = None
    if options["state"] is not None:
        state = StateDirectory(options["state"])
        bridge = SessionBridge.open(
            state,
            options["covers"],
            catalogue(options["cover-files"], state.path),
            options["site"],
        )
        wires += bridge.wires()
        publish = partial(bridge.publish, address=options["address"])
    if options["classic"]:
        releases = served_releases(options["release"], options["format"])
        classic = ClassicWire(releases, key_file.classic_key(options["key-file"]))
        wires.append(classic)
    tunnel = service.server_service(
        reactor,
        listen=options["listen"],
        target=options["target"],
        wires=wires,
        fallback=options["fallback"],
        proxies=_trusted_proxies(options),
        timeouts=Timeouts(idle=options["idle-timeout"]),
        on_listening=publish,
    )
    if options["classic"]:
        key_file.warn_if_public(classic.key)
    return tunnel


def _trusted_proxies(options: Options) -> TrustedProxies:
    """Who sends headers in the PROXY protocol. Raises ConfigError."""
    if options["trusted-proxies"] is None:
        return NO_PROXIES
    return TrustedProxies.parse(options["trusted-proxies"], send_headers=True)


def run(options: Options) -> int:
    from twisted.internet import reactor

    from obfsfte.commands.running import run_service

    log_to(sys.stderr)
    return run_service(reactor, make_service(reactor, options))
