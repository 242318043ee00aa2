"""A channel that is a session in a cover whose ends take turns.

```
 application bytes -> queue -> at our turn: records (session) -> one message (cover) -> wire
```

What the application writes waits for our turn, and is sealed only then. So a channel can be full:
then the application must not be read. And each message must be read to its end, whether the
application takes what it carried or not, since until then the other direction stands still. A
side that has no room puts a record of type hold into its messages, and gets none with data until
it sends one without. Nothing can deadlock then: messages always come through, and what waits on
either side is bounded by the queue and one message.

The network's connections may come and go between messages. A server knows by a *ticket* which
session a request belongs to: a string in it that follows from the session's keys, good for one
request. What is sent twice is a stranger's the second time.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Iterator, MutableMapping, Sequence
from os import urandom
from random import Random
from typing import cast

from obfsfte.alarm import Alarm
from obfsfte.channel import Channel
from obfsfte.covers.cover import ServerCover, TurnCover, TurnOpening
from obfsfte.covers.turns import ClientTurns, ServerTurns, Turns
from obfsfte.errors import Truncated
from obfsfte.session.handshake import MIN_HELLO, Session
from obfsfte.session.keys import BridgeKeys, Cert, RandomBytes
from obfsfte.session.records import OVERHEAD, Opener, RecordType, Sealer
from obfsfte.session.replay import ReplayCheck
from obfsfte.session_channel import Accepted, CoverChoice, SessionOpening, greet

#: Bytes of application data that wait at most when more is asked for.
QUEUE_LIMIT = 1 << 20
#: Bytes of application data in one record: a slow link delivers it by itself.
_PAYLOAD = 1 << 15


class TurnChannel:
    """An established session in its cover; an `obfsfte.channel.Channel`."""

    __slots__ = (
        "_closed",
        "_cover",
        "_end_sent",
        "_hold_sent",
        "_is_muted",
        "_now",
        "_opener",
        "_queue",
        "_sealer",
        "_seen_data",
        "_seen_hold",
        "_seen_size",
        "_turns",
        "_waiting",
        "blocked",
        "peer_closed",
        "ready",
    )

    ends_with_fin = False
    takes_turns = True
    clock_difference: int | None = None
    forwarded_for: Sequence[bytes] = ()

    _sealer: Sealer
    _opener: Opener

    def __init__(self, cover: TurnCover, turns: Turns, now: Callable[[], int]) -> None:
        self.ready = False
        self.peer_closed = False
        #: Whether the application takes nothing at the moment; for the caller to set.
        self.blocked = False
        self._cover = cover
        self._turns = turns
        self._now = now
        self._queue: deque[bytes | memoryview] = deque()
        self._waiting = 0  # bytes in the queue
        self._closed = False
        self._end_sent = False
        self._hold_sent = False  # the peer sends no data
        self._is_muted = False  # the peer takes no data
        # Of the message that comes: its records' bytes, and what was among them.
        self._seen_size = 0
        self._seen_data = self._seen_hold = False

    def _establish(self, session: Session) -> None:
        self._sealer = session.sealer
        self._opener = session.opener
        self.ready = True

    @property
    def alarm(self) -> Alarm | None:
        """When the other end, or we, will have waited for long enough."""
        return self._turns.alarm

    def wake(self) -> None:
        """Speak, with whatever there is; or raise WireError: the peer does not."""
        self._turns.rang()

    @property
    def is_full(self) -> bool:
        """Whether the application should not be read now."""
        return self._waiting >= QUEUE_LIMIT

    @property
    def is_idle(self) -> bool:
        """Whether the wire's connection may end now, and another go on."""
        return self._cover.is_idle

    @property
    def closes_connection(self) -> bool:
        """Whether the wire's connection ends with what was sent or received last."""
        return self._cover.closes_connection

    @property
    def finished(self) -> bool:
        """Whether both streams have ended, and all is said."""
        return self.peer_closed and self.is_flushed

    @property
    def is_flushed(self) -> bool:
        """Whether our stream has ended, and the peer has answered its end."""
        return self._end_sent and self._cover.is_idle

    def unblock(self) -> None:
        """The application takes data again: tell the peer soon."""
        self.blocked = False
        self._turns.room()
        if self._hold_sent:
            self._turns.hurry()

    def send(self, data: bytes) -> None:
        """Take application bytes to carry. More may be taken than makes it full."""
        if self._closed:
            raise RuntimeError("send after close")
        if data:
            self._queue.append(data)
            self._waiting += len(data)

    def close(self) -> None:
        """End our stream, with a record that says so after what waits."""
        self._closed = True

    def receive(self, data: bytes) -> list[bytes]:
        """Application bytes of the records that `data` completes.

        Raises a WireError; then nothing of this call counts.
        """
        was_turn = self._cover.my_turn
        records = self._cover.unwrap(data)
        return [] if was_turn else self._open(records)

    def receive_eof(self) -> None:
        """The wire ended. Raises Truncated unless that may happen between two messages."""
        if not self._cover.is_idle:
            raise Truncated("the wire ended within a message, or without an answer")
        self._turns.wire_ended()

    def _open(self, records: list[bytes]) -> list[bytes]:
        """Open the records of the message that comes, and see whether it has ended."""
        plain = []
        for record in records:
            kind, payload = self._opener.open(record)
            self._seen_size += len(record)
            if kind is RecordType.HOLD:
                self._seen_hold = True
            elif kind is RecordType.END:
                self.peer_closed = True
            elif payload:
                self._seen_data = True
                plain.append(payload)
        if self._cover.my_turn:
            self._is_muted = self._seen_hold
            self._turns.heard(self._seen_size, useful=self._seen_data, muted=self._is_muted)
            self._seen_size, self._seen_data, self._seen_hold = 0, False, False
            if self.peer_closed and self._end_sent:
                self._turns.hurry()
        return plain

    def data_to_send(self) -> list[bytes]:
        """Wire bytes to write now: at our turn a whole message, if it is time for one."""
        if self._is_time():
            return self._cover.data_to_send() + self._message()
        return self._cover.data_to_send()

    def _is_time(self) -> bool:
        """Whether our message goes now."""
        if not self._cover.my_turn or not (self._can_say or self._turns.is_due) or self.finished:
            return False
        return not self.blocked or not self._turns.waits_for_room()

    @property
    def _can_say(self) -> bool:
        """Whether something waits that may go now."""
        if self._waiting:
            return not self._is_muted
        return self._closed and not self._end_sent

    def _message(self) -> list[bytes]:
        """Our message, with as much of what waits as may go now."""
        size = 0 if self._is_muted else min(self._waiting, self._turns.limit)
        self._waiting -= size
        content: list[tuple[RecordType, bytes | memoryview]]
        content = [(RecordType.DATA, piece) for piece in self._pieces(size)]
        if self._closed and not self._end_sent and not self._waiting:
            self._end_sent = True
            content.append((RecordType.END, b""))
        self._hold_sent = self.blocked
        if self.blocked:
            content.append((RecordType.HOLD, b""))
        if not content and self._cover.needs_record:
            content.append((RecordType.PADDING, b""))
        self._turns.spoke(useful=size > 0)
        return self._cover.say(self._seal(content), self._now())

    def _pieces(self, size: int) -> Iterator[bytes | memoryview]:
        """The first `size` bytes of the queue, in pieces for one record each."""
        queue = self._queue
        while size:
            wanted = min(size, _PAYLOAD)
            size -= wanted
            if len(queue[0]) > wanted:
                view = memoryview(queue[0])
                queue[0] = view[wanted:]
                yield view[:wanted]
                continue
            parts = [queue.popleft()]
            wanted -= len(parts[0])
            while wanted:
                parts.append(queue[0][:wanted])
                wanted -= len(parts[-1])
                if len(parts[-1]) == len(queue[0]):
                    queue.popleft()
                else:
                    queue[0] = memoryview(queue[0])[len(parts[-1]) :]
            yield parts[0] if len(parts) == 1 else b"".join(parts)

    def _seal(self, content: Sequence[tuple[RecordType, bytes | memoryview]]) -> list[bytes]:
        """Records of their smallest size; the last is padded, as the cover likes."""
        records = []
        for number, (kind, payload) in enumerate(content, 1):
            size = OVERHEAD + len(payload)
            if number == len(content):
                size = self._cover.record_size(size)
            records.append(self._sealer.seal(kind, payload, size))
        return records


class TurnClient(TurnChannel):
    """The client's end. Its hello is in `data_to_send` from the beginning."""

    __slots__ = ("_handshake", "_made_at", "clock_difference")

    def __init__(
        self,
        choice: CoverChoice,
        cert: Cert,
        now: int,
        random: Random,
        random_bytes: RandomBytes = urandom,
    ) -> None:
        self._handshake, cover = greet(choice, cert, now, random, random_bytes)
        super().__init__(cast(TurnCover, cover), ClientTurns(random), lambda: now)
        self._made_at = now
        self.clock_difference = None

    def _open(self, records: list[bytes]) -> list[bytes]:
        """The first record is the bridge's hello."""
        if not self.ready and records:
            session = self._handshake.receive(records.pop(0))
            self.clock_difference = session.peer_time - self._made_at
            self._establish(session)
        return super()._open(records)


#: The servers' channels by the tickets that they wait for.
Tickets = MutableMapping[bytes, "TurnServer"]


class TurnServer(TurnChannel):
    """The server's end. Its hello is in the first message, which is due."""

    __slots__ = ("_hello", "_tickets", "_waits_for", "forwarded_for")

    _cover: ServerCover

    def __init__(
        self,
        accepted: Accepted,
        tickets: Tickets,
        now: Callable[[], int],
        random: Random,
    ) -> None:
        cover = cast(ServerCover, accepted.cover)
        super().__init__(cover, ServerTurns(random), now)
        self.forwarded_for = accepted.forwarded_for
        self._tickets = tickets
        self._waits_for: Sequence[bytes] = ()
        self._hello, session = accepted.hello.answer(cover.record_size(MIN_HELLO))
        self._establish(session)

    def resume(self, opening: TurnOpening) -> None:
        """Go on with the request that the opening has read."""
        self.forget()
        self._cover.resume(opening)

    def forget(self) -> None:
        """Wait for no request any more."""
        for ticket in self._waits_for:
            self._tickets.pop(ticket, None)
        self._waits_for = ()

    def _open(self, records: list[bytes]) -> list[bytes]:
        plain = super()._open(records)
        if self._hello:
            self._turns.hurry()
        return plain

    def _message(self) -> list[bytes]:
        buffers = super()._message()
        if not self.finished:
            self._waits_for = self._cover.next_tickets()
            self._tickets.update(dict.fromkeys(self._waits_for, self))
        return buffers

    def _seal(self, content: Sequence[tuple[RecordType, bytes | memoryview]]) -> list[bytes]:
        hello, self._hello = self._hello, b""
        return [hello, *super()._seal(content)] if hello else super()._seal(content)


class SessionTurnOpening(SessionOpening):
    """As `SessionOpening`; a request can also be the next one of a session that is there."""

    def __init__(
        self,
        choice: CoverChoice,
        keys: BridgeKeys,
        seen: ReplayCheck,
        now: Callable[[], int],
        tickets: Tickets,
        random: Random,
        random_bytes: RandomBytes = urandom,
    ) -> None:
        super().__init__(choice, keys, seen, now, random, random_bytes)
        self._tickets = tickets
        self._random = random

    def feed(self, data: bytes) -> Channel | None:
        """A new session's channel, or that of the session whose request it is."""
        hellos = self._opening.feed(data)
        opening = cast(TurnOpening, self._opening)
        for ticket in opening.tickets():
            if ticket in self._tickets:
                channel = self._tickets[ticket]
                channel.resume(opening)
                return channel
        accepted = self._verify(hellos)
        if accepted is None:
            return None
        return TurnServer(accepted, self._tickets, self._now, self._random)
