"""A SOCKS server in a process of its own, for real clients.

Prints its port, then for each request a line of JSON; then for the first bytes of each
connection that it granted. To those it answers as an HTTP server, and closes. A request
for `NAME.fail.example` fails with errno NAME.
"""

from __future__ import annotations

import errno
import json
from typing import Any

from twisted.internet import reactor as installed_reactor
from twisted.internet.error import getConnectError
from twisted.internet.protocol import Factory
from twisted.python.failure import Failure

from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.side import Side
from obfsfte.transport.socks import SocksRequest
from obfsfte.transport.socks_listener import SocksPhase, SocksServerProtocol

reactor: Any = installed_reactor


def report(**what: object) -> None:
    print(json.dumps(what), flush=True)


class Website:
    """What is behind every bridge."""

    def __init__(self, side: Side) -> None:
        self._side = side

    def data_received(self, data: bytes) -> None:
        report(first=data.hex())
        self._side.write_all([b"HTTP/1.0 200 OK\r\n\r\nreached"])
        self._side.close()

    def read_ended(self) -> None:
        self._side.close()

    def lost(self) -> None:
        pass


def on_request(request: SocksRequest, phase: SocksPhase) -> None:
    report(host=request.host, port=request.port, arguments=dict(request.arguments))
    name, _, domain = request.host.partition(".")
    if domain == "fail.example":
        phase.fail(Failure(getConnectError((getattr(errno, name), "as asked"))))
        return
    phase.side.handler = Website(phase.side)
    early = phase.succeed()
    if early:
        phase.side.handler.data_received(early)
    phase.side.release()


def main() -> None:
    factory = Factory()
    factory.noisy = False
    deadlines = Deadlines(reactor)
    factory.buildProtocol = (  # type: ignore[method-assign]
        lambda addr: SocksServerProtocol(on_request, deadlines)
    )
    port = reactor.listenTCP(0, factory, interface="127.0.0.1")
    report(listening=port.getHost().port)
    reactor.run()


if __name__ == "__main__":
    main()
