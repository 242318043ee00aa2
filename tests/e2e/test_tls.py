"""What keeps TLS to the bridge from being set up is one line that says it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import pytest

from tests.e2e.halves import (
    LISTEN,
    Half,
    Target,
    assert_ends,
    connect,
    half,
    receive,
)

pytestmark = pytest.mark.e2e


def answer_without_tls(connection: socket, _certificate: Path) -> None:
    receive(connection, 5)
    connection.sendall(b"HTTP/1.1 400 Bad Request\r\n\r\n")


def hang_up(connection: socket, _certificate: Path) -> None:
    receive(connection, 5)


def show_certificate(connection: socket, certificate: Path) -> None:
    with pytest.raises((ssl.SSLError, OSError)):
        server_context(certificate).wrap_socket(connection, server_side=True).recv(1)


def server_context(certificate: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "cert.pem", certificate / "key.pem")
    return context


@contextmanager
def client(place: str, *options: str) -> Iterator[Half]:
    arguments = ["client", "--classic", "--listen", LISTEN, "--connect", place, *options]
    with half(*arguments) as process:
        yield process


@pytest.mark.parametrize(
    ("server", "name", "trusted", "reason"),
    [
        pytest.param(answer_without_tls, "localhost", True, "wrong version", id="no TLS"),
        pytest.param(hang_up, "localhost", True, "hung up", id="hangs up"),
        pytest.param(show_certificate, "localhost", False, "verify failed", id="not trusted"),
        pytest.param(show_certificate, "127.0.0.1", True, "for another name", id="another name"),
    ],
)
def test_tls_that_cannot_be_set_up_is_one_line(
    server: Callable[[socket, Path], None],
    name: str,
    trusted: bool,
    reason: str,
    certificate: Path,
) -> None:
    with Target() as bridge:
        place = f"tls:{name}:{bridge.port}" + (
            f":trustRoots={certificate}/trust" if trusted else ""
        )
        with client(place) as process, connect(process.port) as application:
            with bridge.accept() as connection:
                server(connection, certificate)
            assert_ends(application)
            process.wait_for_output("no connection to the bridge: TLS failed .*\n")
            assert reason in process.stderr
            assert len(process.stderr.splitlines()) == 3


@pytest.mark.parametrize("kind", ["tls", "ssl"])
def test_tls_that_is_set_up(kind: str, certificate: Path) -> None:
    trust = f":trustRoots={certificate}/trust" if kind == "tls" else ""
    with (
        Target() as bridge,
        client(f"{kind}:localhost:{bridge.port}{trust}") as process,
        connect(process.port),
        bridge.accept() as connection,
        server_context(certificate).wrap_socket(connection, server_side=True) as wire,
    ):
        assert wire.recv(5) == b"GET /"


def test_tls_that_is_never_answered_has_a_limit() -> None:
    with (
        Target() as bridge,
        client(f"tls:localhost:{bridge.port}", "--connect-timeout", "1") as process,
        connect(process.port) as application,
        bridge.accept(),
    ):
        assert_ends(application)
        process.wait_for_output("no connection to the bridge: timed out\n")
