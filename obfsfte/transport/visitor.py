"""Where a client is who came through somebody else's server: whose word is taken for it.

```
 client ---> CDN ---> web server ---> us
                                       peer of the connection: the web server
             X-Forwarded-For: client, CDN        each hop adds whom it saw, so the last is nearest
```
From the peer on, each hop that is trusted is believed about the one before it. The first that is
not, or that cannot be read, ends that: what came before it, anybody can have written.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from ipaddress import IPv4Address, IPv4Network, IPv6Address, IPv6Network, ip_address, ip_network

import attrs
from twisted.internet.address import UNIXAddress
from twisted.internet.interfaces import IAddress

from obfsfte.errors import ConfigError, quoted
from obfsfte.transport.proxy_protocol import tcp_address

#: Where a proxy does not say it. Tor's USERADDR wants one, and other transports say this.
UNKNOWN_PORT = 1

#: Among the trusted: whoever connects to a UNIX socket, which the file's mode decides on.
_UNIX = "unix:"

# Some proxies add a port.
_HOP = re.compile(
    r"(?P<v4>[0-9.]+)(?::(?P<port4>[0-9]{1,5}))?"
    r"|\[(?P<bracketed>[0-9A-Fa-f:.]+)\](?::(?P<port6>[0-9]{1,5}))?"
    r"|(?P<v6>[0-9A-Fa-f:.]+)"
)


@attrs.frozen
class TrustedProxies:
    """The proxies whose word is taken, and whether it is in the PROXY protocol."""

    networks: Sequence[IPv4Network | IPv6Network] = ()
    over_unix: bool = False
    send_headers: bool = False

    @classmethod
    def parse(cls, text: str, send_headers: bool) -> TrustedProxies:
        """Addresses and networks, or `unix:`, with commas between them. Raises ConfigError."""
        networks = []
        words = text.split(",")
        for word in words:
            if word == _UNIX:
                continue
            try:
                networks.append(ip_network(word))
            except ValueError:
                raise ConfigError(
                    f"trusted-proxies: {quoted(word)} is neither an address nor a network such as "
                    "127.0.0.1 or 192.0.2.0/24"
                ) from None
        return cls(tuple(networks), _UNIX in words, send_headers)

    def announces(self, peer: IAddress) -> bool:
        """Whether this peer's connections begin with a header of the PROXY protocol."""
        return self.send_headers and self._trusts(peer)

    def visitor(self, peer: IAddress, forwarded_for: Sequence[bytes]) -> IAddress:
        """Who is behind `peer`, as far as the trusted ones say; `forwarded_for`: the fields."""
        hops = [hop for field in forwarded_for for hop in field.split(b",")]
        address = peer
        while hops and self._trusts(address):
            hop = _parse_hop(hops.pop())
            if hop is None:
                break
            address = hop
        return address

    def _trusts(self, address: IAddress) -> bool:
        host = getattr(address, "host", None)
        if host is None:
            return self.over_unix and isinstance(address, UNIXAddress)
        ip = _plain(ip_address(host.partition("%")[0]))
        return any(ip in network for network in self.networks)


#: Nobody's word is taken.
NO_PROXIES = TrustedProxies()


def _plain(ip: IPv4Address | IPv6Address) -> IPv4Address | IPv6Address:
    """An IPv4 address that a socket for both has written as IPv6, as IPv4."""
    return getattr(ip, "ipv4_mapped", None) or ip


def _parse_hop(hop: bytes) -> IAddress | None:
    match = _HOP.fullmatch(hop.strip(b" \t").decode("latin-1"))
    if match is None:
        return None
    try:
        ip = ip_address(match["v4"] or match["bracketed"] or match["v6"])
    except ValueError:
        return None
    port = int(match["port4"] or match["port6"] or UNKNOWN_PORT)
    return tcp_address(_plain(ip), port if 0 < port < 65536 else UNKNOWN_PORT)
