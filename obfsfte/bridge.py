"""A bridge with sessions: its state directory, the wires that it serves, its bridge line."""

from __future__ import annotations

import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import attrs
from twisted.logger import Logger

from obfsfte.bridge_line import BridgeLine
from obfsfte.covers.catalogue import Catalogue
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import ReplayFilter
from obfsfte.session_channel import CoverChoice
from obfsfte.state import StateDirectory
from obfsfte.wires import DEFAULT_COVER, SessionWire

log = Logger()

#: Stands in a bridge line for what only the operator knows.
UNKNOWN_HOST = "YOUR-PUBLIC-ADDRESS"
UNKNOWN_PORT = 8080


def unix_time() -> int:
    """Now, in seconds."""
    return int(time.time())


def session_wires(
    state: StateDirectory, covers: Sequence[str], catalogue: Catalogue
) -> list[SessionWire]:
    """One wire per cover, the default one if there are none; makes the keys on first start.

    All share the keys and the replay filter. Raises ConfigError.
    """
    choices = [CoverChoice(catalogue.get(name)) for name in covers or [DEFAULT_COVER]]
    keys = state.keys_or_new()
    seen = state.replay_journal(unix_time(), ReplayFilter(), _cannot_journal)
    return [SessionWire(choice, keys, seen, unix_time) for choice in choices]


def _cannot_journal(error: OSError) -> None:
    log.warn(
        "cannot write the replay journal ({reason}): hellos answered from now on "
        "could be replayed after a restart",
        reason=error.strerror,
    )


def bridge_arguments(keys: BridgeKeys, cover: str) -> Mapping[str, str]:
    """What a client must be told of this bridge, besides where it is."""
    return {"cert": keys.cert.encode(), "cover": cover}


def bridge_line(
    state: StateDirectory, keys: BridgeKeys, cover: str, address: tuple[str, int] | None
) -> BridgeLine:
    """The line for clients. Under tor, its fingerprint is found beside the state directory."""
    host, port = address or (UNKNOWN_HOST, UNKNOWN_PORT)
    return BridgeLine(host, port, tor_fingerprint(state.path), bridge_arguments(keys, cover))


def tor_fingerprint(state_path: Path) -> str | None:
    """The fingerprint of the tor whose DataDirectory/pt_state/... this is, if it is one."""
    try:
        text = (state_path.resolve().parents[1] / "fingerprint").read_text("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return None
    match = re.fullmatch(r"\S+ ([0-9A-F]{40})\s*", text)
    return None if match is None else match[1]


@attrs.frozen
class Publisher:
    """Writes `bridgeline.txt` once it is known where the bridge listens.

    `address` is where clients find it, if that was told: a server cannot know.
    """

    state: StateDirectory
    wires: Sequence[SessionWire]
    address: tuple[str, int] | None = None

    @property
    def arguments(self) -> Mapping[str, str]:
        """Those of the first cover, which is the one that clients are told."""
        wire = self.wires[0]
        return bridge_arguments(wire.keys, wire.choice.definition.name)

    def publish(self, listening_port: int) -> None:
        """Write the file. Raises ConfigError."""
        wire = self.wires[0]
        address = self.address or (UNKNOWN_HOST, listening_port)
        line = bridge_line(self.state, wire.keys, wire.choice.definition.name, address)
        path = self.state.write_bridge_line(str(line))
        log.info("the line for clients is in {path}", path=path)
