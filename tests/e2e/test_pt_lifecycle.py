"""A managed proxy from its first line to its end: what it says, and what ends it."""

from __future__ import annotations

import signal
import socket
import textwrap
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.e2e.halves import Target, assert_ends, is_reset, receive, receive_to_end
from tests.e2e.pt_process import (
    PT,
    TWISTD,
    Bridge,
    Managed,
    carries,
    client_environment,
    managed_bridge,
    refusal,
    server_environment,
    tunnel,
)
from tests.e2e.waiting import LOOPBACK, can_listen, wait_for

pytestmark = pytest.mark.e2e

over_both_commands = pytest.mark.parametrize("command", [PT, TWISTD], ids=["pt", "twistd"])


@pytest.fixture
def target() -> Iterator[Target]:
    with Target() as target:
        yield target


@pytest.fixture
def bridge(tmp_path: Path, target: Target) -> Iterator[Bridge]:
    with managed_bridge(tmp_path / "server", target) as bridge:
        yield bridge


@pytest.fixture
def client(tmp_path: Path) -> Iterator[Managed]:
    with Managed(client_environment(tmp_path / "client")) as client:
        yield client


# What is on standard output

#: Code that runs in the proxy before ours, and what of it must then be found elsewhere.
NOISE = {
    "printed early": ("""print("noise: a print")""", ["noise: a print"]),
    "while listening": (
        """
        import os, subprocess, sys, warnings
        from twisted.internet import tcp

        listen = tcp.Port.startListening

        def noisy(port):
            print("noise: a print")
            sys.__stdout__.write("noise: to the first stdout\\n")
            os.write(1, b"noise: to the descriptor\\n")
            subprocess.run(["echo", "noise: by a child"])
            warnings.warn("noise: a warning")
            listen(port)

        tcp.Port.startListening = noisy
        """,
        [
            *("noise: a print", "noise: to the first stdout", "noise: to the descriptor"),
            *("noise: by a child", "noise: a warning"),
        ],
    ),
    "in the reactor": (
        """
        from twisted.internet import tcp

        listen = tcp.Port.startListening

        def faulty(port):
            listen(port)
            port.reactor.callLater(0, lambda: 1 / 0)

        tcp.Port.startListening = faulty
        """,
        ["ZeroDivisionError"],
    ),
    "at exit": ("""import atexit; atexit.register(print, "noise: at exit")""", []),
}


@over_both_commands
@pytest.mark.parametrize(("code", "heard"), NOISE.values(), ids=NOISE)
def test_stdout_is_for_the_protocol(
    tmp_path: Path, command: tuple[object, ...], code: str, heard: list[str]
) -> None:
    (tmp_path / "sitecustomize.py").write_text(textwrap.dedent(code))
    environment = client_environment(
        tmp_path / "state", PYTHONPATH=str(tmp_path), PYTHONWARNINGS="always"
    )
    with Managed(environment, command=command) as client:  # which looks at every line
        assert [line.split()[0] for line in client.launched()] == ["VERSION", "CMETHOD", "CMETHODS"]
        client.close_stdin()
        assert client.wait() == 0
        elsewhere = client.stderr + "".join(client.logged())
        assert [text for text in heard if text not in elsewhere] == []


@over_both_commands
def test_the_log_goes_to_tor(tmp_path: Path, command: tuple[object, ...]) -> None:
    with Managed(client_environment(tmp_path), command=command) as client:
        port = client.port()
        client.wait_for_line("CMETHODS DONE")
        listening = f'LOG SEVERITY=info MESSAGE="SOCKS listener listening on {LOOPBACK}:{port}"'
        assert client.logged() == [listening]
        assert refusal(port, LOOPBACK, 443, {"cert": "damaged"}) == 1
        client.wait_for_line('LOG SEVERITY=warning MESSAGE="the bridge line cannot be used: .*"')


# Its end


@over_both_commands
def test_ends_with_standard_input(tmp_path: Path, command: tuple[object, ...]) -> None:
    with Managed(client_environment(tmp_path), command=command) as client:
        client.launched()
        client.close_stdin()
        assert client.wait() == 0


def test_a_server_ends_with_standard_input(bridge: Bridge) -> None:
    bridge.server.close_stdin()
    assert bridge.server.wait() == 0


@pytest.mark.parametrize("value", [None, "0", "", "yes"])
def test_does_not_end_with_standard_input_unasked(
    tmp_path: Path, bridge: Bridge, value: str | None
) -> None:
    environment = client_environment(tmp_path / "client", TOR_PT_EXIT_ON_STDIN_CLOSE=value)
    with Managed(environment) as client:
        port = client.port()
        client.close_stdin()
        for _ in range(3):
            application, service = tunnel(port, bridge)
            with application, service:
                assert carries(application, service)
        assert client.status is None
        client.signal(signal.SIGTERM)
        assert client.wait() == 0


def test_what_is_said_on_standard_input_is_no_end(client: Managed) -> None:
    port = client.port()
    client.say(b"x" * 100_000)
    assert refusal(port, LOOPBACK, 443, {"cert": "damaged"}) == 1
    assert client.status is None


@over_both_commands
def test_sigterm_ends_it_at_once(
    tmp_path: Path, bridge: Bridge, command: tuple[object, ...]
) -> None:
    with Managed(client_environment(tmp_path / "client"), command=command) as client:
        application, service = tunnel(client.port(), bridge)
        with application, service:
            client.signal(signal.SIGTERM)
            assert client.wait() == 0
            assert is_reset(application)
            assert is_reset(service)


def test_sigterm_ends_a_server_at_once(client: Managed, bridge: Bridge) -> None:
    application, service = tunnel(client.port(), bridge)
    with application, service:
        bridge.server.signal(signal.SIGTERM)
        assert bridge.server.wait() == 0
        assert is_reset(application)
        assert is_reset(service)


def test_every_way_to_end_at_once(client: Managed, bridge: Bridge) -> None:
    application, service = tunnel(client.port(), bridge)
    with application, service:
        client.signal(signal.SIGINT)
        client.signal(signal.SIGTERM)
        client.close_stdin()
        assert client.wait() == 0
        assert client.logged()[1:] == []
        assert client.stderr == ""


@over_both_commands
@pytest.mark.parametrize("side", ["client", "server"])
def test_first_sigint_lets_connections_finish(
    tmp_path: Path, target: Target, command: tuple[object, ...], side: str
) -> None:
    commands = {"client": PT, "server": PT, side: command}
    with (
        Managed(
            server_environment(tmp_path / "server", target.port), command=commands["server"]
        ) as server,
        Managed(client_environment(tmp_path / "client"), command=commands["client"]) as client,
    ):
        bridge = Bridge(server, target)
        client_port = client.port()
        interrupted, port = (client, client_port) if side == "client" else (server, bridge.port)
        application, service = tunnel(client_port, bridge)
        with application, service:
            interrupted.signal(signal.SIGINT)
            wait_for(lambda: can_listen(port), "end of listening")
            assert carries(application, service)
            application.shutdown(socket.SHUT_WR)
            assert receive_to_end(service) == b""
            assert interrupted.status is None
            service.sendall(b"goodbye")
            service.close()
            assert receive_to_end(application) == b"goodbye"
            assert interrupted.wait() == 0


def test_sigint_lets_a_connection_finish_that_is_not_yet_one(
    client: Managed, bridge: Bridge
) -> None:
    port = client.port()
    with socket.create_connection((LOOPBACK, port)) as application:
        application.sendall(b"\x05\x01\x00")
        assert receive(application, 2) == b"\x05\x00"
        client.signal(signal.SIGINT)
        wait_for(lambda: can_listen(port), "end of listening")
        application.sendall(b"\x05\x01\x00\x03\x00\x00\x00")
        assert receive(application, 10)[:2] == b"\x05\x01"
        assert client.wait() == 0


def test_second_sigint_ends_connections(client: Managed, bridge: Bridge) -> None:
    port = client.port()
    application, service = tunnel(port, bridge)
    with application, service:
        client.signal(signal.SIGINT)
        wait_for(lambda: can_listen(port), "end of listening")
        assert carries(application, service)
        client.signal(signal.SIGINT)
        assert client.wait() == 0
        assert is_reset(application)
        assert is_reset(service)


def test_standard_input_counts_after_sigint_too(client: Managed, bridge: Bridge) -> None:
    port = client.port()
    application, service = tunnel(port, bridge)
    with application, service:
        client.signal(signal.SIGINT)
        wait_for(lambda: can_listen(port), "end of listening")
        client.close_stdin()
        assert client.wait() == 0
        assert is_reset(application)


def test_ends_while_it_dials(tmp_path: Path) -> None:
    """Neither a bridge that says nothing nor a client that waits holds it up."""
    with Target() as silent, Managed(client_environment(tmp_path)) as client:
        port = client.port()
        with (
            socket.create_connection((LOOPBACK, port)) as application,
            socket.create_connection((LOOPBACK, port)),
        ):
            application.sendall(b"\x05\x01\x00\x05\x01\x00\x01\x7f\x00\x00\x01")
            application.sendall(silent.port.to_bytes(2, "big"))
            with silent.accept() as wire:
                assert receive(wire, 1)
                client.close_stdin()
                assert client.wait() == 0
                assert_ends(application)


# Whoever started it is gone


def test_lines_that_nobody_reads_change_nothing(client: Managed, bridge: Bridge) -> None:
    port = client.port()
    client.wait_for_line("CMETHODS DONE")
    client.close_stdout()
    for _ in range(3):  # each is a line to the log
        assert refusal(port, LOOPBACK, 443, {"cert": "damaged"}) == 1
    application, service = tunnel(port, bridge)
    with application, service:
        assert carries(application, service)
    client.close_stdin()
    assert client.wait() == 0
    assert client.stderr == ""


@over_both_commands
def test_ends_when_it_cannot_say_what_it_launched(
    tmp_path: Path, command: tuple[object, ...]
) -> None:
    environment = client_environment(tmp_path, TOR_PT_EXIT_ON_STDIN_CLOSE=None)
    with Managed(environment, command=command) as client:
        client.close_stdout()
        client.wait()
        assert "Traceback" not in client.stderr
