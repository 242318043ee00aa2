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

The network's connections may come and go between messages.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from random import Random
from typing import cast

from obfsfte.alarm import Alarm
from obfsfte.backlog import Backlog
from obfsfte.covers.cover import TurnCover
from obfsfte.covers.turns import ClientTurns, Turns
from obfsfte.errors import Truncated
from obfsfte.session.keys import NewKey, new_key
from obfsfte.session.records import OVERHEAD, RecordType
from obfsfte.session_channel import BridgeCover, Greeted, SessionEnd, greet

#: Bytes of application data that wait at most when more is asked for.
QUEUE_LIMIT = 1 << 20
#: Bytes of application data in one record: a slow link delivers it by itself.
_PAYLOAD = 1 << 15


class TurnChannel(SessionEnd):
    """An established session in its cover; an `obfsfte.channel.Channel`."""

    __slots__ = (
        "_backlog",
        "_closed",
        "_cover",
        "_end_sent",
        "_hold_sent",
        "_is_muted",
        "_now",
        "_seen_data",
        "_seen_hold",
        "_seen_size",
        "_turns",
        "blocked",
    )

    takes_turns = True

    def __init__(
        self,
        cover: TurnCover,
        turns: Turns,
        now: Callable[[], int],
        greeted: Greeted | None = None,
    ) -> None:
        super().__init__(greeted)
        #: Whether the application takes nothing at the moment; for the caller to set.
        self.blocked = False
        self._cover = cover
        self._turns = turns
        self._now = now
        self._backlog = Backlog()
        self._closed = False
        self._end_sent = False
        self._hold_sent = False  # the peer sends no data
        self._is_muted = False  # the peer takes no data
        # Of the message that comes: its records' bytes, and what was among them.
        self._seen_size = 0
        self._seen_data = self._seen_hold = False

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
        return self._backlog.size >= QUEUE_LIMIT

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
        self._backlog.add(data)

    def close(self) -> None:
        """End our stream, with a record that says so after what waits."""
        self._closed = True

    def receive(self, data: bytes) -> list[memoryview]:
        """Application bytes of the records that `data` completes.

        Raises a WireError; then nothing of this call counts.
        """
        was_turn = self._cover.my_turn
        records = self._cover.unwrap(data)
        if data:
            self._turns.hears()
        return [] if was_turn else self._open(records)

    def receive_eof(self) -> None:
        """The wire ended. Raises Truncated unless that may happen between two messages."""
        if not self._cover.is_idle:
            raise Truncated("the wire ended within a message, or without an answer")

    def _open(self, records: list[bytes]) -> list[memoryview]:
        """Open the records of the message that comes, and see whether it has ended."""
        plain = []
        for record in self._after_hello(records):
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
        if self._backlog.size:
            return not self._is_muted
        return self._closed and not self._end_sent

    def _message(self) -> list[bytes]:
        """Our message, with as much of what waits as may go now."""
        size = 0 if self._is_muted else min(self._backlog.size, self._turns.limit)
        content: list[tuple[RecordType, bytes | memoryview]]
        content = [(RecordType.DATA, piece) for piece in self._backlog.take(size, _PAYLOAD)]
        if self._closed and not self._end_sent and not self._backlog.size:
            self._end_sent = True
            content.append((RecordType.END, b""))
        self._hold_sent = self.blocked
        if self.blocked:
            content.append((RecordType.HOLD, b""))
        if not content and self._cover.needs_record:
            content.append((RecordType.PADDING, b""))
        records = self._seal(content)
        self._turns.spoke(sum(map(len, records)), useful=size > 0)
        return self._cover.say(records, self._now())

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

    __slots__ = ()

    def __init__(
        self, bridge: BridgeCover, now: int, random: Random, make_key: NewKey = new_key
    ) -> None:
        greeted, cover = greet(bridge, now, random, make_key)
        super().__init__(cast(TurnCover, cover), ClientTurns(random), lambda: now, greeted)
