"""Bridge lines: what an operator hands out and a client pastes.

```
 [Bridge] fte 192.0.2.1:8080 [40 hex digits of fingerprint] [key=value ...]
```
This is torrc's own grammar for `Bridge`. A value is everything after the first `=` and
has no spaces; tor knows no quoting here.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from ipaddress import IPv6Address
from types import MappingProxyType

import attrs

from obfsfte.errors import ConfigError, plain, quoted

TRANSPORT = "fte"

#: Stands in a bridge line for what only the operator knows.
UNKNOWN_HOST = "YOUR-PUBLIC-ADDRESS"

_ADDRESS = re.compile(r"(?:\[(?P<v6>[^\s\[\]]+)\]|(?P<host>[^\s:\[\]]+)):(?P<port>[0-9]{1,5})")
_FINGERPRINT = re.compile(r"\$?[0-9A-Fa-f]{40}")


@attrs.frozen
class BridgeLine:
    """One bridge. `arguments` can hold secrets: they are left out of the repr."""

    host: str
    port: int
    fingerprint: str | None = None
    arguments: Mapping[str, str] = attrs.field(factory=dict, repr=False)

    @classmethod
    def parse(cls, text: str) -> BridgeLine:
        """Read a bridge line, with or without torrc's leading keyword.

        Raises ConfigError; its message does not repeat the arguments.
        """
        words = text.split()
        if words and words[0].lower() == "bridge":
            del words[0]
        # An argument in the address's place must not be quoted in an error about addresses.
        if len(words) < 2 or words[0] != TRANSPORT or "=" in words[1]:
            raise ConfigError(
                f'a bridge line reads "{TRANSPORT} ADDRESS:PORT [FINGERPRINT] [KEY=VALUE ...]"'
            )
        host, port = parse_address(words[1])
        rest = words[2:]
        fingerprint = None
        if rest and _FINGERPRINT.fullmatch(rest[0]):
            fingerprint = rest.pop(0).removeprefix("$").upper()
        arguments: dict[str, str] = {}
        for word in rest:
            key, equals, value = word.partition("=")
            if not key or not equals:
                raise ConfigError(
                    f"the bridge line's argument {len(arguments) + 1} is not KEY=VALUE; a "
                    "fingerprint has 40 hexadecimal digits and comes before the arguments"
                )
            if key in arguments:
                raise ConfigError(f"the bridge line says {plain(key)}= twice")
            arguments[key] = value
        return cls(host, port, fingerprint, MappingProxyType(arguments))

    def __str__(self) -> str:
        host = f"[{self.host}]" if ":" in self.host else self.host
        words = [TRANSPORT, f"{host}:{self.port}"]
        if self.fingerprint is not None:
            words.append(self.fingerprint)
        words += [f"{key}={value}" for key, value in self.arguments.items()]
        return " ".join(words)


def parse_address(text: str) -> tuple[str, int]:
    """Read `host:port` or `[v6]:port`. Raises ConfigError."""
    match = _ADDRESS.fullmatch(text)
    try:
        if match is None:
            raise ValueError
        host = str(IPv6Address(match["v6"])) if match["v6"] else match["host"]
        host.encode("idna")  # what DNS cannot carry, such as an empty label
    except ValueError:
        raise ConfigError(
            f"{quoted(text)} is no address: write HOST:PORT, or [IPV6]:PORT"
        ) from None
    port = int(match["port"])
    if not 0 < port < 65536:
        raise ConfigError(f"{quoted(text)} has no usable port: it must be from 1 to 65535")
    return host, port
