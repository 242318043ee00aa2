"""The wire of a conversation in turns, at the client: one connection after the other.

```
 relay <--> ClientWire <--> connection 1 | connection 2 | ...
                                     ^ ended between two messages, or before a request was read
```

Servers and intermediaries end a connection after so many requests, or so many seconds, as HTTP
lets them. The next request then goes on a new one. A request that may have been read on a
connection that had carried others before, and that ended without a byte of the answer, is sent
once more, as browsers do; the server takes it for the session's only if it has not seen it.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

from twisted.internet.defer import CancelledError, Deferred
from twisted.internet.error import ConnectionDone, ConnectionLost
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.python.failure import Failure

from obfsfte.transport.context import Context
from obfsfte.transport.dial import connect_side, warn_unreached
from obfsfte.transport.side import Side
from obfsfte.transport.turn_wire import TurnWire

if TYPE_CHECKING:
    from obfsfte.turn_channel import TurnChannel


class ClientWire(TurnWire):
    """Each write to it is a whole request."""

    def __init__(
        self,
        connection: Side,
        channel: TurnChannel,
        endpoint: IStreamClientEndpoint,
        context: Context,
    ) -> None:
        super().__init__(channel)
        self._endpoint = endpoint
        self._context = context
        self._connection: Side | None = connection
        self._is_used = True  # an answer has come on this connection
        self._unanswered: list[bytes] = []  # the request, until something of its answer has come
        self._dialling: Deferred[None] | None = None
        connection.handler = self
        connection.read_much()

    def writeSequence(self, buffers: Iterable[bytes]) -> None:
        """Send a request, on a new connection if need be."""
        self._unanswered = list(buffers)
        if self._connection is not None and not self._channel.closes_connection:
            self._connection.write_all(self._unanswered)
        else:
            self._dial()

    def _dial(self) -> None:
        self._drop()
        self._dialling = Deferred.fromCoroutine(self._connect())
        self._dialling.addErrback(self._unreachable)

    async def _connect(self) -> None:
        connection = Side(self)
        await connect_side(self._endpoint, connection, self._context)
        connection.read_much()
        self._connection = connection
        self._is_used = False
        connection.write_all(self._unanswered)

    def _unreachable(self, failure: Failure) -> None:
        if failure.check(CancelledError) is None:
            warn_unreached("bridge again", failure)
            self.end(ConnectionLost())

    def _drop(self) -> None:
        """Do without the connection there is."""
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.handler = _GONE
            if not connection.is_lost:
                connection.close()

    def data_received(self, data: bytes) -> None:
        """Part of an answer."""
        self._unanswered = []
        self._is_used = True
        self.deliver(data)

    def read_ended(self) -> None:
        """The connection ends in order."""
        if self._channel.is_idle:
            self._drop()
        elif not self._try_again():
            self.side.readConnectionLost()

    def lost(self) -> None:
        """The connection was reset."""
        if self._channel.is_idle or not self._try_again():
            self._connection = None
            self.end(ConnectionLost())

    def _try_again(self) -> bool:
        """Send the request on a new connection, if it may not have been read."""
        if self._is_used and self._unanswered:
            self._dial()
            return True
        return False

    def loseConnection(self) -> None:
        """The conversation is over."""
        self._drop()
        self.end(ConnectionDone())

    def abortConnection(self) -> None:
        """The conversation is cut."""
        if self._dialling is not None:
            self._dialling.cancel()
        connection, self._connection = self._connection, None
        if connection is not None:
            connection.handler = _GONE
            connection.abort()
        self.end(ConnectionLost())


class _Gone:
    """The handler of a connection that nobody waits for."""

    def data_received(self, data: bytes) -> None:
        pass

    def read_ended(self) -> None:
        pass

    def lost(self) -> None:
        pass


_GONE = _Gone()
