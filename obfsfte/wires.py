"""Which wire a set of arguments asks for, as a maker of channels or openings.

The arguments are those of a bridge line (`key=value`), whether they came from torrc
through SOCKS, from `--bridge`, or from options of a command.

| argument | for | meaning |
| --- | --- | --- |
| `format` | classic | pair of languages, such as `manual-http`; the default |
| `release` | classic | fteproxy's definitions file that has them |
| `key` | classic | 64 hexadecimal characters; without it, fteproxy's public key |
"""

from __future__ import annotations

from collections.abc import Callable, Mapping

from obfsfte.channel import Channel
from obfsfte.classic import (
    DEFAULT_KEY,
    DEFAULT_RELEASE,
    ClassicClient,
    ClassicKey,
    Release,
    find_release,
)
from obfsfte.errors import ConfigError

DEFAULT_FORMAT = "manual-http"

_CLASSIC_ARGUMENTS = frozenset({"format", "release", "key"})


def client_wire(arguments: Mapping[str, str]) -> Callable[[], Channel]:
    """A maker of one client channel per connection, for a bridge line's arguments.

    Raises ConfigError naming the argument that cannot be used, never its value.
    """
    unknown = sorted(arguments.keys() - _CLASSIC_ARGUMENTS)
    if unknown:
        raise ConfigError(
            f"unknown bridge argument {unknown[0]}=: choose from "
            + ", ".join(f"{name}=" for name in sorted(_CLASSIC_ARGUMENTS))
        )
    key = ClassicKey.from_hex(arguments["key"]) if "key" in arguments else DEFAULT_KEY
    release = find_release(arguments.get("release", DEFAULT_RELEASE.name))
    return classic_client_wire(release, arguments.get("format", DEFAULT_FORMAT), key)


def classic_client_wire(release: Release, pair_name: str, key: ClassicKey) -> Callable[[], Channel]:
    """As `client_wire`, for one pair of a release. Compiles its languages now."""
    request = release.format(f"{pair_name}-request")
    response = release.response_to(request)
    request.language()
    response.language()
    return lambda: ClassicClient(request, response, key)
