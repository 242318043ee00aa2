"""Time for what reads no clock: a codec says how long it will wait, and is told when that is over.

```
 codec.alarm = Alarm(0.25)   --- the relay sees it after the call, and starts a timer
 codec.wake()                <-- 0.25 seconds later, unless another alarm, or none, took its place
```

An alarm rings once. It is told from others by identity: as long as a codec shows the same
object its timer runs on, and a new one starts the timer anew. So looking costs nothing where
bytes move fast, and a codec that wants to know "has anything come for a while?" had better keep
its alarm, note what comes, and look at its note when it is woken.

A long alarm may ring up to a second late, together with others: thousands of connections that
ping once a minute cost far less when those whose time it is have their turn at once.
"""

from __future__ import annotations

import attrs


@attrs.frozen(eq=False)
class Alarm:
    """Call `wake` after so many seconds, counted from when it is first seen."""

    seconds: float
