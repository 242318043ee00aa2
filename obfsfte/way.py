"""The way to a bridge that is part of a web site: `url=`, `sni=` and `pin=` of a bridge line.

```
 fte [2001:db8::1]:443 cert=... cover=websocket url=wss://shop.example/live
     '--- unused ----'                              TLS -' '- where -' '- what is asked for
```
With a url, clients connect to its host and port, and the line's own address says nothing:
tor wants one, and wants it to differ between bridges.

| argument | meaning |
| --- | --- |
| `url` | `wss://HOST[:PORT][/PATH]`, or `ws://` without TLS; `https` and `http` are the same |
| `sni` | the name that TLS asks for and the certificate must have, if it is not the url's host |
| `pin` | `sha256-` and, in base64url, the SHA-256 of a SubjectPublicKeyInfo (RFC 7469, 2.4) |

A pin takes the place of the list of authorities and of nothing else: the server's key or that of
an authority which signed for it is the pinned one, and name and dates are checked as ever.
"""

from __future__ import annotations

import base64
import binascii
import re
from collections.abc import Mapping
from ipaddress import IPv6Address, ip_address

import attrs

from obfsfte.bridge_line import parse_address
from obfsfte.errors import ConfigError

#: The arguments that say where a bridge is and how to know it; the others are for the wire.
ARGUMENTS = ("url", "sni", "pin")

_PORTS = {"ws": 80, "wss": 443, "http": 80, "https": 443}
_URL = re.compile(
    r"(?P<scheme>[A-Za-z]+)://(?P<host>\[[0-9A-Fa-f:.]+\]|[A-Za-z0-9._-]+)"
    r"(?::(?P<port>[0-9]{1,5}))?(?P<path>/[!-\"$->@-~]*)?"  # visible, without # and ?
)
_NAME = re.compile(r"(?!-)[A-Za-z0-9._-]+")

PIN_PREFIX = "sha256-"
_DIGEST_SIZE = 32


@attrs.frozen
class Tls:
    """What a server must show in TLS: a certificate for `name`, and the pinned key, if any.

    `pin`: the 32 bytes of a SHA-256.
    """

    name: str
    pin: bytes | None


@attrs.frozen
class Way:
    """Where to connect to, and whether there is TLS."""

    host: str
    port: int
    tls: Tls | None = None


@attrs.frozen
class Url:
    """The parts of `url=`. `host` is without brackets; `path` may be empty."""

    is_secure: bool
    host: str
    port: int
    path: str

    @classmethod
    def parse(cls, text: str) -> Url:
        """Raises ConfigError."""
        match = _URL.fullmatch(text)
        scheme = match["scheme"].lower() if match else ""
        if match is None or scheme not in _PORTS:
            raise ConfigError(
                "url= must read wss://HOST[:PORT]/PATH, or ws:// if there is no TLS: a name in "
                "ASCII or an IP address, no user, no ?, no #"
            )
        port = _PORTS[scheme] if match["port"] is None else match["port"]
        try:
            host, number = parse_address(f"{match['host']}:{port}")
        except ConfigError as error:
            raise ConfigError(f"url=: {error}") from None
        return cls(scheme in ("wss", "https"), host, number, match["path"] or "")

    @property
    def scheme(self) -> str:
        """Of a web page of that site."""
        return "https" if self.is_secure else "http"

    @property
    def authority(self) -> str:
        """What a Host field says."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return host if self.port == _PORTS[self.scheme] else f"{host}:{self.port}"


def way_to(host: str, port: int, arguments: Mapping[str, str]) -> Way:
    """How to reach the bridge whose line has this address and these arguments.

    Raises ConfigError.
    """
    url = Url.parse(arguments["url"]) if "url" in arguments else None
    if url is None or not url.is_secure:
        for name in ("sni", "pin"):
            if name in arguments:
                raise ConfigError(f"{name}= is about TLS: it needs url=wss://...")
        return Way(host, port) if url is None else Way(url.host, url.port)
    name = arguments.get("sni", url.host)
    if not _NAME.fullmatch(name) and "sni" in arguments:
        raise ConfigError("sni= must be a name in ASCII, as it is in a certificate")
    pin = parse_pin(arguments["pin"]) if "pin" in arguments else None
    return Way(url.host, url.port, Tls(name, pin))


def shown_arguments(arguments: Mapping[str, str]) -> dict[str, str]:
    """What is left for the wire: with a url, the cover is told its host, path and scheme.

    A `host` that the line has as well is shown in place of the url's. Raises ConfigError.
    """
    rest = {name: value for name, value in arguments.items() if name not in ARGUMENTS}
    if "url" not in arguments:
        return rest
    url = Url.parse(arguments["url"])
    if url.path and "path" in rest:
        raise ConfigError("path=: the url has one already")
    said = {"host": url.authority, "scheme": url.scheme}
    if url.path:
        said["path"] = url.path
    return said | rest


def parse_pin(text: str) -> bytes:
    """The digest in a pin. Raises ConfigError."""
    digest = b""
    if text.startswith(PIN_PREFIX):
        padding = "=" * (-len(text.removeprefix(PIN_PREFIX)) % 4)
        try:
            encoded = (text.removeprefix(PIN_PREFIX) + padding).encode("ascii")
            digest = base64.b64decode(encoded, b"-_", validate=True)
        except (UnicodeEncodeError, binascii.Error):
            digest = b""
    if len(digest) != _DIGEST_SIZE or format_pin(digest) != text:
        raise ConfigError(
            f"pin= must read {PIN_PREFIX} and 43 characters of base64url: the SHA-256 of a "
            "public key; obfsfte bridge-line --pin CERTIFICATE.pem makes one"
        )
    return digest


def format_pin(digest: bytes) -> str:
    """The inverse of `parse_pin`."""
    return PIN_PREFIX + base64.urlsafe_b64encode(digest).rstrip(b"=").decode("ascii")


def placeholder(seed: bytes) -> tuple[str, int]:
    """An address for the line of a bridge that is found by its url, from 12 bytes of its own.

    Of the prefix that is kept for documentation (RFC 3849): no packet ever goes there.
    """
    return str(IPv6Address(b"\x20\x01\x0d\xb8" + seed[:12])), _PORTS["https"]


def is_address(host: str) -> bool:
    """Whether it is an IP address, and no name."""
    try:
        ip_address(host)
    except ValueError:
        return False
    return True
