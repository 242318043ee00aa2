"""The server side of a managed proxy, without sockets."""

from __future__ import annotations

import io
from pathlib import Path
from random import Random

import pytest
from twisted.internet.defer import Deferred
from twisted.internet.error import ConnectionRefusedError
from twisted.logger import LogLevel, capturedLogs

from obfsfte._version import __version__
from obfsfte.bridge import unix_time
from obfsfte.bridge_line import BridgeLine
from obfsfte.channel import Channel
from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.managed.server import ManagedServer
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.pyptlib.server_config import ServerConfig
from obfsfte.session.keys import BridgeKeys
from obfsfte.state import StateDirectory
from obfsfte.transport.side import Side
from obfsfte.wires import client_wire

from ..transport.fakes import FakeTransport, lose
from .reactor import FIRST_PORT, Reactor

CATALOGUE = Catalogue()
ORPORT = ("127.0.0.1", 9001)
KEYS = BridgeKeys.generate(Random(1).randbytes)
HEX_KEY = "0123456789abcdef" * 4


class Server:
    """A launched server and what it told tor."""

    def __init__(
        self,
        state: Path,
        bind: tuple[str, int] | None = ("0.0.0.0", 0),
        reactor: Reactor | None = None,
        orport: tuple[str, int] | None = ORPORT,
        extended: tuple[str, int] | None = None,
        cookie: Path | None = None,
        transports: tuple[str, ...] = ("fte",),
        cover: str = "hex",  # soon loaded
        **options: str,
    ) -> None:
        config = ServerConfig(
            str(state),
            ["1"],
            list(transports),
            {} if bind is None else {"fte": bind},
            orport,
            extended,
            None if cookie is None else str(cookie),
            {"fte": {"cover": cover, **options}, "obfs4": {"iat-mode": "1"}},
        )
        self._stdout = io.BytesIO()
        plugin = ServerTransportPlugin(config, self._stdout)
        plugin.init(["fte"])
        self.reactor = reactor or Reactor()
        self.proxy = ManagedServer(self.reactor, plugin)
        Deferred.fromCoroutine(self.proxy.launch())
        self.reactor.advance(0)  # the covers are loaded after tor was answered

    @property
    def told(self) -> list[str]:
        return self._stdout.getvalue().decode().splitlines()

    @property
    def arguments(self) -> dict[str, str]:
        """The ARGS of the method that was launched."""
        text = self.told[1].partition(" ARGS:")[2]
        return dict(item.split("=", 1) for item in text.split(","))

    def error(self) -> str:
        """Why the method was not launched."""
        assert self.reactor.listening == []
        assert self.told[2:] == ["SMETHODS DONE"]
        assert self.told[1].startswith("SMETHOD-ERROR fte ")
        return self.told[1].removeprefix("SMETHOD-ERROR fte ")

    def visit(self, channel: Channel) -> tuple[Side, FakeTransport]:
        """A client connects and says all that it has to say."""
        side, transport = self.reactor.accept()
        side.dataReceived(b"".join(channel.data_to_send()))
        return side, transport


def new_client(arguments: dict[str, str]) -> Channel:
    channel = client_wire(arguments, CATALOGUE, unix_time)()
    if channel.ready:
        channel.send(b"hello")
    return channel


@pytest.mark.parametrize(
    ("bind", "place", "reported"),
    [
        (("0.0.0.0", 443), ("0.0.0.0", 443), "0.0.0.0:443"),
        (("192.0.2.1", 0), ("192.0.2.1", FIRST_PORT), f"192.0.2.1:{FIRST_PORT}"),
        (("::", 443), ("::", 443), "[::]:443"),
        (("2001:db8::1", 0), ("2001:db8::1", FIRST_PORT), f"[2001:db8::1]:{FIRST_PORT}"),
        (None, ("0.0.0.0", FIRST_PORT), f"0.0.0.0:{FIRST_PORT}"),
    ],
)
def test_listens_where_tor_says(
    tmp_path: Path, bind: tuple[str, int] | None, place: tuple[str, int], reported: str
) -> None:
    server = Server(tmp_path, bind)
    assert server.reactor.listening == [place]
    assert server.told[1].split(" ARGS:")[0] == f"SMETHOD fte {reported}"
    version = f"STATUS TYPE=version IMPLEMENTATION=obfsfte VERSION={__version__}"
    assert server.told[2:] == [version, "SMETHODS DONE"]


def test_tor_may_want_all_transports(tmp_path: Path) -> None:
    server = Server(tmp_path, None, transports=("*",))
    assert server.reactor.listening == [("0.0.0.0", FIRST_PORT)]


def test_transports_that_we_are_not(tmp_path: Path) -> None:
    server = Server(tmp_path, transports=("obfs4", "fte"))
    assert server.told[1] == "SMETHOD-ERROR obfs4 no such transport"
    assert server.told[2].startswith("SMETHOD fte ")


def test_tor_is_told_what_clients_need(tmp_path: Path) -> None:
    keys = StateDirectory(tmp_path / "fte").replace_keys(Random(1).randbytes)
    server = Server(tmp_path, cover="")
    assert server.arguments == {"cert": keys.cert.encode(), "cover": DEFAULT_COVER}
    line = BridgeLine.parse((tmp_path / "fte" / "bridgeline.txt").read_text())
    assert line.port == FIRST_PORT
    assert line.arguments == server.arguments


def test_keys_are_kept(tmp_path: Path) -> None:
    assert Server(tmp_path).arguments == Server(tmp_path).arguments


@pytest.mark.parametrize(("cover", "told"), [("words", "words"), ("hex,words", "hex"), ("", None)])
def test_covers(tmp_path: Path, cover: str, told: str | None) -> None:
    server = Server(tmp_path, cover=cover)
    assert server.arguments["cover"] == (told or DEFAULT_COVER)
    for name in cover.split(",") if cover else [DEFAULT_COVER]:
        server.visit(new_client({**server.arguments, "cover": name}))
    assert server.reactor.dialled == [ORPORT] * (cover.count(",") + 1)


def test_covers_are_loaded_once_tor_was_answered(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    order: list[str] = []
    get, report = Catalogue.get, ServerTransportPlugin.reportMethodsEnd
    monkeypatch.setattr(Catalogue, "get", lambda self, name: order.append(name) or get(self, name))
    monkeypatch.setattr(
        ServerTransportPlugin, "reportMethodsEnd", lambda self: order.append("DONE") or report(self)
    )
    Server(tmp_path, cover="hex,words")
    assert order == ["DONE", "hex", "words"]


def test_a_cover_of_ones_own(tmp_path: Path) -> None:
    covers = tmp_path / "fte" / "covers"
    covers.mkdir(parents=True, mode=0o700)
    built_in = Path(__file__).parents[2] / "obfsfte" / "covers" / "words.toml"
    (covers / "mine.toml").write_text(built_in.read_text())
    assert Server(tmp_path, cover="mine").arguments["cover"] == "mine"


@pytest.mark.parametrize(
    ("options", "arguments"),
    [
        ({"classic": "1"}, {}),
        ({"classic": "1", "format": "words"}, {"format": "words"}),
        ({"classic": "1", "release": "20131224"}, {"release": "20131224"}),
        ({"classic": "1", "key": HEX_KEY}, {"key": HEX_KEY}),
    ],
)
def test_classic_clients_too(
    tmp_path: Path, options: dict[str, str], arguments: dict[str, str]
) -> None:
    with capturedLogs() as events:
        server = Server(tmp_path, **options)
    warnings = [event for event in events if event["log_level"] is LogLevel.warn]
    assert len(warnings) == ("key" not in options)
    assert server.arguments.keys() == {"cert", "cover"}
    server.visit(new_client(arguments))
    server.visit(new_client(server.arguments))
    assert server.reactor.dialled == [ORPORT] * 2


@pytest.mark.parametrize("value", [{}, {"classic": "0"}])
def test_classic_clients_are_strangers_unless_allowed(
    tmp_path: Path, value: dict[str, str]
) -> None:
    server = Server(tmp_path, **value)
    server.visit(new_client({}))
    assert server.reactor.dialled == []


FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "unknown": ({"covers": "words"}, "unknown option covers=: choose from cover=, fallback=, "),
    "no such cover": ({"cover": "nonsense"}, "no cover is named 'nonsense'; there are: "),
    "one of two covers": ({"cover": "words,nonsense"}, "no cover is named 'nonsense'"),
    "not yes or no": ({"classic": "yes"}, "option classic= is 1 or 0"),
    "no such format": ({"classic": "1", "format": "nonsense"}, "unknown format"),
    "no such release": ({"classic": "1", "release": "1970"}, "unknown format release '1970'"),
    "short key": ({"classic": "1", "key": HEX_KEY[1:]}, "64 hexadecimal characters"),
    "key of other characters": ({"classic": "1", "key": "s" * 64}, "the characters 0-9"),
    "classic's alone": ({"key": HEX_KEY}, "option key= needs classic=1"),
    "fallback without port": ({"fallback": "tcp:127.0.0.1"}, "cannot connect to 'tcp:127.0.0.1'"),
    "no endpoint": ({"fallback": "nonsense"}, "cannot connect to 'nonsense'"),
    "not text": ({"fallback": "\udcff"}, "cannot connect to "),
    "no url": ({"url": "shop.example"}, "url= must read wss://"),
    "no certificate": ({"url": "wss://a.example", "pin": "/dev/null"}, "has no certificate in PEM"),
    "no proxy": ({"trusted-proxies": "a.example"}, "'a.example' is neither an address nor a"),
    "all proxies": ({"proxy-protocol": "1"}, "proxy-protocol=1 needs trusted-proxies="),
    "no path": ({"path": "live"}, "path=: the cover hex takes no parameters"),
}


@pytest.mark.parametrize(("options", "reason"), FAULTS.values(), ids=FAULTS)
def test_options_that_cannot_be_used(tmp_path: Path, options: dict[str, str], reason: str) -> None:
    with capturedLogs():
        error = Server(tmp_path, **options).error()
    assert reason in error
    assert HEX_KEY[1:] not in error
    assert "sss" not in error


def test_an_address_in_use(tmp_path: Path) -> None:
    reactor = Reactor()
    reactor.in_use = True
    with capturedLogs():
        error = Server(tmp_path, ("192.0.2.1", 443), reactor).error()
    assert error == "cannot listen on 192.0.2.1 port 443: [Errno 98] Address already in use"


def test_damaged_keys(tmp_path: Path) -> None:
    StateDirectory(tmp_path / "fte").keys_or_new()
    (tmp_path / "fte" / "bridge.keys").write_text("secret s3cret\n")
    with capturedLogs():
        error = Server(tmp_path).error()
    assert "bridge.keys: damaged: " in error
    assert "s3cret" not in error


def test_keys_that_others_can_read(tmp_path: Path) -> None:
    StateDirectory(tmp_path / "fte").keys_or_new()
    (tmp_path / "fte" / "bridge.keys").chmod(0o644)
    with capturedLogs():
        assert "chmod 600" in Server(tmp_path).error()


def test_no_line_for_clients_no_bridge(tmp_path: Path) -> None:
    (tmp_path / "fte" / "bridgeline.txt.new").mkdir(parents=True, mode=0o700)
    (tmp_path / "fte").chmod(0o700)
    with capturedLogs():
        assert "cannot be used: Is a directory" in Server(tmp_path).error()


# Where it delivers


@pytest.mark.parametrize("orport", [ORPORT, ("::1", 9001)])
def test_delivers_to_the_orport(tmp_path: Path, orport: tuple[str, int]) -> None:
    server = Server(tmp_path, orport=orport)
    side, _ = server.visit(new_client(server.arguments))
    _, plain = server.reactor.answer()
    assert server.reactor.dialled == [orport]
    assert plain.value() == b""
    assert not side.is_lost


def test_an_orport_that_is_down_costs_the_connection(tmp_path: Path) -> None:
    server = Server(tmp_path)
    _, wire = server.visit(new_client(server.arguments))
    with capturedLogs() as events:
        server.reactor.refuse(ConnectionRefusedError())
    assert wire.aborted
    (event,) = events
    assert event["log_level"] is LogLevel.warn
    server.visit(new_client(server.arguments))
    assert server.reactor.dialled == [ORPORT] * 2


def test_the_extended_orport_is_preferred_and_told_who_comes(tmp_path: Path) -> None:
    cookie = tmp_path / "cookie"
    cookie.write_bytes(b"! Extended ORPort Auth Cookie !\n" + bytes(32))
    server = Server(tmp_path, extended=("127.0.0.1", 9002), cookie=cookie)
    server.visit(new_client(server.arguments))
    assert server.reactor.dialled == [("127.0.0.1", 9002)]
    protocol, plain = server.reactor.answer()
    protocol.dataReceived(b"\x01\x00")
    assert plain.value()[:1] == b"\x01"
    assert len(plain.value()) == 33


def test_without_its_cookie_nobody_is_delivered_anywhere(tmp_path: Path) -> None:
    server = Server(tmp_path, extended=("127.0.0.1", 9002), cookie=tmp_path / "none")
    with capturedLogs() as events:
        _, wire = server.visit(new_client(server.arguments))
    assert wire.aborted
    assert server.reactor.dialled == []
    (event,) = events
    assert event["log_level"] is LogLevel.warn


def test_strangers_are_for_the_fallback(tmp_path: Path) -> None:
    server = Server(tmp_path, fallback="tcp:192.0.2.80:80")
    side, _ = server.reactor.accept()
    side.dataReceived(b"GET / HTTP/1.1\r\nHost: bridge.example\r\n\r\n" * 9)
    assert [place[1] for place in server.reactor.dialled] == [80]


# The end


def test_it_finishes_with_its_last_connection(tmp_path: Path) -> None:
    server = Server(tmp_path)
    unknown, _ = server.reactor.accept()
    dialling, _ = server.visit(new_client(server.arguments))
    results: list[object] = []
    Deferred.fromCoroutine(server.proxy.finish()).addCallback(results.append)
    assert server.reactor.listening == []
    for side in (unknown, dialling):
        assert results == []
        lose(side)
    assert results == [None]


def test_stopping_cuts_connections_in_any_phase(tmp_path: Path) -> None:
    server = Server(tmp_path)
    visitors = [server.reactor.accept(), server.visit(new_client(server.arguments))]
    stopped: list[object] = []
    with capturedLogs() as events:
        server.proxy.stopService().addCallback(stopped.append)
        for side, transport in visitors:
            assert transport.aborted
            lose(side)
    assert stopped == [None]
    assert [event for event in events if event["log_level"] is LogLevel.warn] == []
