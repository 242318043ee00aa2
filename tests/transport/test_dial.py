"""Reaching the other half through the endpoints that Twisted really has."""

from __future__ import annotations

import pytest
from twisted.internet.defer import CancelledError, Deferred, fail
from twisted.internet.endpoints import HostnameEndpoint, TCP4ClientEndpoint
from twisted.internet.error import ConnectionLost, ConnectionRefusedError
from twisted.internet.interfaces import IStreamClientEndpoint
from twisted.logger import LogLevel, capturedLogs, formatEvent
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.transport.address_endpoint import AddressEndpoint, tcp_endpoint
from obfsfte.transport.connections import Connections
from obfsfte.transport.context import Context, Timeouts
from obfsfte.transport.deadlines import Deadlines
from obfsfte.transport.dial import connect_side, describe, warn_unreached
from obfsfte.transport.side import Side
from tests.transport.fakes import FakeReactor


class Dialling:
    """An attempt to reach somebody who never answers."""

    def __init__(self, kind: type[IStreamClientEndpoint]) -> None:
        self.reactor = FakeReactor()
        context = Context(Deadlines(self.reactor), Connections(), Timeouts(connect=5.0))
        endpoint = kind(self.reactor, "192.0.2.1", 80)
        self.attempt = connect_side(endpoint, Side(), context)
        self.failures: list[Failure] = []
        self.attempt.addErrback(self.failures.append)
        self.reactor.advance(1)
        assert self.failures == []
        assert len(self.reactor.tcpClients) == 1


@pytest.mark.parametrize("kind", [AddressEndpoint, TCP4ClientEndpoint, HostnameEndpoint])
class TestNobodyAnswers:
    def test_giving_up_is_told_as_a_timeout(self, kind: type[IStreamClientEndpoint]) -> None:
        dialling = Dialling(kind)
        dialling.reactor.advance(4)
        assert [describe(failure) for failure in dialling.failures] == ["timed out"]

    def test_a_cancelled_attempt_is_told_as_that(self, kind: type[IStreamClientEndpoint]) -> None:
        dialling = Dialling(kind)
        dialling.attempt.cancel()
        assert [failure.type for failure in dialling.failures] == [CancelledError]


class SilentResolver:
    """A name resolver that never answers."""

    def resolveHostName(self, *_arguments: object, **_options: object) -> None:  # noqa: N802
        pass


def test_an_attempt_that_is_cancelled_while_the_name_is_looked_up_is_told_as_that() -> None:
    """HostnameEndpoint says then that there is no such name."""
    reactor = FakeReactor()
    reactor.nameResolver = SilentResolver()
    context = Context(Deadlines(reactor), Connections(), Timeouts(connect=5.0))
    endpoint = HostnameEndpoint(reactor, "bridge.example", 80)
    attempt = connect_side(endpoint, Side(), context)
    failures: list[Failure] = []
    attempt.addErrback(failures.append)
    attempt.cancel()
    assert [failure.type for failure in failures] == [CancelledError]


@pytest.mark.parametrize(
    ("host", "is_dialled"),
    [("192.0.2.1", True), ("2001:db8::1", True), ("bridge.example", False)],
)
def test_only_names_are_looked_up(host: str, is_dialled: bool) -> None:
    reactor = FakeReactor()
    reactor.nameResolver = SilentResolver()
    context = Context(Deadlines(reactor), Connections(), Timeouts(connect=5.0))
    attempt = connect_side(tcp_endpoint(reactor, host, 80), Side(), context)
    attempt.addErrback(lambda _failure: None)
    assert [client[0] for client in reactor.tcpClients] == [host] * is_dialled


def attempt_at(endpoint: IStreamClientEndpoint) -> Failure:
    """How it fails."""
    context = Context(Deadlines(FakeReactor()), Connections(), Timeouts(connect=5.0))
    failures: list[Failure] = []
    connect_side(endpoint, Side(), context).addErrback(failures.append)
    (failure,) = failures
    return failure


def test_what_cannot_be_a_name_is_told() -> None:
    failure = attempt_at(HostnameEndpoint(FakeReactor(), "bridge..example", 80))
    assert describe(failure) == "its name cannot be one of a host"


@implementer(IStreamClientEndpoint)
class Broken:
    """An endpoint that a bug is in."""

    def connect(self, _factory: object) -> Deferred[object]:
        return fail(TypeError("192.0.2.1 is unhashable"))


@pytest.mark.parametrize(
    ("error", "level", "text"),
    [
        (ConnectionRefusedError(), LogLevel.warn, "no connection to the target: connection ref"),
        (OSError(24, "192.0.2.1"), LogLevel.warn, "no connection to the target: connecting failed"),
        (ConnectionLost(), LogLevel.warn, "no connection to the target: connecting failed"),
        (TypeError("192.0.2.1"), LogLevel.critical, "no connection to the target"),
        (ValueError("192.0.2.1"), LogLevel.critical, "no connection to the target"),
    ],
)
def test_only_a_bug_leaves_a_traceback(error: Exception, level: object, text: str) -> None:
    with capturedLogs() as events:
        warn_unreached("target", Failure(error))
    (event,) = events
    assert event["log_level"] is level
    assert formatEvent(event).startswith(text)
    assert "192.0.2.1" not in formatEvent(event)
    assert ("log_failure" in event) is (level is LogLevel.critical)


def test_a_bug_of_an_endpoint_is_one() -> None:
    assert attempt_at(Broken()).type is TypeError
