"""A side of a connection, as Twisted's own endpoints and transports treat it."""

from __future__ import annotations

import errno
import os
import select
import socket
import struct

import pytest
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.error import ConnectionDone
from twisted.internet.interfaces import IHalfCloseableProtocol, INegotiated
from twisted.internet.tcp import Connection
from twisted.internet.testing import MemoryReactorClock
from twisted.python.failure import Failure
from zope.interface import directlyProvides

from obfsfte.transport.address_endpoint import AddressEndpoint
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.dial import connect_side
from obfsfte.transport.side import Side
from tests.transport.fakes import FakeReactor

from .fakes import FakeTransport


@pytest.mark.parametrize("endpoint_type", [AddressEndpoint, TCP4ClientEndpoint, HostnameEndpoint])
def test_an_endpoint_leaves_a_side_its_half_close(endpoint_type: type) -> None:
    """TCP asks the object that it knows as its protocol, which is the endpoint's wrapper."""
    reactor = FakeReactor()
    context = Context(Deadlines(reactor), Connections())
    side = Side()
    connect_side(endpoint_type(reactor, "127.0.0.1", 80), side, context)
    reactor.advance(0)
    _host, _port, factory, _timeout, _bind = reactor.tcpClients[0]
    transport = FakeTransport()
    transport.protocol = factory.buildProtocol(None)
    transport.protocol.makeConnection(transport)
    assert side.transport is transport
    assert IHalfCloseableProtocol.providedBy(transport.protocol)


def test_a_socket_that_is_no_tcp_is_as_good() -> None:
    """Twisted 22.4 has the methods of TCP on unix: sockets too, and they raise."""

    class UNIXTransport(FakeTransport):
        def setTcpNoDelay(self, enabled: bool) -> None:  # noqa: N802
            raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP))

        def setTcpKeepAlive(self, enabled: bool) -> None:  # noqa: N802
            pass

    side, transport = Side(), UNIXTransport()
    side.makeConnection(transport)
    assert side.transport is transport


def test_tls_that_was_refused_is_not_taken_for_set_up() -> None:
    """Twisted 22.4 refuses a name in the handshake, and says nevertheless that it is completed."""
    transport = FakeTransport()
    directlyProvides(transport, INegotiated)
    side = Side()
    side.makeConnection(transport)
    failures: list[Failure] = []
    securing = side.until_secure()
    assert securing is not None
    securing.addErrback(failures.append)
    transport.abortConnection()
    side.handshakeCompleted()
    assert failures == []
    refused = Failure(ValueError("another name"))
    side.connectionLost(refused)
    assert failures == [refused]


class Ends:
    """A handler that keeps what it is told of a side's end."""

    def __init__(self) -> None:
        self.told: list[str] = []

    def data_received(self, data: bytes) -> None:
        raise AssertionError("nothing was sent")

    def read_ended(self) -> None:
        self.told.append("read_ended")

    def lost(self) -> None:
        self.told.append("lost")


@pytest.mark.parametrize("is_reset", [False, True])
def test_a_reset_that_looks_like_a_clean_end_is_a_reset(is_reset: bool) -> None:
    """Linux may tell of a hang-up before it tells of what kind; Twisted takes that for a FIN."""
    reactor = MemoryReactorClock()
    with socket.create_server(("127.0.0.1", 0)) as listener:
        peer = socket.create_connection(listener.getsockname())
        ours, _ = listener.accept()
    handler = Ends()
    side = Side(handler)
    transport = Connection(ours, side, reactor)
    transport.connected = 1
    side.makeConnection(transport)
    with ours:
        if is_reset:
            peer.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        peer.close()
        assert select.select([ours], [], [], 10)[0]
        transport.readConnectionLost(Failure(ConnectionDone()))  # as a reactor does
        reactor.advance(0)
    assert handler.told == (["lost"] if is_reset else ["read_ended"])
    assert side.was_reset is is_reset
