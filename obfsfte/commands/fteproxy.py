"""`obfsfte fteproxy`: either half, with fteproxy's own options, defaults and messages.

For scripts and habits that know fteproxy: the wire is its wire, so either half can be
the original.
"""

from __future__ import annotations

import sys

from twisted.python import usage

from obfsfte import places, service
from obfsfte.classic import DEFAULT_RELEASE, ClassicKey, find_release
from obfsfte.commands import key_file
from obfsfte.commands import options as shared
from obfsfte.commands.pidfile import PidFile
from obfsfte.errors import ConfigError
from obfsfte.logs import log_to
from obfsfte.wires import DEFAULT_FORMAT, ClassicWire, classic_client_wire


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or not 0 < int(text) < 65536:
        raise ConfigError(f"{text!r} is no port: it must be a number from 1 to 65535")
    return int(text)


def _mode(text: str) -> str:
    if text not in ("client", "server"):
        raise ConfigError(f"--mode is client or server, not {text!r}")
    return text


class Options(shared.Options):
    synopsis = "Usage: obfsfte fteproxy --mode (client|server) [OPTIONS]"
    longdesc = "Either half on fteproxy's wire; the other one may be fteproxy itself."
    optParameters = [
        ["mode", None, "client", "Relay mode: client or server.", shared.coerced(_mode)],
        ["client_ip", None, "127.0.0.1", "Where the client half listens: address."],
        ["client_port", None, 8079, "Where the client half listens: port.", shared.coerced(_port)],
        ["server_ip", None, "127.0.0.1", "Where the server half listens: address."],
        ["server_port", None, 8080, "Where the server half listens: port.", shared.coerced(_port)],
        ["proxy_ip", None, "127.0.0.1", "Where the server half delivers: address."],
        ["proxy_port", None, 8081, "Where the server half delivers: port.", shared.coerced(_port)],
        ["upstream-format", None, None, "Client-to-server language."],
        ["downstream-format", None, None, "Server-to-client language."],
        ["release", None, DEFAULT_RELEASE.name, "Release of the languages, as YYYYMMDD."],
        [
            "key",
            None,
            None,
            "Key, 64 hexadecimal characters; others here can see it: see --key-file.",
            shared.coerced(ClassicKey.from_hex),
        ],
        ["key-file", None, None, "File with the key."],
    ]
    optFlags = [
        ["quiet", None, "Print nothing but errors."],
        ["stop", None, "Stop the halves of this --mode that this user has running."],
    ]

    def postOptions(self) -> None:
        if self["key"] is not None and self["key-file"] is not None:
            raise usage.UsageError("takes --key or --key-file, not both")

    def pair_name(self) -> str:
        """The one pair that both formats are of. Raises ConfigError."""
        release = find_release(self["release"])
        pairs = set()
        for option, is_request in (("upstream-format", True), ("downstream-format", False)):
            if self[option] is not None:
                chosen = release.format(self[option])
                if chosen.is_request != is_request:
                    raise ConfigError(f"--{option} {chosen.name} is for the other direction")
                pairs.add(chosen.pair_name)
        if len(pairs) == 2:
            raise ConfigError(
                f"--downstream-format {self['downstream-format']} does not go with "
                f"--upstream-format {self['upstream-format']}: a server answers a request format "
                "in the response format of the same name"
            )
        return pairs.pop() if pairs else DEFAULT_FORMAT


def make_service(reactor: object, options: Options) -> service.TunnelService:
    """The half that these options ask for. Raises ConfigError."""
    pair_name = options.pair_name()
    key = options["key"] or key_file.classic_key(options["key-file"])
    server_place = _place(options["server_ip"], options["server_port"])
    if options["mode"] == "server":
        tunnel = service.server_service(
            reactor,
            listen=_listen(options["server_ip"], options["server_port"]),
            target=_place(options["proxy_ip"], options["proxy_port"]),
            wires=[ClassicWire((find_release(options["release"]),), key)],
        )
    else:
        tunnel = service.client_service(
            reactor,
            listen=_listen(options["client_ip"], options["client_port"]),
            connect=places.client_endpoint(reactor, server_place),
            open_channel=classic_client_wire(find_release(options["release"]), pair_name, key),
        )
    key_file.warn_if_public(key)
    return tunnel


def _listen(address: str, port: int) -> str:
    kind = "tcp6" if ":" in address else "tcp"
    return f"{kind}:{port}:interface={_quoted(address)}"


def _place(address: str, port: int) -> str:
    return f"tcp:{_quoted(address)}:{port}"


def _quoted(address: str) -> str:
    """An address inside an endpoint string, where a colon would end it."""
    return address.replace("\\", "\\\\").replace(":", "\\:").replace("=", "\\=")


def run(options: Options) -> int:
    if options["stop"]:
        stopped = PidFile.stop_all(options["mode"])
        if not stopped:
            raise ConfigError(f"no {options['mode']} half of this user is running")
        return 0

    from twisted.internet import reactor

    from obfsfte.commands.running import run_service

    if not options["quiet"]:
        log_to(sys.stderr)
    tunnel = make_service(reactor, options)
    ready = None if options["quiet"] else f"{options['mode'].capitalize()} ready!"
    with PidFile(options["mode"]):
        return run_service(reactor, tunnel, ready)
