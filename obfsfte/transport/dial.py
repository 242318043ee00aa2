"""Reaching the other half of a relay: connect, shake hands, both within their time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any, NoReturn

from twisted.internet.defer import Deferred, maybeDeferred
from twisted.internet.error import (
    ConnectError,
    ConnectionClosed,
    ConnectionDone,
    ConnectionLost,
    ConnectionRefusedError,
    DNSLookupError,
    NoRouteError,
    TCPTimedOutError,
)
from twisted.internet.error import TimeoutError as ConnectTimeoutError
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint
from twisted.internet.protocol import Factory
from twisted.logger import Logger
from twisted.python.failure import Failure

from obfsfte.channel import Buffers, Channel
from obfsfte.errors import UnusableConnection, WireError
from obfsfte.transport.context import Context
from obfsfte.transport.side import Side

log = Logger()

#: How many seconds two clocks may differ without a word.
CLOCK_TOLERANCE = 600


class HandshakeFailed(UnusableConnection):
    """The bridge was reached, but it is not one that our settings fit."""


class _Attempt(Factory):
    """Connects one side. `over` fires when it is connected, TLS included, or given up."""

    noisy = False

    def __init__(self, endpoint: IStreamClientEndpoint, side: Side, context: Context) -> None:
        self.over: Deferred[None] = Deferred(self._cancelled)
        self._side = side
        self._is_given_up = False
        self._deadline = context.deadlines.add(context.timeouts.connect, self._expire)
        self._step: Deferred[Any] = maybeDeferred(endpoint.connect, self)
        self._step.addCallbacks(self._connected, _misnamed).addErrback(self._failed)

    def buildProtocol(self, addr: IAddress | None) -> Side:
        return self._side

    def _connected(self, _protocol: object) -> None:
        securing = self._side.until_secure()
        if securing is None:
            self._succeeded()
        else:
            self._step = securing
            securing.addErrback(_tls_failed).addCallbacks(self._succeeded, self._failed)

    def _succeeded(self, _result: object = None) -> None:
        if not self._is_given_up:
            self._deadline.cancel()
            self.over.callback(None)

    def _failed(self, failure: Failure) -> None:
        # Endpoints have exceptions of their own for being cancelled, or say something else.
        if not self._is_given_up:
            self._deadline.cancel()
            self.over.errback(failure)

    def _expire(self) -> None:
        self._give_up()
        self.over.errback(ConnectTimeoutError(string="no answer in time"))

    def _cancelled(self, _over: Deferred[None]) -> None:
        self._deadline.cancel()
        self._give_up()

    def _give_up(self) -> None:
        self._is_given_up = True
        self._step.cancel()


def connect_side(endpoint: IStreamClientEndpoint, side: Side, context: Context) -> Deferred[None]:
    """Connect `side`. Cancelling gives up the attempt; so does the connect timeout."""
    return _Attempt(endpoint, side, context).over


def _misnamed(failure: Failure) -> NoReturn:
    """HostnameEndpoint has no exception of its own for it."""
    failure.trap(ValueError)
    raise UnusableConnection("its name cannot be one of a host") from None


def _tls_failed(failure: Failure) -> NoReturn:
    raise UnusableConnection(f"TLS failed ({_tls_fault(failure.value)})") from None


def _tls_fault(error: Any) -> str:
    from service_identity import VerificationError  # slow to load, and seldom needed

    if isinstance(error, UnusableConnection):
        return str(error)
    if isinstance(error, VerificationError):
        return "the certificate is for another name"
    if isinstance(error, (ConnectionDone, ConnectionLost)):
        return "the other end hung up"
    match error.args:
        case ([(_library, _function, str(reason)), *_],):  # OpenSSL's
            return reason
    return type(error).__name__


class Handshake:
    """The wire side of a client until its channel is ready.

    `start` gives the application bytes that came with the last of the handshake, or
    fails with HandshakeFailed; the wire is then aborted.

    A bridge answers nobody whose clock is far from its own, and cannot say why not: that
    would tell a prober what it is. So a failure has to name the clock as a cause, and a
    difference that the bridge still bears is worth a warning.
    """

    def __init__(self, side: Side, channel: Channel, context: Context) -> None:
        self._finished: Deferred[Buffers] = Deferred(self._cancelled)
        self._side = side
        self._channel = channel
        self._clock = context.deadlines.clock
        self._deadline = context.deadlines.add(
            context.timeouts.handshake,
            lambda: self._fail("the bridge did not complete the handshake in time"),
        )
        side.handler = self

    def start(self) -> Deferred[Buffers]:
        self.data_received(b"")
        return self._finished

    def data_received(self, data: bytes) -> None:
        try:
            plain_data = self._channel.receive(data)
        except WireError as error:
            self._fail(f"the bridge's answer is not one for our key: {error}")
            return
        if not self._channel.ready:
            self._side.write_all(self._channel.data_to_send())
        else:  # what there is to send is the relay's now
            self._deadline.cancel()
            self._compare_clocks()
            self._finished.callback(plain_data)

    def read_ended(self) -> None:
        self._fail("the bridge closed the connection during the handshake")

    def lost(self) -> None:
        self._fail("the bridge dropped the connection during the handshake")

    def _fail(self, reason: str) -> None:
        if not self._finished.called:
            self._end()
            advice = f"check the bridge line and this machine's clock, which says {self._utc()}"
            self._finished.errback(HandshakeFailed(f"{reason}; {advice}"))

    def _compare_clocks(self) -> None:
        difference = self._channel.clock_difference
        if difference is not None and abs(difference) > CLOCK_TOLERANCE:
            log.warn(
                "the bridge's clock is {minutes} minutes {how} this machine's, which says {time}; "
                "if they come to differ much more, the bridge will not answer",
                minutes=abs(difference) // 60,
                how="ahead of" if difference > 0 else "behind",
                time=self._utc(),
            )

    def _utc(self) -> str:
        return f"{datetime.fromtimestamp(self._clock.seconds(), UTC):%Y-%m-%d %H:%M} UTC"

    def _cancelled(self, _deferred: Deferred[Buffers]) -> None:
        self._end()

    def _end(self) -> None:
        self._deadline.cancel()
        if not self._side.is_lost:
            self._side.abort()


#: What to say of a failed connection. The exceptions' own texts may name the address.
_REASONS: tuple[tuple[type[BaseException], str], ...] = (
    (ConnectionRefusedError, "connection refused"),
    (NoRouteError, "no route to it"),
    (DNSLookupError, "its name cannot be resolved"),
    (TCPTimedOutError, "timed out"),
    (ConnectTimeoutError, "timed out"),
)


#: What networks and peers do to us. All else is a bug, of ours or of an endpoint's plugin.
_EXPECTED = (UnusableConnection, ConnectError, ConnectionClosed, ConnectTimeoutError, OSError)


def warn_unreached(name: str, failure: Failure) -> None:
    """Say in the log why there is no connection to what has that name; of a bug, where it is."""
    if failure.check(*_EXPECTED) is None:
        log.failure("no connection to the {name}", failure=failure, name=name)
    else:
        log.warn("no connection to the {name}: {reason}", name=name, reason=describe(failure))


def describe(failure: Failure) -> str:
    """A failure to connect in a few words, without any address."""
    for kind, text in _REASONS:
        if failure.check(kind) is not None:
            return text
    error = failure.value
    if isinstance(error, UnusableConnection):
        return str(error)
    if isinstance(error, ConnectError):
        text = error.args[0] if error.args else ""
        return f"connecting failed ({text or error.osError or type(error).__name__})"
    return f"connecting failed ({type(error).__name__})"
