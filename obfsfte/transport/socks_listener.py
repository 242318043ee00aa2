"""The SOCKS phase of a connection that tor's client made to us.

```
 SocksServerProtocol     SocksPhase                     on_request(request, phase)
   accepted    ------->  reads the request   ------->   dials the bridge, then
                         phase.succeed()     <-------   gives the side its next handler,
                                                        or
                         phase.fail(failure) <-------   leaves the rest to the phase
```
"""

from __future__ import annotations

import errno
from collections.abc import Callable

from twisted.internet import defer, error
from twisted.logger import Logger
from twisted.python.failure import Failure

from obfsfte.errors import ConfigError
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.side import Side
from obfsfte.transport.socks import Reply, SocksError, SocksRequest, SocksServer

log = Logger()

#: Tor is on the same machine and sends its request at once. Seconds.
REQUEST_SECONDS = 10.0


class SocksPhase:
    """The first handler of `side`: takes one request, and answers it once.

    `on_request(request, phase)` may raise ConfigError. While it works on the answer the
    side is held, and stays so until the next handler releases it.
    """

    def __init__(
        self,
        side: Side,
        on_request: Callable[[SocksRequest, SocksPhase], None],
        deadlines: Deadlines,
    ) -> None:
        self.side = side
        self._on_request = on_request
        self._server = SocksServer()
        self._deadline = deadlines.add(REQUEST_SECONDS, side.abort)
        side.handler = self

    def succeed(self) -> bytes:
        """Tell the client that the bridge is connected.

        Returns the application's bytes that came with the request. Whatever is written to
        the side before this call would be taken for SOCKS.
        """
        from_plain = self._server.succeed()
        self._flush()
        return from_plain

    def fail(self, failure: Failure) -> None:
        """Tell the client why not, as far as SOCKS can, and close."""
        self._server.fail(reply_for(failure))
        if not self.side.is_lost:
            self._flush()
            self.side.close()

    def data_received(self, data: bytes) -> None:
        try:
            request = self._server.receive(data)
        except SocksError as refusal:
            log.warn("SOCKS request refused: {reason}", reason=str(refusal))
            self._deadline.cancel()
            self._flush()
            self.side.close()
            return
        self._flush()
        if request is not None:
            self._deadline.cancel()
            self.side.hold()
            try:
                self._on_request(request, self)
            except ConfigError as fault:
                log.warn("the bridge line cannot be used: {reason}", reason=str(fault))
                self.fail(Failure())

    def read_ended(self) -> None:
        self.side.close()

    def lost(self) -> None:
        self._deadline.cancel()

    def _flush(self) -> None:
        data = self._server.data_to_send()
        if data:
            self.side.write_all([data])


class SocksServerProtocol(Side):
    """A connection from tor's client, beginning with its SOCKS phase."""

    def __init__(
        self, on_request: Callable[[SocksRequest, SocksPhase], None], deadlines: Deadlines
    ) -> None:
        super().__init__()
        self._on_request = on_request
        self._deadlines = deadlines

    def connectionMade(self) -> None:
        super().connectionMade()
        SocksPhase(self, self._on_request, self._deadlines)


#: Twisted has exceptions of their own only for some of these; the rest keep the number.
_BY_ERRNO = {
    errno.EACCES: Reply.NOT_ALLOWED,
    errno.EPERM: Reply.NOT_ALLOWED,
    errno.ENETDOWN: Reply.NETWORK_UNREACHABLE,
    errno.ENETUNREACH: Reply.NETWORK_UNREACHABLE,
    errno.EHOSTDOWN: Reply.HOST_UNREACHABLE,
    errno.EHOSTUNREACH: Reply.HOST_UNREACHABLE,
    errno.ECONNREFUSED: Reply.CONNECTION_REFUSED,
    errno.ECONNRESET: Reply.CONNECTION_REFUSED,
    errno.ETIMEDOUT: Reply.TTL_EXPIRED,
    errno.EADDRNOTAVAIL: Reply.ADDRESS_TYPE_NOT_SUPPORTED,
    errno.EAFNOSUPPORT: Reply.ADDRESS_TYPE_NOT_SUPPORTED,
}

_BY_TYPE: tuple[tuple[type[BaseException], Reply], ...] = (
    (error.ConnectionRefusedError, Reply.CONNECTION_REFUSED),
    (error.NoRouteError, Reply.NETWORK_UNREACHABLE),
    (error.DNSLookupError, Reply.HOST_UNREACHABLE),
    (error.UnknownHostError, Reply.HOST_UNREACHABLE),
    (error.UnsupportedAddressFamily, Reply.ADDRESS_TYPE_NOT_SUPPORTED),
    (error.TCPTimedOutError, Reply.TTL_EXPIRED),
    (error.TimeoutError, Reply.TTL_EXPIRED),
    (defer.TimeoutError, Reply.TTL_EXPIRED),
)


def reply_for(failure: Failure) -> Reply:
    """The SOCKS reply for a failure to connect to the bridge.

    The choice of codes is obfs4proxy's; "not allowed" is a firewall's refusal, or that of
    an outgoing proxy.
    """
    reason = failure.value
    number = getattr(reason, "osError", None) or getattr(reason, "errno", None)
    if number in _BY_ERRNO:
        return _BY_ERRNO[number]
    for kind, reply in _BY_TYPE:
        if isinstance(reason, kind):
            return reply
    return Reply.GENERAL_FAILURE
