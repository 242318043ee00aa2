r"""Helpers for both sides: "address:port" texts, and arguments in a SOCKS login.

pt-spec 3.5: the arguments of a bridge line reach the client transport in the user name
and password (RFC 1929) of each SOCKS5 connection that tor makes to it:

    Bridge fte 192.0.2.1:443 cert=AbC= path=/a;b

    VER  ULEN  UNAME                        PLEN  PASSWD
     1    22   cert\=AbC\=;path=/a\;b  ...    1     0

Text of up to 255 bytes travels in UNAME and PASSWD is one NUL byte; of longer text the
first 255 bytes are UNAME and the rest, 255 at most, is PASSWD.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping

from .config import checkClientMode
from .encoding import escape, parse_items

__all__ = [
    "checkClientMode",
    "encode_client_args",
    "format_addr_spec",
    "parse_addr_spec",
    "parse_client_args",
]

#: The longest user name or password of RFC 1929, in bytes.
FIELD_LIMIT = 255

#: What stands in the password when the arguments fit into the user name.
UNUSED_PASSWORD = b"\0"


def parse_addr_spec(
    spec: str,
    defhost: str | None = None,
    defport: int | str | None = None,
    resolve: bool = False,
) -> tuple[str, int]:
    """Parse "host:port" into (host, port). IPv6 addresses stand in square brackets.

    `defhost` and `defport` fill in what `spec` leaves out. The host must be a numeric
    address unless `resolve` is true, which may block on the DNS. The port may be 0.
    Raises ValueError.

    >>> parse_addr_spec("[2001:db8::1]:443")
    ('2001:db8::1', 443)
    >>> parse_addr_spec(":443", defhost="192.0.2.1")
    ('192.0.2.1', 443)
    """
    bracketed = spec.startswith("[")
    if bracketed:
        host, bracket, rest = spec[1:].partition("]")
        if not host or not bracket or rest[:1] not in ("", ":"):
            raise ValueError(f"{spec!r} is not [IPv6 address]:port")
        port = rest[1:]
    else:
        host, _, port = spec.partition(":")
    given_host = host or defhost
    given_port = port or defport
    if given_host is None or given_port is None:
        raise ValueError(f"{spec!r} is not address:port")
    number = _port_number(given_port)
    if resolve:
        return _resolve(given_host, number, bracketed)
    try:
        address = ipaddress.ip_address(given_host)
    except ValueError:
        raise ValueError(f"{given_host!r} is not an IP address") from None
    if bracketed and address.version != 6:
        raise ValueError(f"{given_host!r} is not an IPv6 address")
    return str(address), number


def _port_number(port: int | str) -> int:
    text = str(port)
    if not (text.isascii() and text.isdigit() and len(text) <= 5 and int(text) <= 65535):
        raise ValueError(f"{text!r} is not a port number")
    return int(text)


def _resolve(host: str, port: int, only_ipv6: bool) -> tuple[str, int]:
    import socket  # only here: it is slow to import, and few callers resolve names

    family = socket.AF_INET6 if only_ipv6 else socket.AF_UNSPEC
    try:
        found = socket.getaddrinfo(host, port, family, socket.SOCK_STREAM)
    except OSError as error:
        raise ValueError(f"{host!r} does not resolve: {error}") from error
    numeric, _ = socket.getnameinfo(found[0][4], socket.NI_NUMERICHOST | socket.NI_NUMERICSERV)
    return numeric, port


def format_addr_spec(addrport: tuple[str, int]) -> str:
    """The inverse of `parse_addr_spec`: "192.0.2.1:443", "[2001:db8::1]:443".

    For addresses that are reported to tor, so a port of 0 and the scope of a link-local
    address are refused. Raises ValueError.
    """
    host, port = addrport
    number = _port_number(port)
    if number == 0:
        raise ValueError("port 0 cannot be reported: listen first, then report the real port")
    address = ipaddress.ip_address(host)
    if address.version == 4:
        return f"{address}:{number}"
    if address.scope_id is not None:
        raise ValueError(f"{host!r}: an address with a scope has no meaning to other hosts")
    return f"[{address}]:{number}"


def parse_client_args(username: bytes, password: bytes = UNUSED_PASSWORD) -> dict[str, str]:
    """The arguments in a SOCKS5 login, or in the user id of a SOCKS4 request.

    Raises ValueError for what is not "key=value;key=value" in UTF-8, and for a key that
    is given twice.
    """
    encoded = username if password == UNUSED_PASSWORD else username + password
    args: dict[str, str] = {}
    for key, value in parse_items(encoded.decode("utf-8"), "=", "key=value"):
        if key in args:
            raise ValueError("an argument is given twice")
        args[key] = value
    return args


def encode_client_args(args: Mapping[str, str]) -> tuple[bytes, bytes]:
    """`args` as the (user name, password) of a SOCKS5 login.

    Raises ValueError for an empty key, a NUL, more than 510 bytes, and for no arguments
    at all: RFC 1929 has no empty user name, so then there must be no login.
    """
    if not args:
        raise ValueError("no arguments: negotiate SOCKS without a login")
    if "" in args:
        raise ValueError("an argument has no key")
    pairs = (f"{escape(key, '=;')}={escape(value, '=;')}" for key, value in args.items())
    encoded = ";".join(pairs).encode("utf-8")
    if b"\0" in encoded:
        raise ValueError("arguments cannot contain NUL")
    if len(encoded) > 2 * FIELD_LIMIT:
        raise ValueError(f"{len(encoded)} bytes of arguments; a login holds {2 * FIELD_LIMIT}")
    return encoded[:FIELD_LIMIT], encoded[FIELD_LIMIT:] or UNUSED_PASSWORD
