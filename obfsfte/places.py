"""Places to listen on and to connect to: what a person writes, or a bridge line, as endpoints.

| written | endpoint |
| --- | --- |
| `tcp:8080:interface=127.0.0.1`, ... | `server_endpoint`: Twisted's strings for servers |
| `tcp:127.0.0.1:8081`, `unix:/...`, ... | `client_endpoint`: those for clients |
| a bridge line | `bridge_endpoint`: its address or its url, TLS included |
"""

from __future__ import annotations

import contextlib
import ipaddress
import re
import socket
from typing import Any

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.endpoints import clientFromString, serverFromString
from twisted.internet.interfaces import IStreamClientEndpoint, IStreamServerEndpoint

from obfsfte.bridge_line import UNKNOWN_HOST, BridgeLine, parse_address
from obfsfte.errors import ConfigError, plain, quoted
from obfsfte.transport.address_endpoint import tcp_endpoint
from obfsfte.way import Way, way_to

#: Where the two halves listen and deliver unless told otherwise; fteproxy's own ports.
DEFAULT_CLIENT_LISTEN = "tcp:8079:interface=127.0.0.1"
DEFAULT_SERVER_LISTEN = "tcp:8080"
DEFAULT_TARGET = "tcp:127.0.0.1:8081"

#: How many connections may wait to be accepted unless an endpoint string says it. Beyond
#: Twisted's own 50 the kernel drops the SYN, and a client of a burst waits a second.
BACKLOG = 1024

# What Twisted notices only when it connects: a port, or a name, that cannot be one.
_HOST_AND_PORT = re.compile(r"(tcp|tls):(host=)?(?P<host>[^:=\\]*):(port=)?(?P<port>[^:]*)")

_EVERY_INTERFACE = ("0.0.0.0", "::")  # noqa: S104

_LISTENS_ON_TCP = re.compile("(tcp|tcp6|ssl):")


def server_endpoint(reactor: Any, text: str) -> IStreamServerEndpoint:
    """A listening place. Raises ConfigError."""
    if text.startswith("haproxy:"):
        # It believes whoever connects, and does not know half-closed connections.
        raise ConfigError(
            f"cannot listen on {quoted(text)}: leave haproxy: out; obfsfte server reads such "
            "headers itself, with --proxy-protocol"
        )
    try:
        endpoint = serverFromString(reactor, text)
    except Exception as error:  # parsers of endpoint plugins raise what they like
        raise ConfigError(f"cannot listen on {quoted(text)}: {_endpoint_fault(error)}") from None
    if _LISTENS_ON_TCP.match(text) and ":backlog=" not in text:
        with contextlib.suppress(TypeError):  # said by its position
            endpoint = serverFromString(reactor, f"{text}:backlog={BACKLOG}")
    return endpoint


def client_endpoint(reactor: Any, text: str) -> IStreamClientEndpoint:
    """A place to connect to. Raises ConfigError."""
    try:
        endpoint = clientFromString(reactor, text)
        if named := _HOST_AND_PORT.match(text):
            parse_address(f"{named['host']}:{named['port']}")
        return endpoint
    except Exception as error:
        raise ConfigError(f"cannot connect to {quoted(text)}: {_endpoint_fault(error)}") from None


def _endpoint_fault(error: Exception) -> str:
    reason = " ".join(str(error).split())
    is_vague = isinstance(error, (TypeError, LookupError, RuntimeError)) or "int()" in reason
    if is_vague or plain(reason) != reason:
        return (
            "its parts are not those of an endpoint; it reads like tcp:127.0.0.1:8080, and the "
            "colons of an IPv6 address like \\:"
        )
    return reason


def bridge_endpoint(
    reactor: Any,
    line: BridgeLine,
    connect: IStreamClientEndpoint | None = None,
    authorities: str | None = None,
) -> IStreamClientEndpoint:
    """The way to a bridge that its line names, TLS included.

    `connect` is where to find it instead, and `authorities` a file with those to believe
    in place of the system's. Raises ConfigError.
    """
    way = way_to(line.host, line.port, line.arguments)
    if connect is None and way.host == UNKNOWN_HOST:
        raise ConfigError(
            f"the bridge line still says {UNKNOWN_HOST}: write the server's address in its place"
        )
    host = way.host.encode("idna").decode("ascii")
    endpoint = connect or tcp_endpoint(reactor, host, way.port)
    return secured(endpoint, way, authorities)


def secured(
    endpoint: IStreamClientEndpoint, way: Way, authorities: str | None = None
) -> IStreamClientEndpoint:
    """`endpoint`, with the TLS that the way wants. Raises ConfigError for the file."""
    if way.tls is None:
        return endpoint
    from obfsfte.transport.tls import over_tls  # not every way has TLS, which is slow to load

    return over_tls(endpoint, way.tls, authorities)


def leads_to(place: str, address: object) -> bool:
    """Whether who connects to an endpoint string's place on this machine arrives at `address`."""
    named = _HOST_AND_PORT.match(place)
    if named is None or not isinstance(address, (IPv4Address, IPv6Address)):
        return False
    if named["port"] != str(address.port):
        return False
    host = named["host"].replace("localhost", "127.0.0.1")
    return host == address.host or (address.host in _EVERY_INTERFACE and _is_here(host))


def _is_here(host: str) -> bool:
    """Whether an IPv4 address is one of this machine's; a name is not looked up."""
    try:
        with socket.socket() as probe:
            probe.bind((str(ipaddress.IPv4Address(host)), 0))
    except (ValueError, OSError):
        return False
    return True


def describe(address: object) -> str:
    """A listening address as a person writes it."""
    if isinstance(address, (IPv4Address, IPv6Address)):
        host = f"[{address.host}]" if ":" in address.host else address.host
        return f"{host}:{address.port}"
    return str(address)
