"""Connects in a process of its own, through real proxies or to a real tor.

Takes JSON: how to connect, the hexadecimal bytes to `send`, and how many to `await`. Prints
JSON: what was `received`, or the `failure` and the SOCKS `reply` for it.
"""

from __future__ import annotations

import json
import sys
from typing import Any

from twisted.internet.address import IPv4Address
from twisted.internet.defer import Deferred
from twisted.internet.endpoints import HostnameEndpoint
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.internet.protocol import Factory, Protocol
from twisted.internet.task import react
from twisted.python.failure import Failure

from obfsfte.transport.extorport import ExtORPortEndpoint
from obfsfte.transport.outbound_proxy import ProxiedEndpoint, ProxyAddress
from obfsfte.transport.socks_listener import reply_for


class Exchange(Protocol):
    def __init__(self, send: bytes, count: int) -> None:
        self.finished: Deferred[bytes] = Deferred()
        self._send = send
        self._count = count
        self._received = b""

    def connectionMade(self) -> None:  # noqa: N802
        self.transport.write(self._send)

    def dataReceived(self, data: bytes) -> None:  # noqa: N802
        self._received += data
        if len(self._received) >= self._count:
            self.transport.loseConnection()

    def connectionLost(self, reason: Failure | None = None) -> None:  # noqa: N802
        self.finished.callback(self._received)


def proxied(reactor: Any, settings: dict[str, Any]) -> IStreamClientEndpoint:
    credentials = tuple(text.encode() for text in settings.get("credentials", ()))
    proxy = ProxyAddress(
        settings["scheme"],
        "127.0.0.1",
        settings["proxy_port"],
        (credentials[0], credentials[1]) if credentials else None,
    )
    way = HostnameEndpoint(reactor, proxy.host, proxy.port)
    return ProxiedEndpoint(reactor, way, proxy, settings["host"], settings["port"], 10)


def ext_or_port(reactor: Any, settings: dict[str, Any]) -> IStreamClientEndpoint:
    way = HostnameEndpoint(reactor, "127.0.0.1", settings["ext_or_port"])
    host, port = settings["user_address"]
    user_address = IPv4Address("TCP", host, port)
    return ExtORPortEndpoint(reactor, way, settings["cookie"], "fte", user_address, 10)


async def exchange(reactor: Any, settings: dict[str, Any]) -> dict[str, object]:
    connect = proxied if "scheme" in settings else ext_or_port
    protocol = Exchange(bytes.fromhex(settings["send"]), settings["await"])
    factory = Factory()
    factory.noisy = False
    factory.buildProtocol = lambda addr: protocol  # type: ignore[method-assign]
    try:
        await connect(reactor, settings).connect(factory)
    except Exception as error:
        return {"failure": str(error), "reply": reply_for(Failure())}
    return {"received": (await protocol.finished).hex()}


def main(reactor: Any, text: str) -> Deferred[None]:
    deferred = Deferred.fromCoroutine(exchange(reactor, json.loads(text)))
    return deferred.addCallback(lambda result: print(json.dumps(result)))


if __name__ == "__main__":
    react(main, sys.argv[1:])
