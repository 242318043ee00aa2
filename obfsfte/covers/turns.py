"""Who speaks when, in a cover whose ends take turns: requests and responses.

```
 client  [request]           [request]                  [request]                  [request] ...
 server           [response]           ...hold [response]         [response]
                            ^                            ^ pause             ^
                            it had much: next at once    there was none      data to send: at once
```

Whoever's turn it is sends what waits, up to a limit that is drawn anew for each message; so bulk
clocks itself, one message a round trip each way. What there is not yet, a response can wait for:
a server with nothing to say keeps a short request for a moment, so that an echo rides in the
response. Then it answers with padding. A client with nothing to send asks again at once if the
last response had much data, a moment later if it had little, else after a pause that grows. A
side whose application takes nothing waits a little for it, too, before it tells the peer.

Limits: the largest requests stay under the 1 MiB that common servers take at most unless told
otherwise (nginx's client_max_body_size). A response is a limit on what the other direction
waits for as well, so it is not much larger. With 100 ms of round trip they let some 6 MB/s up and
8 MB/s down.
"""

from __future__ import annotations

from random import Random

from obfsfte.alarm import Alarm
from obfsfte.errors import WireError

#: Bytes of application data in one message at most, drawn from such a range.
REQUEST_LIMITS = (256 << 10, 960 << 10)
RESPONSE_LIMITS = (256 << 10, 1536 << 10)

#: Seconds: how long a server keeps a request for which there is nothing.
_HOLD = (0.02, 0.08)
#: Messages with more bytes of records than that are answered at once: there is more to come.
_MUCH = 1 << 14
#: Seconds: how long a client waits for its application's answer to a little data.
_MOMENT = (0.002, 0.02)
#: Seconds: how long to wait for an application that takes nothing.
_FOR_ROOM = (0.1, 0.3)

#: Seconds: a client's first pause, how much longer the next is, and the longest.
_FIRST_PAUSE = (0.02, 0.1)
_GROWTH = (1.3, 2.0)
LONGEST_PAUSE = (3.0, 6.0)
#: The longest pause while the peer cannot take our data: it tells so only when it is asked.
_LONGEST_WHILE_MUTED = (0.2, 0.5)

#: Seconds that either side waits without a byte of the peer's message. An intermediary may buffer
#: all of it first, and a slow link takes minutes for the longest.
SILENCE = 300.0
#: Bytes a second of the slowest link, which has to carry our own message before the peer answers.
SLOWEST_LINK = 4000
#: Seconds that a server waits for the next request of a client that has closed its connection.
SILENCE_AFTER_END = 20.0


class Turns:
    """One side's part of the rule."""

    def __init__(self, random: Random, limits: tuple[int, int]) -> None:
        self._random = random
        self._limits = limits
        self._has_come = False  # some of the peer's message, since the alarm was set
        self._is_ours = False
        self._for_room: Alarm | None = None
        #: Whether our message has to go, even if it has nothing to carry.
        self.is_due = False
        #: Rings when our message is due, or when the peer's should have come.
        self.alarm: Alarm | None = None
        #: Bytes of application data that our message carries at most.
        self.limit = 0

    def heard(self, size: int, *, useful: bool, muted: bool) -> None:
        """The peer's message is complete: our turn.

        Its records had `size` bytes; `useful`: there was data; `muted`: it takes none now.
        """
        self._is_ours = True
        self._for_room = None
        self.limit = self._random.randint(*self._limits)
        seconds = self._wait(size, useful, muted)
        self.is_due = seconds is None
        self.alarm = None if seconds is None else Alarm(seconds)

    def _wait(self, size: int, useful: bool, muted: bool) -> float | None:
        """For how long to wait for something to say; None: not at all."""
        raise NotImplementedError

    def hurry(self) -> None:
        """Let our message go now, if it is our turn."""
        self.is_due = self._is_ours

    def spoke(self, size: int, *, useful: bool) -> None:
        """Our message is out, and the peer's turn. It had `size` bytes; `useful`: it had data."""
        self._is_ours = self.is_due = self._has_come = False
        self.alarm = Alarm(SILENCE + size / SLOWEST_LINK)

    def hears(self) -> None:
        """Some of the peer's message has come."""
        self._has_come = True

    def waits_for_room(self) -> bool:
        """Whether to say nothing yet, since the application takes nothing."""
        if self._for_room is None:
            self._for_room = self.alarm = Alarm(self._random.uniform(*_FOR_ROOM))
        return self._for_room is self.alarm

    def room(self) -> None:
        """It takes data again."""
        if self._for_room is not None:
            self.hurry()

    def rang(self) -> None:
        """The alarm has rung. Raises WireError if it was the peer's turn, and nothing came."""
        if self._is_ours:
            self.is_due = True
            self.alarm = None
        elif self._has_come:
            self._has_come = False
            self.alarm = Alarm(SILENCE)
        else:
            raise WireError("the peer has been silent for too long")


class ClientTurns(Turns):
    """Requests."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, REQUEST_LIMITS)
        self._pause = 0.0

    def _wait(self, size: int, useful: bool, muted: bool) -> float | None:
        if useful:
            self._pause = 0.0
            return None if size > _MUCH else self._random.uniform(*_MOMENT)
        draw = self._random.uniform
        longest = draw(*(_LONGEST_WHILE_MUTED if muted else LONGEST_PAUSE))
        self._pause = min(self._pause * draw(*_GROWTH) or draw(*_FIRST_PAUSE), longest)
        return self._pause

    def spoke(self, size: int, *, useful: bool) -> None:
        super().spoke(size, useful=useful)
        if useful:
            self._pause = 0.0  # an answer may come soon


class ServerTurns(Turns):
    """Responses."""

    def __init__(self, random: Random) -> None:
        super().__init__(random, RESPONSE_LIMITS)

    def _wait(self, size: int, useful: bool, muted: bool) -> float | None:
        return None if size > _MUCH else self._random.uniform(*_HOLD)

    def client_left(self) -> None:
        """The client itself has closed the connection of the last response."""
        self.alarm = Alarm(SILENCE_AFTER_END)
