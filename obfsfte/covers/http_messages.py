"""HTTP/1.1 messages, one at a time: read by h11, written from templates. RFC 9112.

A reader takes the bytes of one message and gives its head and the pieces of its body as they
come, however an intermediary has framed it: by Content-Length, in chunks, or, a response, by the
end of the connection. Writing is from templates, since the order and the case of the fields are
what a browser, or a server, is known by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

import h11

from obfsfte.covers.http_fields import MAX_HEAD, NOT_HTTP, has_token, tokens, wrong_status
from obfsfte.covers.templates import Filled
from obfsfte.errors import NotOurs, WireError

_METHODS = (b"GET ", b"POST ")
_LONGEST_METHOD = max(map(len, _METHODS))

_Event = h11.Request | h11.Response | h11.Data

#: The lines of a template that tell how the body is framed; one of them must be there.
LENGTH_LINE = "Content-Length: {length}"
CHUNKED_LINE = "Transfer-Encoding: chunked"

_CHUNKED = re.compile(CHUNKED_LINE.encode(), re.IGNORECASE)
_PERSISTENCE = re.compile(rb"(?m)^(?:connection|keep-alive):.*\n", re.IGNORECASE)


class _Reader:
    """What is common to the readers of both directions."""

    def __init__(self, parser: h11.Connection) -> None:
        self._parser = parser
        #: Whether the message has ended.
        self.complete = False

    def _events(self, data: bytes) -> Iterator[_Event]:
        """What is new in the message."""
        self._parser.receive_data(data)
        while not self.complete:
            event = self._parser.next_event()
            if isinstance(event, h11.EndOfMessage):
                self.complete = True
            elif isinstance(event, (h11.Request, h11.Response, h11.Data)):
                yield event
            elif not isinstance(event, h11.InformationalResponse):
                break

    @property
    def rest(self) -> bytes:
        """What followed the message, once it is complete."""
        return self._parser.trailing_data[0]


class RequestReader(_Reader):
    """At the server: bytes -> one request."""

    def __init__(self) -> None:
        super().__init__(h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD))
        self.head: h11.Request | None = None
        self._begun = b""

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body that `data` has; `head` and `complete` may have changed.

        Raises NotOurs as soon as the bytes so far cannot begin a GET or POST request.
        """
        if not data:
            return []  # to h11 it would be the end
        if len(self._begun) < _LONGEST_METHOD:
            self._begun += data[:_LONGEST_METHOD]
            if not any(self._begun.startswith(each[: len(self._begun)]) for each in _METHODS):
                raise NotOurs("no GET or POST request")
        pieces = []
        try:
            for event in self._events(data):
                if isinstance(event, h11.Request):
                    self.head = event
                elif isinstance(event, h11.Data):
                    pieces.append(event.data)
        except NOT_HTTP:
            raise NotOurs("no HTTP request") from None
        return pieces

    @property
    def is_old(self) -> bool:
        """Whether it is of HTTP/1.0, which knows no chunks."""
        return self.head is not None and self.head.http_version == b"1.0"

    @property
    def persists(self) -> bool:
        """Whether the connection is to go on after the response."""
        if self.head is None or self.is_old:
            return False
        return not has_token(list(self.head.headers), b"connection", b"close")


class RequestFollower:
    """Follows the requests of a connection that is somebody else's: where does the next begin?"""

    def __init__(self) -> None:
        self._parser: h11.Connection | None = None
        #: Whether the next byte is a request's first.
        self.at_boundary = True

    def feed(self, data: bytes) -> bool:
        """Take what comes. False: no more can be told, and it must not be fed again."""
        while data:
            if self._parser is None:
                self._parser = h11.Connection(h11.SERVER, max_incomplete_event_size=MAX_HEAD)
            self.at_boundary = False
            try:
                self._parser.receive_data(data)
                while not isinstance(event := self._parser.next_event(), h11.EndOfMessage):
                    if not isinstance(event, (h11.Request, h11.Data)):
                        return True
                    if isinstance(event, h11.Request) and not _may_be_followed(event):
                        return False
            except NOT_HTTP:
                return False
            data, _ = self._parser.trailing_data
            self._parser = None
            self.at_boundary = True
        return True


def _may_be_followed(head: h11.Request) -> bool:
    """Whether the connection goes on with HTTP after this request."""
    headers = list(head.headers)
    return (
        head.http_version == b"1.1"
        and head.method != b"CONNECT"
        and not tokens(headers, b"upgrade")
        and not has_token(headers, b"connection", b"close")
    )


class ResponseReader(_Reader):
    """At the client: bytes -> the response to a GET or POST request."""

    def __init__(self) -> None:
        super().__init__(h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD))
        # All that h11 has to know of our request is that it was neither HEAD nor CONNECT.
        self._parser.send(h11.Request(method="GET", target="/", headers=[("Host", "-")]))
        self._parser.send(h11.EndOfMessage())
        #: Whether the connection ends after it.
        self.closes = False

    def feed(self, data: bytes) -> list[bytes]:
        """The pieces of the body that `data` has; `complete` may have changed.

        Raises WireError for any other answer than a success whose body is as it was sent.
        """
        if not data:
            return []  # to h11 it would be the end
        pieces = []
        try:
            for event in self._events(data):
                if isinstance(event, h11.Response):
                    self._check(event)
                elif isinstance(event, h11.Data):
                    pieces.append(event.data)
        except NOT_HTTP:
            raise WireError("the answer is not HTTP, or was cut") from None
        if self.complete and self.rest:
            raise WireError("more came than the answer")
        return pieces

    def _check(self, head: h11.Response) -> None:
        headers = list(head.headers)
        if head.status_code != 200:
            raise WireError(wrong_status(head.status_code))
        if tokens(headers, b"content-encoding"):
            raise WireError("the answer was compressed on its way, or is a site's")
        self.closes = head.http_version == b"1.0" or has_token(headers, b"connection", b"close")


def request(
    head: Filled, strings: Mapping[str, str], body: bytes | None, chunk: int
) -> list[bytes]:
    """A request in buffers to write; without a body (None), if its template has no framing."""
    if body is None:
        return [head.render(strings)]
    return [head.render({**strings, "length": str(len(body))}), *_framed(head, body, chunk)]


def response(
    head: Filled, strings: Mapping[str, str], body: bytes, chunk: int, to: RequestReader
) -> list[bytes]:
    """The response to `to`, in buffers to write: chunks only if it knows them."""
    length = str(len(body))
    text = head.render({**strings, "length": length})
    framed = _framed(head, body, chunk)
    if to.is_old:
        text = _CHUNKED.sub(LENGTH_LINE.format(length=length).encode(), text)
        framed = [body]
    if not to.persists:
        text = _PERSISTENCE.sub(b"", text).removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
    return [text, *framed]


def _framed(head: Filled, body: bytes, chunk: int) -> Sequence[bytes]:
    if not head.template.values("Transfer-Encoding"):
        return [body]
    buffers = []
    for start in range(0, len(body), chunk):
        piece = body[start : start + chunk]
        buffers += [b"%x\r\n" % len(piece), piece, b"\r\n"]
    return [*buffers, b"0\r\n\r\n"]
