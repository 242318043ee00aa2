"""How long a managed proxy lives, by a reactor, signals and a standard input that tests play."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.main import CONNECTION_DONE

from obfsfte.managed import life
from obfsfte.managed.client import ManagedClient
from obfsfte.managed.server import ManagedServer
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.client_config import ClientConfig
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.pyptlib.server_config import ServerConfig

from .reactor import Reactor


class PlayedReactor(Reactor):
    """Starts when told, and counts how often it is stopped."""

    def __init__(self) -> None:
        super().__init__()
        self._to_start: list[Callable[[], object]] = []
        self.stopped = 0

    def callWhenRunning(self, callable: Any, *args: Any, **kw: Any) -> None:  # noqa: N802
        self._to_start.append(callable)

    def callFromThread(self, callable: Any, *args: Any, **kw: Any) -> None:  # noqa: N802
        callable(*args, **kw)

    def start(self) -> None:
        for each in self._to_start:
            each()

    def stop(self) -> None:
        self.stopped += 1


class PlayedProxy:
    """A proxy whose launch and last connection a test decides upon."""

    def __init__(self) -> None:
        self.launched: Deferred[None] = Deferred()
        self.finished: list[Deferred[None]] = []

    async def launch(self) -> None:
        await self.launched

    async def finish(self) -> None:
        self.finished.append(Deferred())
        await self.finished[-1]


class Played:
    def __init__(self, monkeypatch: pytest.MonkeyPatch, ends_with_stdin: bool = True) -> None:
        self.reactor = PlayedReactor()
        self.proxy = PlayedProxy()
        self._handlers: dict[int, Callable[[int, object], object]] = {}
        monkeypatch.setattr(life, "_managed_proxy", lambda *_: self.proxy)
        monkeypatch.setattr(signal, "signal", self._handlers.__setitem__)
        config = ClientConfig("/nowhere")
        config.exitOnStdinClose = ends_with_stdin
        life.live(self.reactor, ClientTransportPlugin(config))
        assert self._handlers == {}
        self.reactor.start()

    def signal(self, number: int) -> None:
        self._handlers[number](number, None)


def test_each_side_is_its_own_proxy(tmp_path: Path) -> None:
    client = ClientTransportPlugin(ClientConfig(str(tmp_path)))
    server = ServerTransportPlugin(ServerConfig(str(tmp_path), ORPort=("127.0.0.1", 9)))
    assert isinstance(life.live(PlayedReactor(), client), ManagedClient)
    assert isinstance(life.live(PlayedReactor(), server), ManagedServer)


def test_sigterm_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    played.signal(signal.SIGTERM)
    assert played.reactor.stopped == 1


def test_sigint_ends_it_with_the_last_connection(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    played.signal(signal.SIGINT)
    (finished,) = played.proxy.finished
    assert played.reactor.stopped == 0
    finished.callback(None)
    assert played.reactor.stopped == 1


def test_a_failure_to_finish_is_no_reason_to_stay(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    played.signal(signal.SIGINT)
    played.proxy.finished[0].errback(RuntimeError())
    assert played.reactor.stopped == 1


def test_sigint_twice_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    played.signal(signal.SIGINT)
    played.signal(signal.SIGINT)
    assert played.reactor.stopped == 1
    assert len(played.proxy.finished) == 1


def test_it_ends_once(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGINT, signal.SIGTERM):
        played.signal(number)
    played.proxy.finished[0].callback(None)
    for reader in played.reactor.readers:
        reader.connectionLost(None)
    assert played.reactor.stopped == 1


def test_a_tor_that_is_gone_ends_it(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    played.proxy.launched.errback(BrokenPipeError())
    assert played.reactor.stopped == 1


def test_standard_input_is_read_if_its_end_counts(monkeypatch: pytest.MonkeyPatch) -> None:
    assert len(Played(monkeypatch).reactor.readers) == 1
    assert len(Played(monkeypatch, ends_with_stdin=False).reactor.readers) == 0


def test_what_comes_on_standard_input_is_dropped(monkeypatch: pytest.MonkeyPatch) -> None:
    played = Played(monkeypatch)
    (reader,) = played.reactor.readers
    assert reader.fileno() == 0
    source, sink = os.pipe()
    try:
        monkeypatch.setattr(type(reader), "fileno", lambda _: source)
        os.write(sink, b"x" * 10)
        assert reader.doRead() is None
        os.close(sink)
        assert reader.doRead() is CONNECTION_DONE
    finally:
        os.close(source)
    assert played.reactor.stopped == 0
    reader.connectionLost(None)  # as the reactor answers to CONNECTION_DONE
    assert played.reactor.stopped == 1
