"""How many connections the system lets one process have."""

from __future__ import annotations

import contextlib
import resource


def allow_many_connections() -> None:
    """Raise the limit of open files to the most that this process may set itself.

    A connection takes two, one on each side, and a third where a fallback site is asked. The
    usual soft limit of 1024 is there for programs that use select(2), which cannot count
    further; Twisted uses epoll. The hard limit stays what the administrator made it
    (LimitNOFILE= of systemd, limits.conf).
    """
    _, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    # "Unlimited" is more than the kernel grants (fs.nr_open): then it stays as it was.
    with contextlib.suppress(OSError, ValueError):
        resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))
