"""How obfsfte is run on a machine: read from torrc, and from /etc/default/obfsfte."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from itertools import pairwise
from pathlib import PurePosixPath

import attrs

from obfsfte.bridge_line import TRANSPORT
from obfsfte.doctor.finding import Finding
from obfsfte.doctor.machine import Machine
from obfsfte.errors import ConfigError

DEFAULT_TORRC = PurePosixPath("/etc/tor/torrc")

_TOR_DEFAULTS = "/usr/share/tor/tor-service-defaults-torrc"
_SERVICE_DEFAULTS = "/etc/default/obfsfte"


@attrs.frozen
class Setup:
    """One way in which obfsfte is run. What is None is not known, or there is none."""

    name: str
    state: PurePosixPath | None = None
    user: str | None = None
    program: str | None = None
    port: int | None = None
    places: tuple[tuple[str, str], ...] = ()  # (what it is, endpoint string) to connect to
    covers: tuple[str, ...] = ()
    under_tor: bool = False
    adopts_port: bool = False  # somebody else opens it
    unit: str | None = None
    configured_in: str = ""


def tor_setups(machine: Machine, torrc: PurePosixPath) -> tuple[list[Setup], list[Finding]]:
    """The bridge and the client of a torrc, and what is missing there. Raises ConfigError."""
    if machine.read(torrc) is None:
        if torrc != DEFAULT_TORRC:
            raise ConfigError(f"cannot read {torrc}")
        return [], []
    options: dict[str, list[str]] = {}
    for path in (_TOR_DEFAULTS, str(torrc)):
        for name, value in _lines(machine, path):
            options.setdefault(name, []).append(value)

    def last(name: str, default: str) -> str:
        return options.get(name, [default])[-1]

    data = PurePosixPath(last("datadirectory", "/var/lib/tor"))
    tor = Setup(
        "tor's client",
        user=last("user", "debian-tor"),
        under_tor=True,
        unit="tor@default.service",
        configured_in=str(torrc),
    )
    setups = []
    findings: list[Finding] = []
    if (program := _program(options.get("clienttransportplugin", []))) is not None:
        setups.append(attrs.evolve(tor, program=program))
    if (program := _program(options.get("servertransportplugin", []))) is not None:
        settings = _transport_options(options.get("servertransportoptions", []))
        port = _port(options.get("servertransportlistenaddr", []))
        bridge = attrs.evolve(
            tor,
            name="tor's bridge",
            program=program,
            state=data / "pt_state" / TRANSPORT,
            port=port,
            places=tuple((key, settings[key]) for key in ("fallback",) if settings.get(key)),
            covers=tuple(filter(None, settings.get("cover", "").split(","))),
        )
        setups.append(bridge)
        findings += _missing(options, torrc, port)
    return setups, findings


def _missing(
    options: dict[str, list[str]], torrc: PurePosixPath, port: int | None
) -> Iterator[Finding]:
    def add(line: str) -> str:
        return f"echo {shlex.quote(line)} >> {torrc} && systemctl restart tor"

    if options.get("bridgerelay", ["0"])[-1] != "1":
        yield Finding(f"{torrc} makes a relay, no bridge", add("BridgeRelay 1"))
    if "orport" not in options:
        yield Finding(
            f"{torrc} has no ORPort, and without one tor starts no transports",
            add("ORPort 127.0.0.1:auto"),
        )
    if port is None:
        yield Finding(
            f"{torrc} names no port for {TRANSPORT}: tor takes one at random",
            add(f"ServerTransportListenAddr {TRANSPORT} 0.0.0.0:8080"),
        )
    if "extorport" not in options:
        yield Finding(
            f"{torrc} has no ExtORPort: tor cannot count the bridge's users",
            add("ExtORPort auto"),
        )


def _lines(
    machine: Machine, path: str, including: tuple[str, ...] = ()
) -> Iterator[tuple[str, str]]:
    """The options of a torrc that have a value, lower-cased names first, with what it includes."""
    text = re.sub(r"\\\n", " ", machine.read(path) or "")
    for line in text.splitlines():
        words = line.partition("#")[0].strip().lstrip("+").split(None, 1)
        if not words:
            continue
        value = words[1].strip() if len(words) > 1 else ""
        if words[0].lower() == "%include":
            for included in _included(machine, value.strip('"')):
                if included not in (path, *including):
                    yield from _lines(machine, included, (path, *including))
        elif value:
            yield words[0].lower(), value


def _included(machine: Machine, value: str) -> list[str]:
    path = PurePosixPath(value)
    if "*" in path.name:
        return machine.names(path.parent, path.name)
    return machine.names(path, "*") if machine.at(path).is_dir() else [value]


def _program(lines: list[str]) -> str | None:
    """What `ServerTransportPlugin fte,other exec PROGRAM ...` starts."""
    for line in lines:
        words = line.split()
        if len(words) > 2 and TRANSPORT in words[0].split(",") and words[1] == "exec":
            return words[2]
    return None


def _transport_options(lines: list[str]) -> dict[str, str]:
    settings: dict[str, str] = {}
    for line in lines:
        name, *words = line.split()
        if name == TRANSPORT:
            settings.update(word.partition("=")[::2] for word in words)
    return settings


def _port(lines: list[str]) -> int | None:
    for line in lines:
        words = line.split()
        if words[0] == TRANSPORT and len(words) > 1:
            text = words[1].rpartition(":")[2]
            if text.isdecimal() and int(text):
                return int(text)
    return None


def service_setup(machine: Machine) -> Setup | None:
    """obfsfte.service, if it or its socket is enabled."""
    if not _is_enabled(machine, "service") and not _is_enabled(machine, "socket"):
        return None
    settings = _service_settings(machine)
    words = _words(settings.get("OPTIONS", ""))
    options = dict(pairwise(words))
    places = [("target", settings.get("TARGET", "")), ("fallback", options.get("--fallback", ""))]
    found = re.match(r"(?:tcp6?|ssl|tls):(?:port=)?(\d+)", settings.get("LISTEN", ""))
    return Setup(
        "obfsfte.service",
        state=PurePosixPath("/var/lib/obfsfte"),
        program="/usr/bin/obfsfte",
        port=int(found[1]) if found else _socket_port(machine),
        adopts_port=found is None,
        places=tuple((what, place) for what, place in places if place),
        covers=tuple(value for word, value in pairwise(words) if word == "--cover"),
        unit="obfsfte.service",
        configured_in=_SERVICE_DEFAULTS,
    )


def _words(options: str) -> list[str]:
    """The words of a command line; --option=value is two."""
    return [part for word in options.split() for part in _option(word)]


def _option(word: str) -> list[str]:
    return word.split("=", 1) if word.startswith("--") else [word]


def unit_findings(machine: Machine, setup: Setup) -> Iterator[Finding]:
    """Whether obfsfte.service and obfsfte.socket go together."""
    adopts = _service_settings(machine).get("LISTEN", "").startswith("systemd:")
    if adopts and not _is_enabled(machine, "socket"):
        yield Finding(
            f"{_SERVICE_DEFAULTS} waits for a port from obfsfte.socket, which is off",
            "systemctl enable --now obfsfte.socket",
        )
    if not adopts and _is_enabled(machine, "socket"):
        yield Finding(
            f"obfsfte.socket opens a port for obfsfte.service, and {_SERVICE_DEFAULTS} does not "
            "take it",
            f"sed -i 's/^LISTEN=.*/LISTEN=systemd:domain=INET6:index=0/' {_SERVICE_DEFAULTS} "
            "&& systemctl restart obfsfte.socket",
        )


def _service_settings(machine: Machine) -> dict[str, str]:
    lines = (machine.read(_SERVICE_DEFAULTS) or "").splitlines()
    pairs = [line.partition("=") for line in lines if "=" in line and line[0] != "#"]
    return {name.strip(): value.strip().strip("\"'") for name, _, value in pairs}


def _is_enabled(machine: Machine, kind: str) -> bool:
    return bool(machine.names("/etc/systemd/system", f"*.wants/obfsfte.{kind}"))


def _socket_port(machine: Machine) -> int | None:
    """The last ListenStream= counts: drop-ins come after the unit."""
    ports = re.findall(r"^ListenStream=(?:.*:)?(\d+)$", unit_text(machine, "obfsfte.socket"), re.M)
    return int(ports[-1]) if ports else None


def unit_text(machine: Machine, unit: str) -> str:
    """A unit with its drop-ins, in the order in which systemd reads them."""
    for directory in ("/etc/systemd/system", "/usr/lib/systemd/system", "/lib/systemd/system"):
        text = machine.read(f"{directory}/{unit}")
        if text is not None:
            break
    else:
        return ""
    drop_ins = machine.names(f"/etc/systemd/system/{unit}.d", "*.conf")
    return "\n".join([text, *(machine.read(path) or "" for path in drop_ins)])
