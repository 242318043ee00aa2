"""Asking a proxy for a connection: SOCKS5, SOCKS4a and HTTP CONNECT as state machines.

```
  we                                          SOCKS5 proxy         RFC 1928, RFC 1929
  05 | count | method ...            ->                            00, with a login also 02
                                     <-   05 | method
  01 | len | user | len | password   ->                            only after method 02
                                     <-   01 | 00
  05 | 01 | 00 | address | port      ->                            address as in socks.py
                                     <-   05 | reply | 00 | address | port

  we                                          SOCKS4a proxy
  04 | 01 | port | IPv4 | user | 00  ->                            for a name, IPv4 is 0.0.0.1
                 [ name | 00 ]                                     and the name follows
                                     <-   00 | 5A | 6 ignored      5B to 5D: refused

  we                                          HTTP proxy           RFC 9110, section 9.3.6
  CONNECT host:port HTTP/1.1 ...     ->
                                     <-   HTTP/1.1 2xx ...
```
What a proxy says went wrong is raised as the exception that connecting directly would
have raised, so that nobody upstream needs to know of proxies. A literal IPv6 address is
a name to SOCKS4a, which most proxies can resolve.
"""

from __future__ import annotations

import base64
import errno
import ipaddress

import h11
from twisted.internet.error import (
    ConnectError,
    ConnectionRefusedError,
    NoRouteError,
    TCPTimedOutError,
)

from obfsfte.covers.http_fields import NOT_HTTP
from obfsfte.transport.preface import Preface
from obfsfte.transport.socks import (
    CONNECT,
    LOGIN,
    LOGIN_VERSION,
    NO_LOGIN,
    VERSION,
    Reply,
    SocksError,
    pack_address,
    pack_name,
    parse_address,
)

#: No honest answer of an HTTP proxy has more than this before its body. Bytes.
MAX_HTTP_HEAD = 16384

_SOCKS4_VERSION = 4
_SOCKS4_GRANTED = 0x5A
_SOCKS4_NOT_ALLOWED = (0x5C, 0x5D)  # it could not ask our identd, or did not like its answer


class ProxyPreface(Preface):
    """Asks one kind of proxy for a connection to `host`:`port`.

    `credentials`: user name and password, or None. Raises ConnectError or a kind of it.
    """

    def hung_up(self) -> ConnectError:
        return ConnectError(string="the proxy closed the connection without an answer")


class Socks5Connect(ProxyPreface):
    def __init__(self, host: str, port: int, credentials: tuple[bytes, bytes] | None) -> None:
        super().__init__(self._read_method)
        self._address = pack_address(host, port)
        self._credentials = credentials
        methods = [NO_LOGIN] if credentials is None else [NO_LOGIN, LOGIN]
        self._to_send += bytes([VERSION, len(methods), *methods])

    def _read_method(self) -> bool:
        answer = self._take(2)
        if answer is None:
            return False
        if answer == bytes([VERSION, NO_LOGIN]):
            self._request()
        elif answer == bytes([VERSION, LOGIN]) and self._credentials is not None:
            self._to_send.append(LOGIN_VERSION)
            for text in self._credentials:
                self._to_send.append(len(text))
                self._to_send += text
            self._step = self._read_login_status
        elif answer[0] == VERSION:
            raise ConnectError(errno.EACCES, "the SOCKS5 proxy wants another kind of login")
        else:
            raise ConnectError(string="the proxy does not speak SOCKS5")
        return True

    def _read_login_status(self) -> bool:
        answer = self._take(2)
        if answer is None:
            return False
        if answer != bytes([LOGIN_VERSION, 0]):
            raise ConnectError(errno.EACCES, "the SOCKS5 proxy refused our login")
        self._request()
        return True

    def _request(self) -> None:
        self._to_send += bytes([VERSION, CONNECT, 0]) + self._address
        self._step = self._read_reply

    def _read_reply(self) -> bool:
        if len(self._received) < 2:
            return False
        version, code = self._received[:2]
        if version != VERSION:
            raise ConnectError(string="the proxy does not speak SOCKS5")
        if code != Reply.SUCCEEDED:
            raise _socks5_failure(code)
        try:
            bound_to = parse_address(self._received[3:])
        except SocksError as error:
            raise ConnectError(string=f"the SOCKS5 proxy's reply has {error}") from None
        if bound_to is None:
            return False
        self._take(3 + bound_to[2])
        self.done = True
        return True


def _socks5_failure(code: int) -> ConnectError:
    kind, number = _SOCKS5_FAILURES.get(code, (ConnectError, None))
    return kind(number, f"the SOCKS5 proxy's reply is {code}")


_SOCKS5_FAILURES: dict[int, tuple[type[ConnectError], int]] = {
    Reply.NOT_ALLOWED: (ConnectError, errno.EACCES),
    Reply.NETWORK_UNREACHABLE: (NoRouteError, errno.ENETUNREACH),
    Reply.HOST_UNREACHABLE: (ConnectError, errno.EHOSTUNREACH),
    Reply.CONNECTION_REFUSED: (ConnectionRefusedError, errno.ECONNREFUSED),
    Reply.TTL_EXPIRED: (TCPTimedOutError, errno.ETIMEDOUT),
    Reply.ADDRESS_TYPE_NOT_SUPPORTED: (ConnectError, errno.EAFNOSUPPORT),
}


class Socks4aConnect(ProxyPreface):
    """Of the credentials, SOCKS4a carries only the user name."""

    def __init__(self, host: str, port: int, credentials: tuple[bytes, bytes] | None) -> None:
        super().__init__(self._read_reply)
        username = b"" if credentials is None else credentials[0]
        address, name = _socks4a_address(host)
        self._to_send += bytes([_SOCKS4_VERSION, CONNECT]) + port.to_bytes(2, "big") + address
        self._to_send += username + b"\0" + name

    def _read_reply(self) -> bool:
        answer = self._take(8)
        if answer is None:
            return False
        if answer[0] != 0:
            raise ConnectError(string="the proxy does not speak SOCKS4")
        if answer[1] != _SOCKS4_GRANTED:
            number = errno.EACCES if answer[1] in _SOCKS4_NOT_ALLOWED else None
            raise ConnectError(number, f"the SOCKS4 proxy's reply is {answer[1]}")
        self.done = True
        return True


def _socks4a_address(host: str) -> tuple[bytes, bytes]:
    """The four bytes for `host`, and what follows the user name for it."""
    try:
        address = ipaddress.IPv4Address(host).packed
    except ValueError:
        address = bytes(4)
    if address[:3] != bytes(3):
        return address, b""
    return b"\0\0\0\1", pack_name(host) + b"\0"


class HttpConnect(ProxyPreface):
    """The login is Basic (RFC 7617).

    h11 reads the answer: what proxies send is as varied as all of HTTP.
    """

    def __init__(self, host: str, port: int, credentials: tuple[bytes, bytes] | None) -> None:
        super().__init__(self._read_response)
        target = pack_name(f"[{host}]" if ":" in host else host) + b":%d" % port
        headers = [(b"Host", target)]
        if credentials is not None:
            basic = base64.b64encode(b":".join(credentials))
            headers.append((b"Proxy-Authorization", b"Basic " + basic))
        self._http = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HTTP_HEAD)
        request = h11.Request(method="CONNECT", target=target, headers=headers)
        for event in (request, h11.EndOfMessage()):
            self._to_send += self._http.send(event) or b""
        self._head_length = 0

    def _read_response(self) -> bool:
        self._head_length += len(self._received)
        try:
            self._http.receive_data(bytes(self._received))
            self._received.clear()
            event = self._http.next_event()
            while isinstance(event, h11.InformationalResponse):
                event = self._http.next_event()
        except NOT_HTTP as error:
            raise ConnectError(string=f"the proxy's answer is not HTTP: {error}") from None
        if isinstance(event, h11.Response):
            self._received += self._http.trailing_data[0]
            self._head_length -= len(self._received)
        if self._head_length > MAX_HTTP_HEAD:
            raise ConnectError(string="the HTTP proxy's answer is too long")
        if not isinstance(event, h11.Response):
            return False
        if not 200 <= event.status_code < 300:
            kind, number = _HTTP_FAILURES.get(event.status_code, (ConnectError, None))
            raise kind(number, f"the HTTP proxy answered {event.status_code}")
        self.done = True
        return True


_HTTP_FAILURES: dict[int, tuple[type[ConnectError], int]] = {
    401: (ConnectError, errno.EACCES),
    403: (ConnectError, errno.EACCES),
    405: (ConnectError, errno.EACCES),
    407: (ConnectError, errno.EACCES),
    408: (TCPTimedOutError, errno.ETIMEDOUT),
    502: (ConnectError, errno.EHOSTUNREACH),
    503: (ConnectError, errno.EHOSTUNREACH),
    504: (TCPTimedOutError, errno.ETIMEDOUT),
}
