"""Tor's Extended ORPort: the way to a bridge that tells it whose connection it gets.

An ordinary ORPort sees every client of ours come from 127.0.0.1. Over the extended one
tor learns the client's address and transport, and can count countries and transports.
ext-orport-spec; only tor's authentication type SAFE_COOKIE exists.

```
  tor                                            we
  types ... | 00                 ->
                                 <-   01 | nonce (32)
  hash (32) | nonce (32)         ->                        HMAC(cookie, server text | nonces)
                                 <-   hash (32)            HMAC(cookie, client text | nonces)
  01                             ->                        00: refused
                                 <-   0001 | len | "192.0.2.7:51234"      USERADDR
                                      0002 | len | "fte"                  TRANSPORT
                                      0000 | 0000                         DONE
  1000 | len | ignored           ->                        OKAY; 1001: DENY
  the OR protocol                <->
```
Numbers are big-endian; nonces are the client's, then tor's. The cookie is a file that
only tor and its transports can read: a 32-byte header, then 32 secret bytes.
"""

from __future__ import annotations

import hmac
import ipaddress
import secrets
import struct

from twisted.internet.address import IPv4Address, IPv6Address
from twisted.internet.defer import Deferred, fail
from twisted.internet.interfaces import (
    IAddress,
    IProtocol,
    IProtocolFactory,
    IReactorTime,
    IStreamClientEndpoint,
)
from zope.interface import implementer

from obfsfte.errors import UnusableConnection
from obfsfte.transport.preface import Preface, connect_with_preface

COOKIE_HEADER = b"! Extended ORPort Auth Cookie !\x0a"
COOKIE_LENGTH = 32

SAFE_COOKIE = 1
_MAX_TYPES = 256  # with the zero that ends them: a type is one byte
NONCE_LENGTH = 32
_HASH_LENGTH = 32
_SERVER_TEXT = b"ExtORPort authentication server-to-client hash"
_CLIENT_TEXT = b"ExtORPort authentication client-to-server hash"

DONE = 0x0000
USERADDR = 0x0001
TRANSPORT = 0x0002
OKAY = 0x1000
DENY = 0x1001

_COMMAND = struct.Struct(">HH")  # code, length of the body


class ExtORPortError(UnusableConnection):
    """Tor's Extended ORPort cannot be used; the message is for the bridge's operator."""


class ExtORPort(Preface):
    """Our end of one connection to the Extended ORPort. Raises ExtORPortError.

    `cookie`: the 32 secret bytes. `nonce`: 32 fresh random ones. `user_address`: what
    `format_user_address` gave; None if it is not known, and then tor is told nothing.
    """

    def __init__(
        self, cookie: bytes, nonce: bytes, transport_name: str, user_address: str | None
    ) -> None:
        super().__init__(self._read_types)
        self._cookie = cookie
        self._nonce = nonce
        self._transport_name = transport_name
        self._user_address = user_address

    def hung_up(self) -> ExtORPortError:
        return ExtORPortError("tor closed the connection to its ExtORPort in the handshake")

    def _read_types(self) -> bool:
        end = self._received.find(0)
        if end < 0 and len(self._received) < _MAX_TYPES:
            return False
        if not 0 <= end < _MAX_TYPES or SAFE_COOKIE not in self._received[:end]:
            raise ExtORPortError("what answers at tor's ExtORPort offers no SAFE_COOKIE login")
        del self._received[: end + 1]
        self._to_send += bytes([SAFE_COOKIE]) + self._nonce
        self._step = self._read_proof
        return True

    def _read_proof(self) -> bool:
        message = self._take(_HASH_LENGTH + NONCE_LENGTH)
        if message is None:
            return False
        proof, tors_nonce = message[:_HASH_LENGTH], message[_HASH_LENGTH:]
        if not hmac.compare_digest(proof, self._hash(_SERVER_TEXT, tors_nonce)):
            raise ExtORPortError(
                "what answers at tor's ExtORPort does not know the cookie:"
                " is the cookie file that of the tor which runs now?"
            )
        self._to_send += self._hash(_CLIENT_TEXT, tors_nonce)
        self._step = self._read_status
        return True

    def _hash(self, text: bytes, tors_nonce: bytes) -> bytes:
        return hmac.digest(self._cookie, text + self._nonce + tors_nonce, "sha256")

    def _read_status(self) -> bool:
        status = self._take(1)
        if status is None:
            return False
        if status != b"\x01":
            raise ExtORPortError("tor's ExtORPort refused our login")
        if self._user_address is not None:
            self._command(USERADDR, self._user_address)
        self._command(TRANSPORT, self._transport_name)
        self._command(DONE, "")
        self._step = self._read_answer
        return True

    def _command(self, code: int, text: str) -> None:
        body = text.encode("ascii")
        self._to_send += _COMMAND.pack(code, len(body)) + body

    def _read_answer(self) -> bool:
        if len(self._received) < _COMMAND.size:
            return False
        code, length = _COMMAND.unpack_from(self._received)
        if self._take(_COMMAND.size + length) is None:
            return False
        if code == DENY:
            raise ExtORPortError("tor does not want this client now")
        self.done = code == OKAY  # the specification has us ignore all other codes
        return True


def read_cookie(path: str) -> bytes:
    """The secret of tor's cookie file. Raises ExtORPortError."""
    try:
        with open(path, "rb") as file:
            content = file.read(len(COOKIE_HEADER) + COOKIE_LENGTH + 1)
    except OSError as error:
        raise ExtORPortError(
            f"cannot read tor's ExtORPort cookie {path}: {error.strerror}"
        ) from None
    header, cookie = content[: len(COOKIE_HEADER)], content[len(COOKIE_HEADER) :]
    if header != COOKIE_HEADER or len(cookie) != COOKIE_LENGTH:
        raise ExtORPortError(f"{path} is not a cookie of tor's ExtORPort")
    return cookie


def format_user_address(address: IAddress) -> str | None:
    """A client's address as USERADDR wants it; None for one that is not of TCP/IP.

    An IPv4 client of a listener on [::] is given as IPv4, which is what tor can find the
    country of.
    """
    if not isinstance(address, IPv4Address | IPv6Address):
        return None
    ip = ipaddress.ip_address(address.host.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        if ip.ipv4_mapped is None:
            return f"[{ip}]:{address.port}"
        ip = ip.ipv4_mapped
    return f"{ip}:{address.port}"


@implementer(IStreamClientEndpoint)
class ExtORPortEndpoint:
    """Connects to tor through its Extended ORPort, for one client.

    `connect` fires once tor said OKAY. Besides what `endpoint` fails with, it fails with
    ExtORPortError, and TimeoutError. The cookie is read each time: tor writes another
    when it restarts. `user_address` is where the client is, and is never logged.
    """

    def __init__(
        self,
        clock: IReactorTime,
        endpoint: IStreamClientEndpoint,
        cookie_path: str,
        transport_name: str,
        user_address: IAddress,
        timeout: float = 30,
    ) -> None:
        self._clock = clock
        self._endpoint = endpoint
        self._cookie_path = cookie_path
        self._transport_name = transport_name
        self._user_address = format_user_address(user_address)
        self._timeout = timeout

    def connect(self, protocolFactory: IProtocolFactory) -> Deferred[IProtocol]:
        try:
            cookie = read_cookie(self._cookie_path)
        except ExtORPortError:
            return fail()
        preface = ExtORPort(
            cookie, secrets.token_bytes(NONCE_LENGTH), self._transport_name, self._user_address
        )
        return connect_with_preface(
            self._endpoint, preface, protocolFactory, self._clock, self._timeout
        )
