"""The opening handshake of a WebSocket, read at either end: RFC 6455, section 4.

```
 client  GET /chat HTTP/1.1                       server  HTTP/1.1 101 Switching Protocols
         Host: example.org                                Upgrade: websocket
         Upgrade: websocket                               Connection: Upgrade
         Connection: Upgrade                              Sec-WebSocket-Accept: base64(SHA-1(
         Sec-WebSocket-Key: base64(16 bytes)                  key || GUID))
         Sec-WebSocket-Version: 13
```

h11 parses; this checks. An intermediary may have changed all that HTTP lets it change
(order and case of names, further fields, Host), so fields are read by name, and only those
that matter are looked at.
"""

from __future__ import annotations

import base64
import binascii
import hashlib

import attrs
import h11

from obfsfte.covers.http_fields import MAX_HEAD, NOT_HTTP, Fields, wrong_status
from obfsfte.errors import NotOurs, WireError

KEY_SIZE = 16

_GUID = b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
_METHOD = b"GET "
#: All that h11 has to know of our request is that it proposed an upgrade.
_PROPOSAL = h11.Request(method="GET", target="/", headers=[("Host", "-"), ("Upgrade", "websocket")])


def accept_for(key: bytes) -> bytes:
    """The Sec-WebSocket-Accept that answers a Sec-WebSocket-Key."""
    return base64.b64encode(hashlib.sha1(key + _GUID, usedforsecurity=False).digest())


@attrs.frozen
class Upgrade:
    """A client's request to open a WebSocket, and the bytes that followed it."""

    target: bytes
    fields: Fields
    key: bytes
    rest: bytes


class RequestReader:
    """At the server: bytes -> one request. Buffers its head at most."""

    def __init__(self) -> None:
        self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
        self._length = 0

    def feed(self, data: bytes) -> Upgrade | None:
        """The request once its head is complete, None before.

        Raises NotOurs as soon as no request for a WebSocket begins with the bytes so far;
        also when its head is longer than `MAX_HEAD`.
        """
        for index, byte in enumerate(data[: max(0, len(_METHOD) - self._length)], self._length):
            if byte != _METHOD[index]:
                raise NotOurs("no GET request")
        self._length += len(data)
        if not data:
            return None  # to h11 it would be the end
        try:
            self._parser.receive_data(data)
            request = self._parser.next_event()
            if type(request) is not h11.Request:
                return None
            end = self._parser.next_event()
        except NOT_HTTP:
            raise NotOurs("no HTTP request") from None
        rest, _ = self._parser.trailing_data
        if self._length - len(rest) > MAX_HEAD or type(end) is not h11.EndOfMessage:
            raise NotOurs("a request longer than that for a WebSocket")
        fields = Fields(request)
        return Upgrade(request.target, fields, _check_request(request, fields), rest)


def _check_request(request: h11.Request, fields: Fields) -> bytes:
    """The request's key, if it is one for a WebSocket."""
    keys = fields.values(b"sec-websocket-key")
    if (
        request.http_version != b"1.1"
        or not fields.has_token(b"upgrade", b"websocket")
        or not fields.has_token(b"connection", b"upgrade")
        or fields.values(b"sec-websocket-version") != [b"13"]
        or len(keys) != 1
    ):
        raise NotOurs("no request for a WebSocket")
    try:
        size = len(base64.b64decode(keys[0], validate=True))
    except binascii.Error:
        size = 0
    if size != KEY_SIZE:
        raise NotOurs("no request for a WebSocket: its key is none")
    return keys[0]


class ResponseReader:
    """At the client: bytes -> the server's consent. Buffers its head at most.

    `key` is the request's, `protocols` are the subprotocols that it offered.
    """

    def __init__(self, key: bytes, protocols: frozenset[bytes]) -> None:
        self._accept = accept_for(key)
        self._protocols = protocols
        self._length = 0
        self._parser = h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD)
        self._parser.send(_PROPOSAL)

    def feed(self, data: bytes) -> bytes | None:
        """What followed the response, once it is complete; None before.

        Raises WireError for any other answer than the consent to this request.
        """
        if not data:
            return None
        self._length += len(data)
        try:
            self._parser.receive_data(data)
            while type(event := self._parser.next_event()) is h11.InformationalResponse:
                if event.status_code == 101:
                    break
        except NOT_HTTP:
            raise WireError("the answer is not HTTP") from None
        if type(event) is h11.Response:
            raise WireError(wrong_status(event.status_code))
        if type(event) is not h11.InformationalResponse:
            if self._length > MAX_HEAD:
                raise WireError("the answer is too long")
            return None
        rest, _ = self._parser.trailing_data
        if self._length - len(rest) > MAX_HEAD:
            raise WireError("the answer is too long")
        self._check(Fields(event))
        return rest

    def _check(self, fields: Fields) -> None:
        if (
            not fields.has_token(b"upgrade", b"websocket")
            or not fields.has_token(b"connection", b"upgrade")
            or fields.values(b"sec-websocket-accept") != [self._accept]
        ):
            raise WireError("the answer does not open the WebSocket that was asked for")
        protocols = fields.values(b"sec-websocket-protocol")
        if fields.tokens(b"sec-websocket-extensions") or not self._protocols >= {*protocols}:
            raise WireError("the answer has an extension or a subprotocol that was not offered")
