"""What a managed proxy writes down: enough to find a fault, nobody's address, no secret."""

from __future__ import annotations

import re
import socket
from contextlib import ExitStack, suppress
from pathlib import Path

import pytest

from tests.e2e.halves import PATIENCE, Target, assert_ends, connect, is_reset, receive_to_end, reset
from tests.e2e.pt_process import (
    Bridge,
    Managed,
    carries,
    client_environment,
    refusal,
    server_environment,
    socks,
    tunnel,
)
from tests.e2e.waiting import LOOPBACK, free_port

pytestmark = pytest.mark.e2e

HEX_KEY = "0123456789abcdef" * 4
SOURCE = "127.0.0.77"


def connections_that_work_and_are_cut(port: int, bridge: Bridge) -> None:
    for end in (socket.socket.close, reset):
        application, service = tunnel(port, bridge)
        with application, service:
            assert carries(application, service)
            end(service)
            application.shutdown(socket.SHUT_WR)
            assert_ends(application)
    application, service = tunnel(port, bridge)
    with application, service:
        reset(application)
        assert is_reset(service)


def visits_of_strangers(bridge: Bridge) -> None:
    """Each is kept waiting, for the fallback is down, which is said once in a while."""
    for opening in (b"", b"GET / HTTP/1.1\r\nHost: bridge.example\r\n\r\n", bytes(5000)):
        place = (LOOPBACK, bridge.port)
        with socket.create_connection(place, PATIENCE, (SOURCE, 0)) as visitor:
            visitor.sendall(opening)
            visitor.shutdown(socket.SHUT_WR)
            if not opening:
                bridge.server.wait_for_line("LOG .*no connection to the fallback.*")


def requests_that_cannot_be_granted(port: int, bridge: Bridge) -> None:
    nowhere, cert = free_port(), bridge.arguments["cert"]
    for arguments in (
        {"cert": cert},
        {"cert": cert, "key": HEX_KEY},
        {"cert": cert[1:]},
        {"key": HEX_KEY},
        {"key": HEX_KEY[1:]},
        {"key": HEX_KEY, "kye": HEX_KEY},
    ):
        assert refusal(port, LOOPBACK, nowhere, arguments) in (1, 5)
    assert refusal(port, "bridge..example", nowhere, bridge.arguments) in (1, 4)
    for request in (b"GET / HTTP/1.1\r\n", b"\x05\x01\x02\x01\x06secret\x06secret"):
        with connect(port) as connection:
            connection.sendall(request)
            with suppress(ConnectionResetError):
                receive_to_end(connection)


def requests_while_tor_is_down(port: int, bridge: Bridge) -> None:
    for arguments in (bridge.arguments, {"key": HEX_KEY}):
        application, reply = socks(port, LOOPBACK, bridge.port, arguments)
        with application:
            assert reply == 0  # the bridge itself is there
            application.sendall(b"hello")
            assert_ends(application)


def written(proxy: Managed, state: Path) -> list[str]:
    """Every line that it left anywhere, but for its part in the protocol."""
    log = (state / "fte" / "obfsfte.log").read_text().splitlines()
    return [*proxy.logged(), *proxy.stderr.splitlines(), *log]


def test_neither_addresses_nor_secrets_are_written(tmp_path: Path) -> None:
    states = {"server": tmp_path / "server", "client": tmp_path / "client"}
    with Target() as target, ExitStack() as stack:
        options = rf"fte:cover=base64;fte:fallback=tcp\:{LOOPBACK}\:{free_port()}"
        options += f";fte:classic=1;fte:key={HEX_KEY}"
        environments = {
            "server": server_environment(
                states["server"], target.port, TOR_PT_SERVER_TRANSPORT_OPTIONS=options
            ),
            "client": client_environment(states["client"]),
        }
        proxies = {
            side: stack.enter_context(Managed(environment, "--log-file"))
            for side, environment in environments.items()
        }
        bridge, port = Bridge(proxies["server"], target), proxies["client"].port()
        connections_that_work_and_are_cut(port, bridge)
        visits_of_strangers(bridge)
        requests_that_cannot_be_granted(port, bridge)
        target.close()
        requests_while_tor_is_down(port, bridge)
        lines = []
        for side, proxy in proxies.items():
            proxy.close_stdin()
            assert proxy.wait() == 0
            lines += written(proxy, states[side])

    for expected in ("to the bridge", "to the target", "to the fallback", "cannot be used"):
        assert any(expected in line for line in lines)
    keys = (states["server"] / "fte" / "bridge.keys").read_text()
    secrets = [HEX_KEY, "secret", *re.findall(r"^[a-z-]+ (\S+)$", keys, re.MULTILINE)]
    assert len(secrets) == 5
    for line in lines:
        about_us = line.replace(str(tmp_path), "")
        about_us = re.sub(rf"listening on {re.escape(LOOPBACK)}:\d+", "", about_us)
        assert not re.search(r"127\.0\.0\.\d|example|localhost|:\d{4,5}\b", about_us), line
        for secret in secrets:
            assert secret[1:17] not in about_us
