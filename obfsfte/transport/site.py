"""What a server half is there for, as each of its connections is told."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

import attrs
from twisted.internet.interfaces import IAddress, IStreamClientEndpoint

from obfsfte.channel import Opening
from obfsfte.seldom import Seldom
from obfsfte.transport.visitor import NO_PROXIES, TrustedProxies

if TYPE_CHECKING:  # tor waits for no wire
    from obfsfte.covers.http_messages import RequestFollower
    from obfsfte.transport.server_session import Sessions


@attrs.frozen
class Site:
    """What a server half is there for.

    `openings` makes, for one connection, what the enabled wires expect first. `follower` makes
    what follows a stranger's requests, if one of HTTP may be an opening later on. `target`
    gives the way to the target for a client's address (tor's ExtORPort is told it).
    `fallback` is where strangers go; without it, or when it cannot be reached, they are
    swallowed, and cut as long after they came as `patience` draws (seconds). `proxies` are those
    who may say that a client is somebody else. `complaints`: what strangers make us say.
    """

    openings: Callable[[], Sequence[Opening]]
    target: Callable[[IAddress], IStreamClientEndpoint]
    fallback: IStreamClientEndpoint | None
    patience: Callable[[], float]
    proxies: TrustedProxies = NO_PROXIES
    follower: Callable[[], RequestFollower] | None = None
    sessions: Sessions = attrs.field(factory=dict, repr=False)
    complaints: Seldom = attrs.field(factory=Seldom, repr=False)
