"""SOCKS, proxies and the Extended ORPort against the programs that others wrote."""

from __future__ import annotations

import os
import re
import socket
import ssl
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.tornet import Tor, free_port

from .processes import (
    LOOPBACK,
    Lines,
    connect,
    greeting_echo_server,
    require,
    running,
    socks_server,
    wait_for_listener,
)
from .test_socks import LOGIN, NO_LOGIN, REFUSALS

pytestmark = pytest.mark.e2e

#: A network of nobody: tor looks for its authorities on loopback, where there are none.
NOWHERE = f"""\
TestingTorNetwork 1
DirAuthority nobody orport=1 v3ident={"0" * 40} {LOOPBACK}:1 {"1" * 40}
OutboundBindAddress {LOOPBACK}
Address {LOOPBACK}
AssumeReachable 1
SocksPort 0
Log notice stdout
"""


@pytest.fixture
def server() -> Iterator[tuple[int, Lines]]:
    with socks_server() as port_and_lines:
        yield port_and_lines


def curl(*options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [require("curl"), "--silent", "--show-error", "--max-time", "20", *options],
        capture_output=True,
        text=True,
    )


@pytest.mark.parametrize("target", ["192.0.2.1:81", "bridge.example:81", "[2001:db8::1]:81"])
def test_curl_is_served(server: tuple[int, Lines], target: str) -> None:
    port, lines = server
    proxy = ("--proxy", f"socks5h://{LOOPBACK}:{port}")
    login = ("--proxy-user", r"path=/a\;b:cert=AbC=")
    result = curl(*proxy, *login, f"http://{target}/")
    assert (result.stdout, result.stderr) == ("reached", "")
    host = target.removesuffix(":81").strip("[]")
    # curl splits at the colon, and we put together again what it did not send.
    expected = {"path": "/a;bcert=AbC="}
    assert lines.next() == {"host": host, "port": 81, "arguments": expected}
    assert bytes.fromhex(lines.next()["first"]).startswith(b"GET / HTTP/1.1\r\n")
    assert curl(*proxy, f"http://{target}/").stdout == "reached"
    assert lines.next() == {"host": host, "port": 81, "arguments": {}}


@pytest.mark.parametrize(
    ("name", "code"),
    [("ECONNREFUSED", 5), ("EHOSTUNREACH", 4), ("ENETUNREACH", 3), ("ETIMEDOUT", 6), ("EACCES", 2)],
)
def test_curl_is_told_why_not(server: tuple[int, Lines], name: str, code: int) -> None:
    result = curl("--proxy", f"socks5h://{LOOPBACK}:{server[0]}", f"http://{name}.fail.example/")
    assert f"({code})" in result.stderr


def test_curl_is_told_of_malformed_arguments(server: tuple[int, Lines]) -> None:
    proxy = ("--proxy", f"socks5h://{LOOPBACK}:{server[0]}", "--proxy-user", "hello:world")
    assert "rejected" in curl(*proxy, "http://bridge.example/").stderr


ARGUMENTS = {
    "no arguments": {},
    "escapes": {"path": "/a;b\\c=d", "cert": "AbC="},
    "arguments in both fields": {"cert": "x" * 200, "host": "y" * 200},
    "all that fits": {"k": "x" * 508},
}


@pytest.mark.parametrize("arguments", ARGUMENTS.values(), ids=ARGUMENTS)
def test_tor_is_served(
    server: tuple[int, Lines], tmp_path: Path, arguments: dict[str, str]
) -> None:
    require("tor")
    port, lines = server
    words = " ".join(f"{key}={value}" for key, value in arguments.items())
    bridge = f"Bridge fte {LOOPBACK}:{free_port()} {'2' * 40} {words}"
    plugin = f"ClientTransportPlugin fte socks5 {LOOPBACK}:{port}"
    tor = Tor("client", tmp_path, f"{NOWHERE}UseBridges 1\n{plugin}\n{bridge}\n")
    try:
        request = lines.next()
        assert (request["host"], request["arguments"]) == (LOOPBACK, arguments)
        # Tor took our reply: what it sends next is the first of TLS, a handshake record.
        assert lines.next()["first"].startswith("1603")
    finally:
        tor.end()


@pytest.fixture(scope="module")
def obfs4proxy(tmp_path_factory: pytest.TempPathFactory) -> Iterator[int]:
    """The port of obfs4proxy's SOCKS server."""
    environment = {
        **os.environ,
        "TOR_PT_MANAGED_TRANSPORT_VER": "1",
        "TOR_PT_STATE_LOCATION": str(tmp_path_factory.mktemp("state")),
        "TOR_PT_CLIENT_TRANSPORTS": "obfs4",
    }
    command = require("obfs4proxy")
    with running(command, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if method := re.match(r"CMETHOD obfs4 socks5 127\.0\.0\.1:(\d+)", line):
                break
        assert method is not None
        yield int(method[1])
        process.stdout.close()


def answers_of(port: int, data: bytes) -> bytes:
    """All that a SOCKS server says to `data`, of which it gets the greeting first."""
    head = next((head for head in (NO_LOGIN, LOGIN) if data.startswith(head)), b"")
    answers = b""
    with socket.create_connection((LOOPBACK, port), 20) as connection:
        if head:
            connection.sendall(head)
            answers += connection.recv(2)
        connection.sendall(data[len(head) :])
        while answer := receive(connection):
            answers += answer
    return answers


def receive(connection: socket.socket) -> bytes:
    try:
        return connection.recv(4096)
    except ConnectionResetError:  # it did not read all that it refused
        return b""


#: obfs4proxy passes on any bytes as a name, and as an argument.
OBFS4PROXY_TAKES = {"name with NUL", "name with a blank", "name with a line's end", "not UTF-8"}


@pytest.mark.parametrize("case", sorted(REFUSALS.keys() - OBFS4PROXY_TAKES))
def test_refusals_are_those_of_obfs4proxy(
    server: tuple[int, Lines], obfs4proxy: int, case: str
) -> None:
    data, _ = REFUSALS[case]
    assert answers_of(server[0], data) == answers_of(obfs4proxy, data)


def microsocks(tmp_path: Path, port: int, login: bool) -> list[str]:
    options = ["-u", "user", "-P", "s-cret"] if login else []
    return [require("microsocks"), "-i", LOOPBACK, "-p", str(port), *options]


def tinyproxy(tmp_path: Path, port: int, login: bool) -> list[str]:
    config = tmp_path / "tinyproxy.conf"
    config.write_text(
        f"Listen {LOOPBACK}\nPort {port}\nTimeout 30\nLogLevel Critical\n"
        f'LogFile "{tmp_path / "log"}"\n' + ("BasicAuth user s-cret\n" if login else "")
    )
    return [require("tinyproxy"), "-d", "-c", str(config)]


def danted(tmp_path: Path, port: int, login: bool) -> list[str]:
    config = tmp_path / "danted.conf"
    config.write_text(
        f"internal: {LOOPBACK} port = {port}\nexternal: {LOOPBACK}\n"
        f"logoutput: {tmp_path / 'log'}\nclientmethod: none\nsocksmethod: none\n"
        "client pass { from: 127.0.0.0/8 to: 0.0.0.0/0 }\n"
        "socks pass { from: 127.0.0.0/8 to: 127.0.0.0/8 }\n"
    )
    return [require("danted"), "-f", str(config), "-p", str(tmp_path / "pid")]


PROXIES = {
    "microsocks": (microsocks, "socks5", False),
    "microsocks with a login": (microsocks, "socks5", True),
    "tinyproxy": (tinyproxy, "http", False),
    "tinyproxy with a login": (tinyproxy, "http", True),
    "dante, SOCKS5": (danted, "socks5", False),
    "dante, SOCKS4": (danted, "socks4a", False),
}


@pytest.fixture(params=PROXIES)
def proxy(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[dict[str, object]]:
    """A real proxy: the settings to connect through it."""
    command, scheme, login = PROXIES[request.param]
    port = free_port()
    with running(*command(tmp_path, port, login)) as process:
        wait_for_listener(port, process)
        credentials = {"credentials": ["user", "s-cret"]} if login else {}
        yield {"scheme": scheme, "proxy_port": port, **credentials}


def test_proxies_connect(proxy: dict[str, object]) -> None:
    with greeting_echo_server() as target:
        result = connect(
            **proxy, host=LOOPBACK, port=target, send=b"and back".hex(), **{"await": 16}
        )
    assert result == {"received": b"welcome and back".hex()}


def test_proxies_say_why_not(proxy: dict[str, object]) -> None:
    result = connect(**proxy, host=LOOPBACK, port=free_port(), send="", **{"await": 1})
    assert result["reply"] == (5 if proxy["scheme"] == "socks5" else 1), result


@pytest.mark.parametrize("kind", ["microsocks with a login", "tinyproxy with a login"])
@pytest.mark.parametrize("credentials", [["user", "wrong"], []])
def test_proxies_that_refuse_us(tmp_path: Path, kind: str, credentials: list[str]) -> None:
    command, scheme, login = PROXIES[kind]
    port = free_port()
    with running(*command(tmp_path, port, login)) as process:
        wait_for_listener(port, process)
        settings = {"scheme": scheme, "proxy_port": port, "credentials": credentials}
        result = connect(**settings, host=LOOPBACK, port=1, send="", **{"await": 1})
    assert result["reply"] == 2, result
    assert "wrong" not in result["failure"]


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Tor]:
    """A bridge whose transport never comes up, so that we can be it."""
    require("tor")
    torrc = (
        f"{NOWHERE}BridgeRelay 1\nPublishServerDescriptor 0\nORPort {LOOPBACK}:auto\n"
        "ExtORPort auto\nServerTransportPlugin fte exec /bin/cat\n"
        "SafeLogging 0\nLog [net]debug stdout\n"
    )
    tor = Tor("bridge", tmp_path_factory.mktemp("bridge"), torrc)
    try:
        yield tor
    finally:
        tor.end()


def client_hello() -> bytes:
    """The first bytes of a TLS client."""
    outgoing = ssl.MemoryBIO()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    client = context.wrap_bio(ssl.MemoryBIO(), outgoing, server_hostname="bridge.example")
    with pytest.raises(ssl.SSLWantReadError):
        client.do_handshake()
    return outgoing.read()


def to_bridge(bridge: Tor, cookie: Path) -> dict[str, object]:
    text = bridge.wait_for(
        lambda: re.search(r"Extended OR listener listening on port (\d+)", bridge.log()),
        "ExtORPort",
    )
    return connect(
        ext_or_port=int(text[1]),
        cookie=str(cookie),
        user_address=["192.0.2.7", 51234],
        send=client_hello().hex(),
        **{"await": 5},
    )


def test_tor_takes_our_login_and_speaks_tls(bridge: Tor) -> None:
    cookie = bridge.data_dir / "extended_orport_auth_cookie"
    result = to_bridge(bridge, cookie)
    assert result["received"].startswith("1603"), result
    bridge.wait_for(
        lambda: re.search(
            r"rewrite our address from '127\.0\.0\.1:\d+' to '192\.0\.2\.7:51234'", bridge.log()
        ),
        "log of the client's address",
    )


def test_another_cookie_is_found_out_before_tor_sees_anything(bridge: Tor, tmp_path: Path) -> None:
    cookie = tmp_path / "cookie"
    cookie.write_bytes(b"! Extended ORPort Auth Cookie !\n" + bytes(32))
    assert "does not know the cookie" in str(to_bridge(bridge, cookie)["failure"])
