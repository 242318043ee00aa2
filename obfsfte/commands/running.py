"""Running one service in the foreground: signals, and an exit status."""

from __future__ import annotations

import contextlib
import signal
import sys
from typing import Any

from twisted.internet.defer import Deferred
from twisted.python.failure import Failure

from obfsfte.errors import ConfigError
from obfsfte.garbage import exempt_what_is_loaded
from obfsfte.limits import allow_many_connections
from obfsfte.service import ListenError, TunnelService


def run_service(reactor: Any, service: TunnelService, ready: str | None = None) -> int:
    """Run until a signal: the first lets connections end, the second ends them.

    `ready` is printed once the service listens. Returns the exit status.
    """
    allow_many_connections()
    status = 0
    stopping = False

    def listening(_port: object) -> None:
        exempt_what_is_loaded()
        if ready is not None:
            with contextlib.suppress(OSError):  # nobody may be there to read it
                print(ready, flush=True)

    def cannot_serve(failure: Failure) -> None:
        nonlocal status
        failure.trap(ListenError, ConfigError)
        print(f"obfsfte: {failure.value}", file=sys.stderr)
        status = 1
        service.abort()  # an endpoint such as stdio: has a connection all the same
        reactor.stop()

    def stop(_number: int, _frame: object) -> None:
        nonlocal stopping
        if stopping:
            reactor.callFromThread(service.abort)
        else:
            stopping = True
            reactor.callFromThread(reactor.stop)

    def start() -> None:
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, stop)
        Deferred.fromCoroutine(service.listen()).addCallbacks(listening, cannot_serve)

    reactor.callWhenRunning(start)
    reactor.addSystemEventTrigger("before", "shutdown", service.stopService)
    reactor.run()
    return status
