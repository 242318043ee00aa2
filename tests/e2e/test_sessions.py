"""Sessions between real processes: plain, over TLS, in covers of one's own."""

from __future__ import annotations

from pathlib import Path
from signal import SIGKILL

import pytest

from tests.commands.shell import obfsfte, one_complaint
from tests.e2e.halves import (
    COMMAND,
    LISTEN,
    Process,
    Target,
    Tunnel,
    assert_ends,
    exchange,
    half,
    is_reset,
    receive,
    receive_to_end,
    reset,
)
from tests.e2e.sessions import bridge_line, server, tunnel
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e


#: One of each kind whose ends differ.
COVERS = ["base64", "websocket", "http", "http-api"]


@pytest.mark.parametrize("cover", ["base64", "hex", "urls"])
def test_a_stream_arrives_both_ways(tmp_path: Path, cover: str) -> None:
    with tunnel(tmp_path / "state", cover) as (way, _, _), way.open() as (one, other):
        exchange(one, other, 500_000)


@pytest.mark.parametrize("cover", COVERS)
def test_each_end_of_stream_is_carried_by_itself(tmp_path: Path, cover: str) -> None:
    with tunnel(tmp_path / "state", cover) as (way, _, _), way.open() as (one, other):
        one.shutdown(1)
        assert receive_to_end(other) == b""
        other.sendall(b"an answer after the end" * 50_000)
        other.shutdown(1)
        assert receive_to_end(one) == b"an answer after the end" * 50_000


@pytest.mark.parametrize("who", ["application", "target"])
@pytest.mark.parametrize("cover", COVERS[:-1])
def test_a_reset_is_a_reset_at_the_other_end(tmp_path: Path, cover: str, who: str) -> None:
    with tunnel(tmp_path / "state", cover) as (way, _, _), way.open() as (one, other):
        reset(one if who == "application" else other)
        assert is_reset(other if who == "application" else one)


@pytest.mark.parametrize("who", ["client", "server"])
@pytest.mark.parametrize("cover", COVERS[:-1])
def test_a_kill_of_either_half_never_looks_like_an_end(
    tmp_path: Path, cover: str, who: str
) -> None:
    with (
        tunnel(tmp_path / "state", cover) as (way, process, bridge),
        way.open() as (one, other),
    ):
        (process if who == "client" else bridge).signal(SIGKILL)
        assert is_reset(other if who == "client" else one)
        assert_ends(one if who == "client" else other)


def test_keys_stay_the_same_over_restarts(tmp_path: Path) -> None:
    state = tmp_path / "state"
    with Target() as target:
        lines = set()
        for _ in range(2):
            with server(target, state) as bridge:
                lines.add(bridge_line(bridge, state).split(" ", 2)[2])
        assert len(lines) == 1


def assert_reached(line: str, target: Target) -> None:
    with (
        half("client", "--listen", LISTEN, "--bridge", line) as client,
        Tunnel(client.port, target).open(),
    ):
        pass


def test_new_keys_are_good_from_the_restart_on_and_the_old_ones_no_more(tmp_path: Path) -> None:
    state, options = tmp_path / "state", ("--cover", "base64")
    keygen = ("keygen", "--state", state, "--force")
    with Target() as target:
        with server(target, state, *options) as bridge:
            old = bridge_line(bridge, state)
            done = obfsfte(*keygen)
            assert "until it is restarted" in one_complaint(done.stderr)
            assert_reached(old, target)
        listen = f"tcp:{bridge.port}:interface={LOOPBACK}"
        with server(target, state, *options, listen=listen) as bridge:
            bridge.wait_for_output("line for clients")
            new = bridge_line(bridge, state)
            assert done.stdout.decode().strip() in new
            assert_reached(new, target)
            with half("client", "--listen", LISTEN, "--bridge", old) as client:
                with Tunnel(client.port, target).connect() as application:
                    application.sendall(b"hello")
                    bridge.signal(SIGKILL)
                    assert_ends(application)
                assert target.is_untouched()
    assert obfsfte("keygen", "--state", tmp_path / "fresh", "--force").stderr == ""


def test_a_bridge_line_that_cannot_be_written_ends_the_server_in_one_line(tmp_path: Path) -> None:
    (tmp_path / "state" / "bridgeline.txt").mkdir(parents=True)
    (tmp_path / "state").chmod(0o700)
    options = ("--state", tmp_path / "state", "--listen", LISTEN, "--cover", "hex")
    with Process(COMMAND, "server", *options) as process:
        assert process.wait() == 1
        (line,) = [each for each in process.stderr.splitlines() if each.startswith("obfsfte: ")]
        assert "state" in line
        assert "Traceback" not in process.stderr


def test_a_client_of_another_bridge_gets_nothing_but_a_cut(tmp_path: Path) -> None:
    state, other_state = tmp_path / "state", tmp_path / "other"
    with Target() as target, server(target, state) as bridge:
        with server(target, other_state) as other:
            arguments = bridge_line(other, other_state).split(" ", 2)[2]
        line = f"fte {LOOPBACK}:{bridge.port} {arguments}"
        options = ("--listen", LISTEN, "--bridge", line)
        with half("client", *options) as client:
            one = Tunnel(client.port, target).connect()
            with one:
                one.sendall(b"hello")
                bridge.signal(SIGKILL)
                assert_ends(one)
            client.wait_for_output("no connection to the bridge")
            assert target.is_untouched()


OWN_COVER = """
kind = "stream"
description = "lines of stars and dashes"

[upstream]
pattern = '([*-]{30}\\n)+'
lengths = [1550, 1860]
"""


def test_a_cover_of_ones_own(tmp_path: Path) -> None:
    own = tmp_path / "stars.toml"
    own.write_text(OWN_COVER)
    state = tmp_path / "state"
    options = ("--cover-file", own, "--cover", "stars")
    with (
        Target() as target,
        server(target, state, *options) as bridge,
        half(
            "client",
            "--listen",
            LISTEN,
            "--cover-file",
            own,
            "--bridge",
            bridge_line(bridge, state),
        ) as client,
        Tunnel(client.port, target).open() as (one, other),
    ):
        exchange(one, other, 20_000)


@pytest.mark.parametrize("wire", ["session", "classic"])
def test_over_tls_nothing_of_a_stream_is_lost_at_its_end(
    tmp_path: Path, certificate: Path, wire: str
) -> None:
    """TLS has no half-close: what an end must not do is cut what came before it."""
    listen = f"ssl:0:interface={LOOPBACK}:privateKey={certificate}/key.pem"
    listen += f":certKey={certificate}/cert.pem"
    state = tmp_path / "state"
    with Target() as target:
        extra = ["--classic"] if wire == "classic" else []
        with server(target, state, *extra, listen=listen) as bridge:
            connect = f"tls:localhost:{bridge.port}:trustRoots={certificate}/trust"
            options = (
                ["--classic"] if wire == "classic" else ["--bridge", bridge_line(bridge, state)]
            )
            arguments = ["--listen", LISTEN, "--connect", connect, *options]
            with (
                half("client", *arguments) as client,
                Tunnel(client.port, target).open() as (one, other),
            ):
                data = bytes(range(256)) * 4000
                one.sendall(b"please")
                assert receive(other, 6) == b"please"
                other.sendall(data)
                other.close()
                assert receive_to_end(one) == data


def test_a_certificate_that_is_not_trusted_is_refused(tmp_path: Path, certificate: Path) -> None:
    listen = f"ssl:0:interface={LOOPBACK}:privateKey={certificate}/key.pem"
    listen += f":certKey={certificate}/cert.pem"
    state = tmp_path / "state"
    with Target() as target, server(target, state, listen=listen) as bridge:
        line = bridge_line(bridge, state)
        options = ["--connect", f"tls:localhost:{bridge.port}", "--bridge", line]
        with half("client", "--listen", LISTEN, *options) as client:
            with Tunnel(client.port, target).connect() as one:
                one.sendall(b"hello")
                assert_ends(one)
            assert target.is_untouched()
