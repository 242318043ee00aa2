"""What a proxy says of its visitor before it passes on his first byte: the PROXY protocol.

```
 version 1   "PROXY TCP4 192.0.2.7 198.51.100.1 51234 443\\r\\n"          TCP6, or UNKNOWN ...
 version 2   0D0A0D0A000D0A515549540A | 21 | 11 | length: 2 |
               source: 4 | destination: 4 | source port: 2 | port: 2 | more, ignored
```
In version 2 the byte after the signature is 20 for a connection of the proxy's own (a health
check), the next one 21 for IPv6, with addresses of 16 bytes; whatever else it is, nothing is
known of the visitor. HAProxy's proxy-protocol.txt, sections 2.1 and 2.2.

The header may not be guessed at: from a peer that must send one anything else is a fault, and
from any other peer it is what a stranger said.
"""

from __future__ import annotations

import ipaddress
import re
import struct
from collections.abc import Callable

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.interfaces import IAddress
from twisted.logger import Logger

from obfsfte.errors import WireError
from obfsfte.transport.context import Context
from obfsfte.transport.side import Side

log = Logger()

_LONGEST_LINE = 107
_LINE = re.compile(
    rb"PROXY (?:UNKNOWN(?: [^\r\n]*)?|TCP(?P<version>[46])"
    rb" (?P<host>[0-9A-Fa-f.:]+) [0-9A-Fa-f.:]+ (?P<port>[0-9]{1,5}) [0-9]{1,5})\r\n"
)
_LINE_START = b"PROXY "

_SIGNATURE = bytes.fromhex("0D0A0D0A000D0A515549540A")
_HEAD = struct.Struct(f">{len(_SIGNATURE)}sBBH")
_OWN, _PROXIED = 0x20, 0x21
#: The byte for the family -> bytes of an address. Both are TCP's.
_ADDRESS_SIZES = {0x11: 4, 0x21: 16}


def tcp_address(
    ip: ipaddress.IPv4Address | ipaddress.IPv6Address, port: int
) -> IPv4Address | IPv6Address:
    """An address as Twisted has it."""
    return (IPv4Address if ip.version == 4 else IPv6Address)("TCP", str(ip), port)


class HeaderReader:
    """Bytes -> one header. `source` is then the visitor, None if nothing was said of him."""

    def __init__(self) -> None:
        self.source: IAddress | None = None
        self._received = b""

    def feed(self, data: bytes) -> bytes | None:
        """What follows the header, once it is complete; None before.

        Raises WireError as soon as it cannot be one.
        """
        self._received += data
        start = self._received[: len(_SIGNATURE)]
        if _SIGNATURE.startswith(start):
            return self._read_binary()
        if not start.startswith(_LINE_START) and not _LINE_START.startswith(start):
            raise WireError("no header of the PROXY protocol")
        return self._read_line()

    def _read_line(self) -> bytes | None:
        end = self._received.find(b"\n", 0, _LONGEST_LINE)
        if end < 0:
            if len(self._received) >= _LONGEST_LINE:
                raise WireError("a header of the PROXY protocol that is too long")
            return None
        match = _LINE.fullmatch(self._received, 0, end + 1)
        try:
            if match is None:
                raise ValueError
            if match["version"]:
                ip = ipaddress.ip_address(match["host"].decode("ascii"))
                port = int(match["port"])
                if ip.version != int(match["version"]) or port > 65535:
                    raise ValueError
                self.source = tcp_address(ip, port)
        except ValueError:
            raise WireError("a header of the PROXY protocol that makes no sense") from None
        return self._received[end + 1 :]

    def _read_binary(self) -> bytes | None:
        if len(self._received) < _HEAD.size:
            return None
        _, command, family, length = _HEAD.unpack_from(self._received)
        if command not in (_OWN, _PROXIED):
            raise WireError("a header of the PROXY protocol with an unknown command")
        end = _HEAD.size + length
        if len(self._received) < end:
            return None
        size = _ADDRESS_SIZES.get(family)
        if command == _PROXIED and size is not None:
            addresses = self._received[_HEAD.size : end]
            if len(addresses) < 2 * size + 4:
                raise WireError("a header of the PROXY protocol that is too short")
            port = int.from_bytes(addresses[2 * size : 2 * size + 2], "big")
            self.source = tcp_address(ipaddress.ip_address(addresses[:size]), port)
        return self._received[end:]


class ProxyHeaderPhase:
    """The first handler of `side` where a header must come first.

    `on_header(source)` gives the side its next handler, which gets what followed.
    """

    def __init__(
        self, side: Side, on_header: Callable[[IAddress | None], None], context: Context
    ) -> None:
        self._side = side
        self._on_header = on_header
        self._reader = HeaderReader()
        self._connections = context.connections
        self._connections.add(self)
        self._deadline = context.deadlines.add(context.timeouts.handshake, self.abort)
        side.handler = self

    def data_received(self, data: bytes) -> None:
        try:
            rest = self._reader.feed(data)
        except WireError as error:
            log.warn("a trusted proxy sent {fault}", fault=str(error))
            self.abort()
            return
        if rest is not None:
            self._leave()
            self._on_header(self._reader.source)
            if rest:
                self._side.dataReceived(rest)

    def read_ended(self) -> None:
        self.abort()

    def lost(self) -> None:
        self._leave()

    def abort(self) -> None:
        self._leave()
        if not self._side.is_lost:
            self._side.abort()

    def _leave(self) -> None:
        self._deadline.cancel()
        self._connections.discard(self)
