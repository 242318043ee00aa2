"""What the connections of one service share."""

from __future__ import annotations

import attrs

from obfsfte.transport.connections import Connections
from obfsfte.transport.deadlines import Deadlines


@attrs.frozen
class Timeouts:
    """How long to wait for others, in seconds."""

    connect: float = 30.0
    handshake: float = 30.0
    idle: float = 3600.0


@attrs.frozen
class Context:
    """What the connections of one service share."""

    deadlines: Deadlines
    connections: Connections
    timeouts: Timeouts = Timeouts()
