"""What operators and users write into torrc for a transport.

Ours is the two parts of torrc.example, word for word but for what they are told to change.
"""

from __future__ import annotations

import re
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from tests.e2e.tools import tool
from tests.e2e.tornet import Tor, TorNetwork
from tests.e2e.waiting import LOOPBACK, free_port

BIN = Path(sys.executable).parent

_EXAMPLE = Path(__file__).parents[2] / "torrc.example"
_BRIDGE_PART, _CLIENT_PART = re.split(r"^#{5} A .*#$", _EXAMPLE.read_text(), flags=re.M)[1:]


class Transport(Protocol):
    """A pluggable transport and the command that runs it."""

    @property
    def name(self) -> str:
        """The method name."""

    @property
    def command(self) -> str:
        """What tor executes."""

    def bridge_torrc(self, address: str) -> str:
        """All that makes a bridge whose clients connect to this host:port."""

    def bridge_line(self, bridge: Tor, address: str) -> str:
        """What its operator hands out."""

    def client_torrc(self, bridge_line: str) -> str:
        """All that makes a client of that bridge."""


@dataclass(frozen=True)
class Fte:
    command: str = f"{BIN}/obfsfte pt"
    options: str = ""
    name: str = "fte"

    def bridge_torrc(self, address: str) -> str:
        torrc = _replace(_BRIDGE_PART, "exec /usr/bin/obfsfte pt", f"exec {self.command}")
        torrc = _replace(torrc, "fte 0.0.0.0:8080", f"fte {address}")
        if self.options:
            torrc += f"ServerTransportOptions fte {self.options}\n"
        return torrc

    def bridge_line(self, bridge: Tor, address: str) -> str:
        state = bridge.data_dir / "pt_state" / "fte"
        line = subprocess.run(
            [BIN / "obfsfte", "bridge-line", "--state", state, "--address", address],
            check=True,
            capture_output=True,
            text=True,
        )
        return line.stdout.strip()

    def client_torrc(self, bridge_line: str) -> str:
        torrc = re.sub(r"(?<=^Bridge )fte .*$", bridge_line, _CLIENT_PART, flags=re.M)
        return _replace(torrc, "exec /usr/bin/obfsfte pt\n", f"exec {self.command}\n")


@dataclass(frozen=True)
class Obfs4:
    """The control: when it fails as well, the fault is in the harness or in tor."""

    name: str = "obfs4"

    @property
    def command(self) -> str:
        return tool("obfs4proxy")

    def server_torrc(self, address: str) -> str:
        return (
            f"ServerTransportPlugin obfs4 exec {self.command}\n"
            f"ServerTransportListenAddr obfs4 {address}\n"
        )

    def bridge_torrc(self, address: str) -> str:
        return (
            f"BridgeRelay 1\nORPort {LOOPBACK}:auto\nExtORPort auto\n{self.server_torrc(address)}"
        )

    def bridge_line(self, bridge: Tor, address: str) -> str:
        line = (bridge.data_dir / "pt_state" / "obfs4_bridgeline.txt").read_text()
        arguments = line.rpartition("<FINGERPRINT>")[2].strip()
        return f"obfs4 {address} {bridge.fingerprint} {arguments}"

    def client_torrc(self, bridge_line: str) -> str:
        return (
            f"UseBridges 1\nClientTransportPlugin obfs4 exec {self.command}\nBridge {bridge_line}\n"
        )


def _replace(text: str, old: str, new: str) -> str:
    assert text.count(old) == 1, f"torrc.example no longer has one {old!r}"
    return text.replace(old, new)


@dataclass(frozen=True)
class Bridge:
    """A running bridge."""

    tor: Tor
    transport: Transport
    address: str

    def line(self) -> str:
        return self.transport.bridge_line(self.tor, self.address)


def add_bridge(
    network: TorNetwork, name: str, transport: Transport, torrc: str = "", host: str = LOOPBACK
) -> Bridge:
    """Start a bridge, with more torrc lines if need be, and wait until clients can connect."""
    address = f"{host}:{free_port()}"
    tor = network.add_bridge(name, transport.bridge_torrc(address) + torrc)
    registered = f"Registered server transport '{transport.name}'"
    tor.wait_for(lambda: registered in tor.log(), transport.name)
    return Bridge(tor, transport, address)


def add_client(network: TorNetwork, name: str, bridge: Bridge, torrc: str = "") -> Tor:
    """Start a client of a bridge, with more torrc lines if need be."""
    return network.add_client(name, bridge.transport.client_torrc(bridge.line()) + torrc)
