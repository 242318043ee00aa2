"""The SOCKS5 server that tor's client talks to, as a state machine: bytes in, one request out.

Tor reaches a bridge through us as any program reaches a host through a SOCKS proxy, and
passes the bridge line's arguments in the login (pt-spec 3.5). So the login is no secret
that we check: it is the rest of the request.

```
  client                                               server
  05 | count | method ...                  greeting ->
                                       <- 05 | method            02 if offered, else 00, else FF
  01 | len | user | len | password            login ->           only after method 02
                                       <- 01 | status            00, or 01: not arguments
  05 | command | 00 | address | port        request ->           01: connect
                                       <- 05 | reply | 00 | 01 | 0.0.0.0 | port 0
  application's bytes                             <->

  address: 01 | 4 bytes of IPv4     03 | len | name     04 | 16 bytes of IPv6
```

RFC 1928; RFC 1929 for the login. The reply goes out when the bridge is connected, or
known not to be. Bytes that the client sends before it has read one are kept for whoever
takes the connection over.
"""

from __future__ import annotations

import enum
import re
import socket
from collections.abc import Mapping
from functools import lru_cache
from ipaddress import ip_address
from types import MappingProxyType
from typing import NoReturn

import attrs

from obfsfte.errors import WireError
from obfsfte.pyptlib.util import parse_client_args

VERSION = 5
LOGIN_VERSION = 1
CONNECT = 1

NO_LOGIN = 0x00
LOGIN = 0x02
NO_ACCEPTABLE_METHOD = 0xFF

_IPV4 = 1
_NAME = 3
_IPV6 = 4
_IP_FAMILIES = {_IPV4: (socket.AF_INET, 4), _IPV6: (socket.AF_INET6, 16)}
_NAME_SHAPE = re.compile("[!-~]{1,255}")

#: Where our own connection to the bridge comes from is nobody's business: replies say this.
_UNSPECIFIED = "0.0.0.0"  # noqa: S104


class Reply(enum.IntEnum):
    """The answer to a request (RFC 1928, section 6)."""

    SUCCEEDED = 0
    GENERAL_FAILURE = 1
    NOT_ALLOWED = 2
    NETWORK_UNREACHABLE = 3
    HOST_UNREACHABLE = 4
    CONNECTION_REFUSED = 5
    TTL_EXPIRED = 6
    COMMAND_NOT_SUPPORTED = 7
    ADDRESS_TYPE_NOT_SUPPORTED = 8


#: What each byte of a request before the address must be, and the reply where it is not.
_REQUEST_HEAD = (
    (VERSION, Reply.GENERAL_FAILURE),
    (CONNECT, Reply.COMMAND_NOT_SUPPORTED),
    (0, Reply.GENERAL_FAILURE),
)


class SocksError(WireError):
    """What the other end sent is not SOCKS5, or is of it what we do not speak."""

    def __init__(self, message: str, reply: Reply = Reply.GENERAL_FAILURE) -> None:
        super().__init__(message)
        self.reply = reply


@attrs.frozen
class SocksRequest:
    """Connect to `host` (an IP address or a name) with the bridge line's arguments."""

    host: str
    port: int
    arguments: Mapping[str, str] = attrs.field(repr=False)


class SocksServer:
    """The server's end of one connection.

    Write what `data_to_send` gives after every call, whether or not it raised.
    """

    def __init__(self) -> None:
        self._received = bytearray()
        self._to_send = bytearray()
        self._step = self._read_greeting
        self._arguments: Mapping[str, str] = {}
        self._request: SocksRequest | None = None
        self._over = False

    def receive(self, data: bytes) -> SocksRequest | None:
        """Take bytes; return the request, once, when it is complete.

        Raises SocksError for what cannot become one: close the connection then. It takes
        no further bytes.
        """
        if self._over:
            return None
        self._received += data
        if self._request is not None:
            return None
        while self._request is None and self._step():
            pass
        return self._request

    def data_to_send(self) -> bytes:
        data = bytes(self._to_send)
        self._to_send.clear()
        return data

    def succeed(self) -> bytes:
        """Grant the request. Returns what the client sent after it."""
        self._answer(Reply.SUCCEEDED)
        return bytes(self._received)

    def fail(self, reply: Reply) -> None:
        """Refuse the request; close the connection then."""
        self._answer(reply)

    def _answer(self, reply: Reply) -> None:
        if self._request is None or self._over:
            raise RuntimeError("there is no request to answer")
        self._over = True
        self._to_send += pack_reply(reply)

    def _read_greeting(self) -> bool:
        head = self._received[:2]
        if head and head[0] != VERSION:
            self._refuse(b"", f"version {head[0]} instead of SOCKS {VERSION}")
        if len(head) < 2 or len(self._received) < 2 + head[1]:
            return False
        methods = self._received[2 : 2 + head[1]]
        del self._received[: 2 + head[1]]
        if LOGIN in methods:
            self._choose(LOGIN)
            self._step = self._read_login
        elif NO_LOGIN in methods:
            self._choose(NO_LOGIN)
            self._step = self._read_request
        else:
            self._refuse(
                bytes([VERSION, NO_ACCEPTABLE_METHOD]),
                "neither a login with user name and password nor none is offered",
            )
        return True

    def _choose(self, method: int) -> None:
        self._to_send += bytes([VERSION, method])

    def _read_login(self) -> bool:
        refusal = bytes([LOGIN_VERSION, 1])
        head = self._received[:2]
        if head and head[0] != LOGIN_VERSION:
            self._refuse(refusal, f"login version {head[0]} instead of {LOGIN_VERSION}")
        if len(head) < 2:
            return False
        user_end = 2 + head[1]
        if len(self._received) <= user_end:
            return False
        password_end = user_end + 1 + self._received[user_end]
        if len(self._received) < password_end:
            return False
        username = bytes(self._received[2:user_end])
        password = bytes(self._received[user_end + 1 : password_end])
        if not username or not password:
            self._refuse(refusal, "an empty user name or password")
        try:
            self._arguments = _arguments_in(username, password)
        except ValueError as error:
            self._refuse(refusal, f"malformed arguments: {error}")
        del self._received[:password_end]
        self._to_send += bytes([LOGIN_VERSION, 0])
        self._step = self._read_request
        return True

    def _read_request(self) -> bool:
        try:
            return self._parse_request()
        except SocksError as error:
            self._refuse(pack_reply(error.reply), str(error), error.reply)

    def _parse_request(self) -> bool:
        for value, (expected, reply) in zip(self._received, _REQUEST_HEAD, strict=False):
            if value != expected:
                raise SocksError(f"a request with {value} instead of {expected}", reply)
        parsed = parse_address(self._received[len(_REQUEST_HEAD) :])
        if parsed is None:
            return False
        host, port, length = parsed
        if not is_name(host):
            raise SocksError("a host name that is not printable ASCII without blanks")
        del self._received[: len(_REQUEST_HEAD) + length]
        self._request = SocksRequest(host, port, self._arguments)
        return True

    def _refuse(
        self, answer: bytes, message: str, reply: Reply = Reply.GENERAL_FAILURE
    ) -> NoReturn:
        self._over = True
        self._to_send += answer
        raise SocksError(message, reply)


@lru_cache(maxsize=64)
def _arguments_in(username: bytes, password: bytes) -> Mapping[str, str]:
    """A login's arguments, read once: tor says those of a bridge for each connection."""
    return MappingProxyType(parse_client_args(username, password))


def pack_address(host: str, port: int) -> bytes:
    """Address type, address and port as they stand in requests and replies.

    Raises ValueError for what is neither an IP address nor a name.
    """
    try:
        address = ip_address(host)
    except ValueError:
        name = pack_name(host)
        packed = bytes([_NAME, len(name)]) + name
    else:
        packed = bytes([_IPV4 if address.version == 4 else _IPV6]) + address.packed
    return packed + port.to_bytes(2, "big")


def pack_name(host: str) -> bytes:
    """The bytes of a host name. Raises ValueError."""
    if not is_name(host):
        raise ValueError(f"{host!r} is not a host name")
    return host.encode("ascii")


def is_name(host: str) -> bool:
    """Whether `host` can be a name in a request: 1 to 255 printable ASCII, no blank."""
    return _NAME_SHAPE.fullmatch(host) is not None


def parse_address(data: bytes | bytearray) -> tuple[str, int, int] | None:
    """The inverse: (host, port, bytes taken), or None while `data` is too short.

    Names come as latin-1, unchecked. Raises SocksError for an unknown address type.
    """
    if not data:
        return None
    kind = data[0]
    if kind in _IP_FAMILIES:
        family, length = _IP_FAMILIES[kind]
        start, end = 1, 1 + length
    elif kind != _NAME:
        raise SocksError(f"address type {kind}", Reply.ADDRESS_TYPE_NOT_SUPPORTED)
    elif len(data) < 2:
        return None
    else:
        family = None
        start, end = 2, 2 + data[1]
    if len(data) < end + 2:
        return None
    address = bytes(data[start:end])
    host = address.decode("latin-1") if family is None else socket.inet_ntop(family, address)
    return host, int.from_bytes(data[end : end + 2], "big"), end + 2


#: What every reply ends with.
_BOUND_TO = pack_address(_UNSPECIFIED, 0)


def pack_reply(reply: Reply) -> bytes:
    return bytes([VERSION, reply, 0]) + _BOUND_TO
