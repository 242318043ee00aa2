"""The codec that a Twisted protocol holds: application bytes <-> wire bytes.

A channel is sans-I/O, after h11 and wsproto: bytes go in, bytes come out, nothing
blocks and nothing is read from a clock or a socket. One that must speak, or give up, after a
while says so with an alarm (`obfsfte.alarm`).

```
              send(data) ------------------> data_to_send()
 application                    channel                       wire
              receive() result <------------ receive(data)
```

The caller's whole duty: pass every byte that arrives to `receive`, write what it
returns to the application, and after *every* call write what `data_to_send` gives and see
whether there is another `alarm`.
On `WireError` the connection is aborted; nothing of the faulty message has been
delivered. Feeding the same bytes split in any way gives the same result.

A server does not know who is there until the first bytes have been read: each wire
that it speaks gives one `Opening` per connection, and the gate feeds them all until
one of them turns into a channel or none is left.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from obfsfte.alarm import Alarm

#: Bytes to write, in order, each where it is.
Buffers = Sequence[bytes | memoryview]


class Channel(Protocol):
    """One connection's codec. Buffers are bounded; no method blocks."""

    #: False while the handshake is under way: `send` must not be called yet.
    ready: bool

    #: True once the peer announced the end of its stream (or, on a wire without such
    #: a record, once the wire ended between two messages).
    peer_closed: bool

    #: How this wire shows our end of stream to the peer. True: only a TCP FIN can
    #: (classic). False: a record does, and TCP stays open both ways until both ended.
    ends_with_fin: bool

    #: Whether its ends speak in turns, on a wire whose connections may come and go between
    #: messages (then it is an `obfsfte.turn_channel.TurnChannel`).
    takes_turns: bool

    #: By how many seconds the peer's clock is ahead of ours, on a wire that tells, once it has.
    clock_difference: int | None

    #: What servers between said of the client's address (X-Forwarded-For): fields, the nearest
    #: server's last. Nobody has checked it; empty on a wire that has no such thing.
    forwarded_for: Sequence[bytes]

    @property
    def alarm(self) -> Alarm | None:
        """When to `wake` it, once it is `ready`; None: not at all."""

    def wake(self) -> None:
        """The alarm has rung. Raises WireError when the peer has been silent for too long."""

    def send(self, data: bytes) -> None:
        """Take application bytes to carry. Raises RuntimeError after `close`."""

    def receive(self, data: bytes) -> Buffers:
        """Take wire bytes; return the application bytes that they complete, in order.

        Raises WireError when they cannot come from an honest peer with our key.
        """

    def receive_eof(self) -> None:
        """The wire ended. Raises Truncated unless the peer's stream is complete."""

    def data_to_send(self) -> list[bytes]:
        """Wire bytes to write now, each buffer once; empty when there are none."""

    def close(self) -> None:
        """End our stream; the announcement, if the wire has one, is in `data_to_send`."""


class Opening(Protocol):
    """What one wire expects first of a new connection, at the server."""

    def feed(self, data: bytes) -> Channel | None:
        """Take the connection's next bytes.

        Returns a channel once they verify (it has already taken all bytes fed here; call
        its `receive(b"")` for application bytes that came along), None while they still
        may. Raises NotOurs as soon as they cannot, and then must not be fed again.
        """


class PassThrough:
    """A channel that changes nothing: how a stranger is joined to the fallback site."""

    __slots__ = ("_outgoing", "peer_closed")

    ready = True
    ends_with_fin = True
    takes_turns = False
    clock_difference: int | None = None
    forwarded_for: Sequence[bytes] = ()
    alarm: Alarm | None = None

    def __init__(self) -> None:
        self._outgoing: list[bytes] = []
        self.peer_closed = False

    def wake(self) -> None:
        """Never: it has no alarm."""

    def send(self, data: bytes) -> None:
        self._outgoing.append(data)

    def receive(self, data: bytes) -> list[bytes]:
        return [data] if data else []

    def receive_eof(self) -> None:
        self.peer_closed = True

    def data_to_send(self) -> list[bytes]:
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def close(self) -> None:
        pass
