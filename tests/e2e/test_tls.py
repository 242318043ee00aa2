"""What keeps TLS to the bridge from being set up is one line that says it."""

from __future__ import annotations

import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from socket import socket

import pytest

from obfsfte.session.keys import BridgeKeys
from tests.e2e.certificates import Issued
from tests.e2e.halves import (
    LISTEN,
    Half,
    Target,
    assert_ends,
    connect,
    half,
    receive,
)
from tests.e2e.proxies import Proxy
from tests.e2e.pt_process import Managed, ask, client_environment, refusal
from tests.e2e.waiting import LOOPBACK

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


CERT = BridgeKeys.generate(lambda size: bytes(range(size))).cert.encode()


class Authorities:
    """What a server may show for the name localhost, and what clients may know of it."""

    def __init__(self, directory: Path) -> None:
        directory.mkdir()
        self.root = Issued(directory, "An authority", is_authority=True)
        self.other = Issued(directory, "An authority", is_authority=True)
        self.middle = Issued(directory, "Below it", issuer=self.root, is_authority=True)
        self.good = Issued(directory, "localhost", issuer=self.middle)
        self.own = Issued(directory, "localhost")
        self.expired = Issued(directory, "localhost", issuer=self.root, days=(-2, -1))
        self.early = Issued(directory, "localhost", issuer=self.root, days=(1, 2))
        self.elsewhere = Issued(directory, "other.example", issuer=self.root)
        self.clients = Issued(directory, "localhost", issuer=self.root, server=False)
        # Not signed by the key that it names as its issuer's.
        self.forged = Issued(directory, "localhost", issuer=self.other)
        self.forged.chain.write_bytes(
            self.forged.chain.read_bytes().replace(self.other.certificates, self.root.certificates)
        )


@pytest.fixture(scope="module")
def authorities(tmp_path_factory: pytest.TempPathFactory) -> Authorities:
    return Authorities(tmp_path_factory.mktemp("authorities") / "files")


@pytest.fixture(scope="module")
def tor(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Managed, int]]:
    """A client that tor runs, and where tor asks it."""
    with Managed(client_environment(tmp_path_factory.mktemp("client"))) as client:
        yield client, client.port()


def url(bridge: Target, host: str = "localhost") -> dict[str, str]:
    return {"cert": CERT, "url": f"wss://{host}:{bridge.port}/live"}


PLACEHOLDER = ("2001:db8::1", 443)


def take_request(bridge: Target, context: ssl.SSLContext) -> tuple[str, str | None, list[str]]:
    """What a client says over TLS: its request, the protocol chosen, the names asked for."""
    context.set_alpn_protocols(["h2", "http/1.1"])
    names: list[str] = []
    context.sni_callback = lambda _socket, name, _context: names.append(name)
    with (
        bridge.accept() as connection,
        context.wrap_socket(connection, server_side=True) as wire,
    ):
        request = b""
        while b"\r\n\r\n" not in request:
            request += wire.recv(4096)
        return request.decode(), wire.selected_alpn_protocol(), names


@pytest.mark.parametrize(
    ("shown", "pinned"),
    [("good", "good"), ("good", "middle"), ("good", "root"), ("own", "own")],
)
def test_a_server_with_the_pinned_key(
    authorities: Authorities, tor: tuple[Managed, int], shown: str, pinned: str
) -> None:
    with Target() as bridge:
        arguments = {**url(bridge), "pin": getattr(authorities, pinned).pin}
        with ask(tor[1], *PLACEHOLDER, arguments):
            request, protocol, names = take_request(bridge, getattr(authorities, shown).context())
        assert request.startswith("GET /live")
        assert f"\r\nHost: localhost:{bridge.port}\r\n" in request
        assert "http://" not in request
        assert protocol == "http/1.1"
        assert names == ["localhost"]


def test_the_name_in_tls_can_be_another(authorities: Authorities, tor: tuple[Managed, int]) -> None:
    with Target() as bridge:
        said = {"pin": authorities.root.pin, "sni": "other.example", "host": "shop.example"}
        with ask(tor[1], *PLACEHOLDER, {**url(bridge, LOOPBACK), **said}):
            request, _, names = take_request(bridge, authorities.elsewhere.context())
        assert "\r\nHost: shop.example\r\n" in request
        assert names == ["other.example"]


@pytest.mark.parametrize("kind", ["socks5", "socks4a", "http"])
def test_through_an_outgoing_proxy_which_looks_the_name_up(tmp_path: Path, kind: str) -> None:
    (tmp_path / "files").mkdir()
    shown = Issued(tmp_path / "files", "shop.invalid")
    with (
        Target() as bridge,
        Proxy(kind, {"shop.invalid": LOOPBACK}) as proxy,
        Managed(client_environment(tmp_path, TOR_PT_PROXY=proxy.uri())) as client,
    ):
        arguments = {**url(bridge, "shop.invalid"), "pin": shown.pin}
        with ask(client.port(), *PLACEHOLDER, arguments):
            request, _, names = take_request(bridge, shown.context())
        assert request.startswith("GET /live")
        assert names == ["shop.invalid"]
        assert proxy.requests == [("shop.invalid", bridge.port, None)]


NO_AUTHORITY = "no authority that is trusted here has signed the certificate"
NO_PIN = "neither its key nor an authority's is the pinned one"


@pytest.mark.parametrize(
    ("shown", "pinned", "reason"),
    [
        ("good", None, NO_AUTHORITY),
        ("own", None, NO_AUTHORITY),
        ("good", "other", NO_PIN),
        ("own", "good", NO_PIN),
        ("forged", "root", "a signature in its chain of certificates is wrong"),
        ("expired", "expired", "the certificate has expired; check this machine's clock"),
        ("early", "root", "the certificate is not valid yet; check this machine's clock"),
        ("elsewhere", "elsewhere", "the certificate is for another name"),
        ("clients", "root", "the certificate is not one for servers"),
    ],
)
def test_another_server_is_refused_and_tor_is_told_why(
    authorities: Authorities,
    tor: tuple[Managed, int],
    shown: str,
    pinned: str | None,
    reason: str,
) -> None:
    """A general failure: the place was reached, and is not what it should be."""
    client, port = tor
    with Target() as bridge:
        arguments = url(bridge)
        if pinned is not None:
            arguments["pin"] = getattr(authorities, pinned).pin
        with ask(port, *PLACEHOLDER, arguments) as application:
            refuse(bridge, getattr(authorities, shown))
            assert receive(application, 10)[1] == 1
        client.wait_for_line(f".*no connection to the bridge: TLS failed \\({reason}\\).*")


def refuse(bridge: Target, shown: Issued) -> None:
    """Show the certificate, and see the client leave before it has said anything."""
    context = shown.context()
    with (
        bridge.accept() as connection,
        pytest.raises((ssl.SSLError, OSError)),
        context.wrap_socket(connection, server_side=True) as wire,
    ):
        assert wire.recv(1) == b""
        raise OSError("it left without a word")


def test_a_url_that_cannot_be_reached(tor: tuple[Managed, int]) -> None:
    with Target() as bridge:
        bridge.close()
        assert refusal(tor[1], *PLACEHOLDER, url(bridge)) == 5
        assert refusal(tor[1], *PLACEHOLDER, url(bridge, "nowhere.invalid")) == 4


@pytest.mark.parametrize(
    ("believed", "reason"),
    [("root", None), ("own", NO_AUTHORITY), ("other", "a signature in its chain")],
)
def test_authorities_of_a_file(authorities: Authorities, believed: str, reason: str | None) -> None:
    with Target() as bridge:
        arguments = " ".join(f"{key}={value}" for key, value in url(bridge).items())
        options = ["--ca-file", getattr(authorities, believed).chain]
        line = f"fte [2001:db8::1]:443 {arguments}"
        with (
            half("client", "--listen", LISTEN, "--bridge", line, *options) as process,
            connect(process.port),
        ):
            if reason is None:
                request, _, _ = take_request(bridge, authorities.good.context())
                assert request.startswith("GET /live")
            else:
                refuse(bridge, authorities.good)
                process.wait_for_output(f"no connection to the bridge: TLS failed .{reason}")
                assert len(process.stderr.splitlines()) == 2
