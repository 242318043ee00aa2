"""Which wire a set of arguments asks for, as makers of channels and of openings.

The arguments are those of a bridge line (`key=value`), whether they came from torrc
through SOCKS or from `--bridge`. One with `cert=` gets a session; one without it, classic.

| argument | wire | meaning |
| --- | --- | --- |
| `cert` | session | the bridge's public key and secret |
| `cover` | session | name of the cover; the default is `DEFAULT_COVER` |
| `url`, `sni`, `pin` | session | where the bridge is: `obfsfte.way` |
| others | session | the cover's own parameters |
| `format` | classic | pair of languages; the default is `DEFAULT_FORMAT` |
| `release` | classic | fteproxy's release of languages that has the pair |
| `key` | classic | 64 hexadecimal characters; without it, fteproxy's public key |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from random import Random, SystemRandom
from typing import ClassVar

import attrs

from obfsfte.channel import Channel, Opening
from obfsfte.classic import (
    DEFAULT_KEY,
    DEFAULT_RELEASE,
    RELEASES,
    ClassicClient,
    ClassicKey,
    ClassicOpening,
    Release,
    find_release,
)
from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.errors import ConfigError, plain
from obfsfte.session.keys import BridgeKeys, Cert
from obfsfte.session.replay import ReplayCheck
from obfsfte.session_channel import BridgeCover, CoverChoice, SessionClient, SessionOpening
from obfsfte.turn_channel import TurnClient
from obfsfte.turn_server import SessionTurnOpening, Tickets
from obfsfte.way import shown_arguments

DEFAULT_FORMAT = "manual-http"

_CLASSIC_ARGUMENTS = ("format", "release", "key")

#: Unix time in seconds.
Now = Callable[[], int]


def client_wire(
    arguments: Mapping[str, str], catalogue: Catalogue, now: Now
) -> Callable[[], Channel]:
    """A maker of one client channel per connection, for a bridge line's arguments.

    Raises ConfigError naming the argument that cannot be used, never a secret.
    """
    if "cert" in arguments:
        return _session_client_wire(arguments, catalogue, now)
    for name in arguments:
        if name not in _CLASSIC_ARGUMENTS:
            raise ConfigError(
                f"bridge argument {plain(name)}= needs cert=; without that the wire is classic, "
                f"and knows {', '.join(f'{known}=' for known in _CLASSIC_ARGUMENTS)}"
            )
    key = ClassicKey.from_hex(arguments["key"]) if "key" in arguments else DEFAULT_KEY
    release = find_release(arguments.get("release", DEFAULT_RELEASE.name))
    return classic_client_wire(release, arguments.get("format", DEFAULT_FORMAT), key)


def classic_client_wire(release: Release, pair_name: str, key: ClassicKey) -> Callable[[], Channel]:
    """As `client_wire`, for one pair of a release. Compiles its languages now."""
    request = release.request(pair_name)
    response = release.response_to(request)
    request.language()
    response.language()
    return lambda: ClassicClient(request, response, key)


def _session_client_wire(
    arguments: Mapping[str, str], catalogue: Catalogue, now: Now
) -> Callable[[], Channel]:
    cert = Cert.parse(arguments["cert"])
    choice = cover_choice(arguments, catalogue)
    bridge = choice.at(cert)
    random = SystemRandom()
    make = TurnClient if choice.definition.takes_turns else SessionClient
    return lambda: make(bridge, now(), random)


def cover_choice(arguments: Mapping[str, str], catalogue: Catalogue) -> CoverChoice:
    """The cover that a bridge line's arguments name, and what they tell it.

    Raises ConfigError for what it cannot use.
    """
    parameters = shown_arguments(arguments)
    parameters.pop("cert", None)
    definition = catalogue.get(parameters.pop("cover", DEFAULT_COVER))
    if "url" in arguments and not {"host", "path", "scheme"} <= definition.parameters:
        raise ConfigError(f"url=: the cover {definition.name} cannot be part of a web site")
    definition.fingerprint(parameters)
    return CoverChoice(definition, parameters)


@attrs.frozen
class SessionWire:
    """Sessions at a server: one bridge's keys, in one cover."""

    choice: CoverChoice
    keys: BridgeKeys
    seen: ReplayCheck
    now: Now
    random: Random = attrs.field(factory=SystemRandom)
    _tickets: Tickets = attrs.field(factory=dict)
    _bridge: BridgeCover = attrs.field(init=False, eq=False, repr=False)

    @_bridge.default
    def _prepare(self) -> BridgeCover:
        return self.choice.at(self.keys.cert)

    @property
    def speaks_http(self) -> bool:
        """Whether a client's opening may follow requests of others on a connection."""
        return self.choice.definition.speaks_http

    def opening(self) -> Opening:
        if self.choice.definition.takes_turns:
            return SessionTurnOpening(
                self._bridge, self.keys, self.seen, self.now, self._tickets, self.random
            )
        return SessionOpening(self._bridge, self.keys, self.seen, self.now, self.random)


@attrs.frozen
class ClassicWire:
    """The classic wire at a server: which releases' formats it takes, with which key."""

    releases: Sequence[Release]
    key: ClassicKey
    speaks_http: ClassVar[bool] = False

    def opening(self) -> Opening:
        return ClassicOpening(self.releases, self.key)


ServerWire = SessionWire | ClassicWire


def served_releases(release: str | None, pair_name: str | None) -> tuple[Release, ...]:
    """What a classic server takes: all formats, one release's, or one pair of languages.

    Raises ConfigError when there is no such release, or no such pair in it.
    """
    releases = tuple(RELEASES.values()) if release is None else (find_release(release),)
    if pair_name is None:
        return releases
    having = [each for each in releases if f"{pair_name}-request" in each.formats]
    return tuple(each.only([pair_name]) for each in having or releases)
