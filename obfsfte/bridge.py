"""A bridge with sessions: its state directory, the wires that it serves, its bridge line."""

from __future__ import annotations

import hashlib
import re
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING

import attrs
from twisted.logger import Logger

from obfsfte.bridge_line import UNKNOWN_HOST, BridgeLine
from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import ReplayCheck, ReplayFilter
from obfsfte.state import StateDirectory
from obfsfte.way import Url, placeholder, way_to

if TYPE_CHECKING:
    from obfsfte.wires import SessionWire

log = Logger()

#: Goes with `UNKNOWN_HOST`.
UNKNOWN_PORT = 8080


def unix_time() -> int:
    """Now, in seconds."""
    return int(time.time())


def _cannot_journal(error: OSError) -> None:
    log.warn(
        "cannot write the replay journal ({reason}): hellos answered from now on "
        "could be replayed after a restart",
        reason=error.strerror,
    )


def bridge_arguments(keys: BridgeKeys, cover: str, site: Mapping[str, str]) -> Mapping[str, str]:
    """What a client must be told of this bridge, besides where it is.

    `site`: the url, sni, pin and path of a bridge that is part of a web site. What the bridge
    sees as the path need not be what the url says: somebody between may change it.
    """
    return {"cert": keys.cert.encode(), "cover": cover, **_told(site)}


def _told(site: Mapping[str, str]) -> dict[str, str]:
    told = dict(site)
    if "url" in told and Url.parse(told["url"]).path:
        told.pop("path", None)
    return told


def bridge_line(
    state: StateDirectory,
    keys: BridgeKeys,
    cover: str,
    site: Mapping[str, str],
    address: tuple[str, int] | None,
) -> BridgeLine:
    """The line for clients. Under tor, its fingerprint is found beside the state directory.

    Raises ConfigError.
    """
    arguments = bridge_arguments(keys, cover, site)
    if address is None and "url" in arguments:
        address = placeholder(hashlib.sha256(keys.cert.public_key).digest())
    host, port = address or (UNKNOWN_HOST, UNKNOWN_PORT)
    return BridgeLine(host, port, tor_fingerprint(state.path), arguments)


def check_site(cover: str, site: Mapping[str, str], catalogue: Catalogue) -> None:
    """Raise ConfigError for what clients could not use, or the cover not check."""
    from obfsfte.wires import cover_choice

    told = _told(site)
    way_to(UNKNOWN_HOST, UNKNOWN_PORT, told)
    definition = cover_choice({"cover": cover, **told}, catalogue).definition
    if "path" in site:
        definition.fingerprint({"path": site["path"]})


def tor_fingerprint(state_path: Path) -> str | None:
    """The fingerprint of the tor whose DataDirectory/pt_state/... this is, if it is one."""
    try:
        text = (state_path.resolve().parents[1] / "fingerprint").read_text("ascii")
    except (OSError, IndexError, UnicodeDecodeError):
        return None
    match = re.fullmatch(r"\S+ ([0-9A-F]{40})\s*", text)
    return None if match is None else match[1]


@attrs.frozen
class SessionBridge:
    """What a bridge with sessions is: keys, a memory of hellos, covers; and what it publishes.

    `wires` loads the covers, which takes a while: tor, for one, can be told before.
    """

    state: StateDirectory
    keys: BridgeKeys
    seen: ReplayCheck
    catalogue: Catalogue
    covers: Sequence[str]
    site: Mapping[str, str]

    @classmethod
    def open(
        cls,
        state: StateDirectory,
        covers: Sequence[str],
        catalogue: Catalogue,
        site: Mapping[str, str] = MappingProxyType({}),
    ) -> SessionBridge:
        """Check the covers' names (none: the default one), make the keys on first start.

        `site`: as for `bridge_arguments`; with a `path`, whoever asks for another one is a
        stranger. Raises ConfigError.
        """
        covers = covers or [DEFAULT_COVER]
        for name in covers:
            catalogue.check(name)
        if site:
            check_site(covers[0], site, catalogue)
        keys = state.keys_or_new()
        seen = state.replay_journal(unix_time(), ReplayFilter(), _cannot_journal)
        return cls(state, keys, seen, catalogue, covers, site)

    def wires(self) -> list[SessionWire]:
        """One wire per cover. All share the keys and the memory of hellos."""
        from obfsfte.session_channel import CoverChoice
        from obfsfte.wires import SessionWire

        definitions = [self.catalogue.get(name) for name in self.covers]
        path = {name: self.site[name] for name in ("path",) if name in self.site}
        choices = [
            CoverChoice(each, path if "path" in each.parameters else {}) for each in definitions
        ]
        return [SessionWire(choice, self.keys, self.seen, unix_time) for choice in choices]

    @property
    def arguments(self) -> Mapping[str, str]:
        """What clients are told: they get the first of the covers."""
        return bridge_arguments(self.keys, self.covers[0], self.site)

    def publish(self, port: int, address: tuple[str, int] | None = None) -> None:
        """Write `bridgeline.txt`, now that it is known on which port we listen.

        `address` is where clients find us, if somebody told. Raises ConfigError.
        """
        if address is None and "url" not in self.site:
            address = UNKNOWN_HOST, port
        line = bridge_line(self.state, self.keys, self.covers[0], self.site, address)
        path = self.state.write_bridge_line(str(line))
        log.info("the line for clients is in {path}", path=path)
