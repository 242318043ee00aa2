"""obfsfte.service and obfsfte.socket, as systemd runs them."""

from __future__ import annotations

import re
import shutil
import socket
import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from machine import OBFSFTE, configure, is_active, journal, main_process, property_of, remedies, run

from tests.e2e.halves import LISTEN, Target, half
from tests.e2e.waiting import LOOPBACK, listens, wait_for

UNITS = ("obfsfte.service", "obfsfte.socket")
STATE = Path("/var/lib/obfsfte")


@pytest.fixture(autouse=True)
def stopped() -> Iterator[None]:
    before = Path("/etc/default/obfsfte").read_text()
    yield
    run("systemctl", "disable", "--now", *UNITS)
    run("systemctl", "reset-failed")
    Path("/etc/default/obfsfte").write_text(before)


def start(unit: str = "obfsfte.service", **settings: str) -> None:
    configure(**settings)
    run("systemctl", "enable", "--now", unit)


def carries(port: int, target: Target) -> None:
    """A client with the published line reaches the target."""
    address = f"{LOOPBACK}:{port}"
    line = run(OBFSFTE, "bridge-line", "--state", str(STATE), "--address", address).strip()
    with (
        half("client", "--listen", LISTEN, "--bridge", line) as client,
        socket.create_connection((LOOPBACK, client.port), timeout=30) as application,
    ):
        application.sendall(b"to the target")
        service = target.accept()
        assert service.recv(100) == b"to the target"
        service.sendall(b"and back")
        assert application.recv(100) == b"and back"
        service.close()


@pytest.fixture
def certificate() -> Iterator[Path]:
    """A directory with key and certificate of localhost, where the service can see it."""
    directory = Path("/opt/test-certificate")
    (directory / "trust").mkdir(parents=True)
    options = "req -x509 -nodes -days 2 -newkey rsa:2048 -subj /CN=localhost"
    files = ["-keyout", str(directory / "key.pem"), "-out", str(directory / "trust" / "site.pem")]
    run("openssl", *options.split(), "-addext", "subjectAltName=DNS:localhost", *files)
    yield directory
    shutil.rmtree(directory)


@contextmanager
def tls_site(certificate: Path) -> Iterator[int]:
    """A site that says one thing to its first visitor; its port."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(certificate / "trust" / "site.pem", certificate / "key.pem")

    def serve() -> None:
        with context.wrap_socket(listener.accept()[0], server_side=True) as visitor:
            visitor.recv(1000)
            visitor.sendall(b"the site")

    with socket.create_server((LOOPBACK, 0)) as listener:
        listener.settimeout(30)
        thread = threading.Thread(target=serve)
        thread.start()
        yield listener.getsockname()[1]
        thread.join()


def test_the_units_are_faultless() -> None:
    assert run("systemd-analyze", "verify", "--man=no", *UNITS) == ""


def test_the_service_is_confined() -> None:
    """systemd's own judgement: 0 is a service that can do nothing, 10 one that can do all."""
    unit = "/lib/systemd/system/obfsfte.service"
    judged = run("systemd-analyze", "security", "--offline=true", unit).splitlines()[-1]
    score = re.search(r"exposure level for obfsfte.service: ([0-9.]+) OK", judged)
    assert score, judged
    assert float(score[1]) < 2.0
    assert f"gives {score[1]} of 10" in Path("/usr/share/doc/obfsfte/debian.md").read_text()


def test_nothing_runs_before_it_is_told_to() -> None:
    assert not any(is_active(unit) for unit in UNITS)
    enabled = [property_of(unit, "UnitFileState") for unit in UNITS]
    assert enabled == ["disabled", "disabled"]


def test_a_client_reaches_the_target() -> None:
    with Target() as target:
        start(LISTEN="tcp:8080", TARGET=f"tcp:{LOOPBACK}:{target.port}")
        wait_for(lambda: listens(8080), "server that listens")
        carries(8080, target)
        assert remedies() == []


def test_it_runs_without_any_privilege() -> None:
    start(LISTEN="tcp:8080")
    wait_for(lambda: listens(8080), "server that listens")
    status = main_process("obfsfte.service")
    assert set(status["Uid"].split()) != {"0"}
    assert int(status["Uid"].split()[0]) >= 61184  # of a dynamic user
    assert status["CapEff"] == status["CapBnd"] == "0" * 16
    assert (status["NoNewPrivs"], status["Seccomp"]) == ("1", "2")
    assert (STATE.resolve().stat().st_mode & 0o777) == 0o700
    assert ((STATE / "bridge.keys").stat().st_mode & 0o777) == 0o600


def test_a_restart_keeps_the_keys() -> None:
    start(LISTEN="tcp:8080")
    wait_for(lambda: listens(8080), "server that listens")
    before = (STATE / "bridge.keys").read_text(), (STATE / "bridgeline.txt").read_text()
    run("systemctl", "restart", "obfsfte.service")
    wait_for(lambda: listens(8080), "server that listens")
    assert before == ((STATE / "bridge.keys").read_text(), (STATE / "bridgeline.txt").read_text())


def test_strangers_meet_the_fallback_over_tls(certificate: Path) -> None:
    """Verifying a certificate calls Python from C, which not every sandbox lets it."""
    with tls_site(certificate) as port:
        trust = f"trustRoots={certificate / 'trust'}"
        start(LISTEN="tcp:8080", OPTIONS=f"--fallback tls:localhost:{port}:{trust}")
        wait_for(lambda: listens(8080), "server that listens")
        with socket.create_connection((LOOPBACK, 8080), timeout=30) as stranger:
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
            assert stranger.recv(100) == b"the site"


def test_strangers_meet_the_fallback_on_a_unix_socket() -> None:
    path = Path("/run/test-site.socket")
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        path.chmod(0o666)
        listener.listen()
        listener.settimeout(30)
        start(LISTEN="tcp:8080", OPTIONS=f"--fallback unix:{path}")
        wait_for(lambda: listens(8080), "server that listens")
        with socket.create_connection((LOOPBACK, 8080), timeout=30) as stranger:
            stranger.sendall(b"GET / HTTP/1.0\r\n\r\n")
            with listener.accept()[0] as visitor:
                visitor.sendall(b"the site")
            assert stranger.recv(100) == b"the site"
    path.unlink()


def test_a_port_below_1024_by_its_socket() -> None:
    with Target() as target:
        start(
            "obfsfte.socket",
            LISTEN="systemd:domain=INET6:index=0",
            TARGET=f"tcp:{LOOPBACK}:{target.port}",
        )
        assert not is_active("obfsfte.service")
        socket.create_connection((LOOPBACK, 443), timeout=30).close()
        wait_for(lambda: "listening on" in journal("obfsfte.service"), "service that listens")
        carries(443, target)
        assert remedies() == []


def test_a_wrong_option_ends_it_with_one_line() -> None:
    start(OPTIONS="--nonsense")
    wait_for(lambda: property_of("obfsfte.service", "ActiveState") == "failed", "failure")
    assert property_of("obfsfte.service", "NRestarts") == "0"
    said = journal("obfsfte.service")
    assert "obfsfte: server: option --nonsense not recognized; obfsfte server --help" in said


def test_a_port_that_is_taken_is_tried_again() -> None:
    with socket.create_server((LOOPBACK, 8080)):
        start(LISTEN="tcp:8080")
        wait_for(lambda: "Address already in use" in journal("obfsfte.service"), "complaint")
        assert any("name another port, or stop" in remedy for remedy in remedies())
    wait_for(lambda: listens(8080), "restart")
