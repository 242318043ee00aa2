"""The endpoint that connects through a proxy."""

from __future__ import annotations

import pytest
from twisted.internet.error import ConnectionRefusedError
from twisted.internet.task import Clock
from twisted.python.failure import Failure

from obfsfte.transport.outbound_proxy import ProxiedEndpoint, ProxyAddress

from .test_preface import Application, OpenEndpoint

ANSWERS = {
    "http": b"HTTP/1.1 200 OK\r\n\r\n",
    "socks4a": b"\x00\x5a" + bytes(6),
    "socks5": b"\x05\x00" + b"\x05\x00\x00\x01" + bytes(6),
}


class Proxied:
    """One connection through a proxy of `scheme`."""

    def __init__(self, scheme: str, host: str = "bridge.example") -> None:
        self.open = OpenEndpoint()
        self.application = Application()
        proxy = ProxyAddress(scheme, "127.0.0.1", 1080)
        endpoint = ProxiedEndpoint(Clock(), self.open, proxy, host, 443)
        self.results: list[object] = []
        endpoint.connect(self.application.factory()).addBoth(self.results.append)


@pytest.mark.parametrize("scheme", ANSWERS)
def test_the_application_gets_the_connection(scheme: str) -> None:
    proxied = Proxied(scheme)
    proxied.open.receive(ANSWERS[scheme] + b"hello")
    assert b"bridge.example" in proxied.open.transport.value()
    assert proxied.results == [proxied.application]
    assert proxied.application.events == ["connected", b"hello"]


def test_a_failure_is_that_of_connecting() -> None:
    proxied = Proxied("socks5")
    proxied.open.receive(b"\x05\x00\x05\x05")
    [failure] = proxied.results
    assert isinstance(failure, Failure)
    assert failure.check(ConnectionRefusedError)
    assert proxied.open.transport.aborted


@pytest.mark.parametrize("scheme", ANSWERS)
def test_a_name_that_cannot_be_sent_fails_the_connection(scheme: str) -> None:
    [failure] = Proxied(scheme, "ä.example").results
    assert isinstance(failure, Failure)
    assert failure.check(ValueError)


def test_only_these_kinds_of_proxy() -> None:
    with pytest.raises(ValueError, match="scheme"):
        ProxyAddress("socks4", "127.0.0.1", 1080)


def test_the_login_is_not_in_the_repr() -> None:
    assert "secret" not in repr(ProxyAddress("http", "127.0.0.1", 3128, (b"user", b"secret")))
