"""HTTP/1.1 messages, one at a time: read by h11, written from templates. RFC 9112.

A reader takes the bytes of one message and gives its head and the pieces of its body as they
come, however an intermediary has framed it: by Content-Length, in chunks, or, a response, by the
end of the connection. Writing is from templates, since the order and the case of the fields are
what a browser, or a server, is known by.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from random import Random

import attrs
import h11

from obfsfte.covers.http_fields import MAX_HEAD, NOT_HTTP, Fields, wrong_status
from obfsfte.covers.templates import Head
from obfsfte.errors import NotOurs, WireError

_METHODS = (b"GET ", b"POST ")
_LONGEST_METHOD = max(map(len, _METHODS))

_Event = h11.Request | h11.Response | h11.Data

#: The lines of a template that tell how the body is framed; one of them must be there.
LENGTH_LINE = "Content-Length: {length}"
CHUNKED_LINE = "Transfer-Encoding: chunked"

#: All that h11 has to know of our request is that it was neither HEAD nor CONNECT.
_ASKED = h11.Request(method="GET", target="/", headers=[("Host", "-")])

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
            if type(event) is h11.Data:
                yield event
            elif type(event) is h11.EndOfMessage:
                self.complete = True
            elif type(event) is h11.Request or type(event) is h11.Response:
                yield event
            elif type(event) is not h11.InformationalResponse:
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
        #: Those of the head, once it is there.
        self.fields: Fields
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
                if type(event) is h11.Request:
                    self.head = event
                    self.fields = Fields(event)
                elif type(event) is h11.Data:
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
        return not self.fields.has_token(b"connection", b"close")


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
    fields = Fields(head)
    return (
        head.http_version == b"1.1"
        and head.method != b"CONNECT"
        and not fields.tokens(b"upgrade")
        and not fields.has_token(b"connection", b"close")
    )


class ResponseReader(_Reader):
    """At the client: bytes -> the response to a GET or POST request."""

    def __init__(self) -> None:
        super().__init__(h11.Connection(h11.CLIENT, max_incomplete_event_size=MAX_HEAD))
        self._parser.send(_ASKED)
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
                if type(event) is h11.Response:
                    self._check(event)
                elif type(event) is h11.Data:
                    pieces.append(event.data)
        except NOT_HTTP:
            raise WireError("the answer is not HTTP, or was cut") from None
        if self.complete and self.rest:
            raise WireError("more came than the answer")
        return pieces

    def _check(self, head: h11.Response) -> None:
        fields = Fields(head)
        if head.status_code != 200:
            raise WireError(wrong_status(head.status_code))
        if fields.tokens(b"content-encoding"):
            raise WireError("the answer was compressed on its way, or is a site's")
        self.closes = head.http_version == b"1.0" or fields.has_token(b"connection", b"close")


@attrs.frozen
class Framed:
    """The head of messages that have a body, and how that is framed."""

    head: Head
    #: Bytes of each chunk; None: the head says how long the body is.
    chunk: int | None

    def filled(self, strings: Mapping[str, bytes]) -> Framed:
        """With these strings in their gaps."""
        return Framed(self.head.filled(strings), self.chunk)

    def request(self, random: Random, strings: Mapping[str, bytes], body: bytes) -> list[bytes]:
        """A request in buffers to write."""
        return [self._text(random, strings, body), *self._pieces(body)]

    def response(
        self, random: Random, strings: Mapping[str, bytes], body: bytes, to: RequestReader
    ) -> list[bytes]:
        """The response to `to`, in buffers to write: chunks only if it knows them."""
        text, pieces = self._text(random, strings, body), self._pieces(body)
        if to.is_old:
            text = _CHUNKED.sub(LENGTH_LINE.format(length=len(body)).encode(), text)
            pieces = [body]
        if not to.persists:
            text = _PERSISTENCE.sub(b"", text).removesuffix(b"\r\n") + b"Connection: close\r\n\r\n"
        return [text, *pieces]

    def _text(self, random: Random, strings: Mapping[str, bytes], body: bytes) -> bytes:
        return self.head.render(random, {**strings, "length": b"%d" % len(body)})

    def _pieces(self, body: bytes) -> Sequence[bytes]:
        if self.chunk is None:
            return [body]
        pieces = []
        for start in range(0, len(body), self.chunk):
            piece = body[start : start + self.chunk]
            pieces += [b"%x\r\n" % len(piece), piece, b"\r\n"]
        return [*pieces, b"0\r\n\r\n"]
