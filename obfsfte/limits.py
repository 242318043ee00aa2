"""How many connections the system lets one process have, and a word when it has them all."""

from __future__ import annotations

import contextlib
import resource

from twisted.logger import ILogObserver, LogEvent, Logger, globalLogPublisher
from zope.interface import implementer

from obfsfte.seldom import Seldom

log = Logger()


def allow_many_connections() -> None:
    """Raise the limit of open files to the most that this process may set itself.

    A connection takes two, one on each side, and a third where a fallback site is asked. The
    usual soft limit of 1024 is there for programs that use select(2), which cannot count
    further; Twisted uses epoll. The hard limit stays what the administrator made it
    (LimitNOFILE= of systemd, limits.conf). From now on the log says when that is too few.
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # "Unlimited" is more than the kernel grants (fs.nr_open): then it stays as it was.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
    globalLogPublisher.addObserver(Exhaustion())


@implementer(ILogObserver)
class Exhaustion:
    """Says seldom what Twisted says of each connection that it has to turn away.

    Twisted's own lines are for nobody else: they have clients' addresses.
    """

    def __init__(self) -> None:
        self._complaint = Seldom()

    def __call__(self, event: LogEvent) -> None:
        if not str(event.get("log_namespace")).startswith("twisted.internet.tcp"):
            return
        is_full = "EMFILE encountered" in str(event.get("log_format"))
        if is_full and self._complaint.is_due(event["log_time"]):
            log.warn(
                "connections are turned away: all {limit} files that this process may have open "
                "are in use; raise the hard limit (ulimit -Hn, or LimitNOFILE= of its unit)",
                limit=resource.getrlimit(resource.RLIMIT_NOFILE)[0],
            )
