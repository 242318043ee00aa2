"""What a command cannot do is one line that says why, and status 1; never a traceback."""

from __future__ import annotations

import os
import re
import secrets
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from twisted.logger import globalLogBeginner

from obfsfte.cli import main
from tests.commands.shell import COMMAND, Finished, obfsfte, one_complaint
from tests.e2e.halves import Target, server_half
from tests.e2e.waiting import LOOPBACK

LISTEN = f"tcp:0:interface={LOOPBACK}"
NOWHERE = "tcp:127.0.0.1:1"


Fault = Callable[..., str]


@pytest.fixture
def fault(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Fault:
    """Run a command that fails before it starts anything: what it complains of."""
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", lambda *_args, **_kwargs: None)

    def fault(*arguments: object) -> str:
        assert main([str(argument) for argument in arguments]) == 1
        said = capsys.readouterr()
        assert said.out == ""
        return one_complaint(said.err)

    return fault


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    path.touch(0o600)
    path.write_text(secrets.token_hex(32))
    return path


@pytest.fixture
def odd_files(tmp_path: Path) -> Path:
    (tmp_path / "empty").touch()
    (tmp_path / "short").write_text("00" * 31)
    (tmp_path / "long").write_text("00" * 33)
    (tmp_path / "letters").write_text("gh" * 32)
    (tmp_path / "binary").write_bytes(bytes(range(256)))
    (tmp_path / "huge").write_bytes(bytes(10_000_000))
    (tmp_path / "directory").mkdir()
    (tmp_path / "socket").symlink_to("socket")
    return tmp_path


KEY_FAULTS = {
    "missing": "No such file or directory",
    "directory": "Is a directory",
    "socket": "Too many levels of symbolic links",
    "empty/inside": "Not a directory",
    "empty": "64 hexadecimal characters, this one has 0",
    "short": "64 hexadecimal characters, this one has 62",
    "long": "64 hexadecimal characters, this one has 66",
    "letters": "only the characters 0-9, a-f and A-F",
    "binary": "64 hexadecimal characters",
    "huge": "64 hexadecimal characters",
}

COMMANDS_WITH_KEYS = {
    "server": ["--classic", "--listen", LISTEN],
    "client": ["--classic", "--listen", LISTEN, "--connect", NOWHERE],
    "fteproxy": ["--mode", "server"],
    "encode": ["--format", "hex-request"],
    "decode": ["--format", "hex-request"],
}


@pytest.mark.parametrize("name", KEY_FAULTS)
def test_a_key_file_that_is_none(name: str, odd_files: Path, fault: Fault) -> None:
    path = odd_files / name
    complaint = fault("server", *COMMANDS_WITH_KEYS["server"], "--key-file", path)
    assert str(path) in complaint
    assert KEY_FAULTS[name] in complaint


@pytest.mark.parametrize("command", COMMANDS_WITH_KEYS)
def test_every_command_with_a_key_file_that_is_none(
    command: str, odd_files: Path, fault: Fault
) -> None:
    options = [*COMMANDS_WITH_KEYS[command], "--key-file", odd_files / "missing"]
    assert fault(command, *options).startswith(f"{command}: cannot read the key file")


@pytest.mark.e2e
def test_a_key_file_that_nobody_may_read(key_file: Path) -> None:
    # Root may read everything, so the process gives up that right first.
    unprivileged = ["setpriv", "--reuid=65534", "--clear-groups"]
    done = subprocess.run(
        [*unprivileged, COMMAND, "encode", "--format", "hex-request", "--key-file", key_file],
        capture_output=True,
        input=b"",
        timeout=60,
    )
    finished = Finished(done.returncode, done.stdout, done.stderr.decode())
    assert "Permission denied" in finished.complaint


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("", "Unknown endpoint type"),
        ("nonsense:1", "Unknown endpoint type: 'nonsense'"),
        ("tcp", "it reads like tcp:"),
        ("tcp:http", "it reads like tcp:"),
        ("tcp:0:nonsense=1", "it reads like tcp:"),
        ("tcp:1\n2", "it reads like tcp:"),
        ("ssl:0:privateKey=/nowhere", "No such file or directory"),
        ("haproxy:tcp:0", "leave haproxy: out; obfsfte server reads such headers itself"),
    ],
)
def test_a_string_that_is_no_place_to_listen_on(
    place: str, reason: str, key_file: Path, fault: Fault
) -> None:
    complaint = fault("server", "--classic", "--key-file", key_file, "--listen", place)
    assert complaint.startswith("server: cannot listen on ")
    assert reason in complaint


KEY = "0123456789abcdef" * 4


@pytest.mark.parametrize(
    "arguments",
    [
        [KEY],
        ["client", "--bridge", "fte 192.0.2.1:1", KEY],
        ["client", "--bridge", f"fte {KEY}:1"],
        ["client", "--bridge", f"fte {KEY}"],
        ["client", "--bridge", f"fte 192.0.2.1:1 {KEY}=1 {KEY}=1"],
        ["client", "--classic", "--connect", "tcp:192.0.2.1:1", "--key-file", KEY],
        ["client", "--classic", "--connect", KEY],
        ["client", "--bridge", f"fte 192.0.2.1:1 key={KEY}", "--listen", KEY],
        ["client", "--bridge", f"fte 192.0.2.1:1 key={KEY}", "--idle-timeout", KEY],
        ["server", "--classic", "--fallback", f"key={KEY}"],
        ["server", "--classic", "--trusted-proxies", KEY, "--proxy-protocol"],
        ["bridge-line", "--state", "keys", "--url", "wss://h/", "--pin", KEY],
        ["covers", "show", KEY],
        ["encode", "--format", KEY],
    ],
)
def test_a_key_in_the_wrong_place_is_not_shown(
    arguments: list[str], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(globalLogBeginner, "beginLoggingTo", lambda *_args, **_kwargs: None)
    assert main(arguments) > 0
    complaint = one_complaint(capsys.readouterr().err)
    assert "characters" in complaint
    assert KEY not in complaint


def test_proxies_that_cannot_be_trusted(key_file: Path, fault: Fault) -> None:
    options = ("--proxy-protocol", "--trusted-proxies", "me")
    complaint = fault("server", "--classic", "--key-file", key_file, *options)
    assert "'me' is neither an address nor a network" in complaint


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("tcp:99999", "port must be 0-65535"),
        ("tcp:-1", "port must be 0-65535"),
        ("tcp:0:interface=192.0.2.1", "Cannot assign requested address"),
        ("tcp:0:interface=nobody.invalid", "not known|name resolution"),  # the latter offline
        ("unix:/nowhere/at/all", "No such file or directory"),
    ],
)
def test_a_place_that_cannot_be_listened_on(place: str, reason: str, key_file: Path) -> None:
    finished = obfsfte("server", "--classic", "--key-file", key_file, "--listen", place)
    assert finished.status == 1
    assert finished.complaint.startswith(f"cannot listen on {place}: ")
    assert re.search(reason, finished.complaint)


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("", "Unknown endpoint type"),
        ("nonsense:h:1", "Unknown endpoint type: 'nonsense'"),
        ("tcp:host", "it reads like tcp:"),
        ("tcp:host:http", "it reads like tcp:"),
        ("tcp:::1:80", "it reads like tcp:"),
        ("tcp:127.0.0.1:99999", "no usable port"),
        ("tcp:..:80", "is no address"),
        ("tls:host", "it reads like tcp:"),
    ],
)
def test_a_string_that_is_no_place_to_connect_to(
    place: str, reason: str, key_file: Path, fault: Fault
) -> None:
    classic = ["--classic", "--key-file", key_file, "--listen", LISTEN]
    for half in (["client", "--connect", place], ["server", "--target", place]):
        complaint = fault(*half, *classic)
        assert complaint.startswith(f"{half[0]}: cannot connect to {place!r}: ")
        assert reason in complaint


@pytest.fixture(scope="module")
def taken() -> Iterator[int]:
    """A port that a server half has."""
    with Target() as target, server_half(target) as server:
        yield server.port


@pytest.mark.e2e
def test_a_port_in_use(taken: int, key_file: Path) -> None:
    place = f"tcp:{taken}:interface={LOOPBACK}"
    classic = ["--classic", "--key-file", key_file, "--listen", place]
    for command in (
        ["server", *classic],
        ["client", *classic, "--connect", NOWHERE],
        ["fteproxy", "--mode", "server", "--server_port", taken, "--key-file", key_file],
        ["fteproxy", "--mode", "client", "--client_port", taken, "--key-file", key_file],
    ):
        finished = obfsfte(*command)
        assert finished.status == 1
        assert finished.complaint == f"cannot listen on {place}: [Errno 98] Address already in use"


HEX = ["--format", "hex-request"]

FORMAT_FAULTS = {
    "server --format nothing": "unknown format 'nothing' in release 20260110: choose one of alph",
    "server --format hex-request": "unknown format 'hex-request' in release",
    "server --format hex --release 20131224": "unknown format 'hex' in release 20131224",
    "server --release 2013": "unknown format release '2013': choose one of 20260110, 20131224",
    "client --format nothing": "unknown format 'nothing' in release 20260110",
    "client --release 2013": "unknown format release '2013'",
    "fteproxy --upstream-format hex": "unknown format 'hex' in release 20260110",
    "fteproxy --upstream-format hex-response": "--upstream-format hex-response is for the other",
    "fteproxy --downstream-format hex-request": "--downstream-format hex-request is for the other",
    "fteproxy --release 2013": "unknown format release '2013'",
    "fteproxy --upstream-format hex-request --downstream-format ssh-response": "does not go with",
    "fteproxy --mode server --release 20131224 --upstream-format hex-request": "unknown format",
    "encode --format hex": "unknown format 'hex' in release 20260110: choose one of alphanumeric-r",
    "encode --format hex-request --release 2013": "unknown format release '2013'",
    "encode --pattern ( --length 9": "not a regular expression: missing )",
    "encode --pattern (a)\\1 --length 9": "a back reference at position 3",
    "encode --pattern a(?=b) --length 9": "a look-ahead at position 1",
    "encode --pattern ab --length 9": "matches no string of 9 bytes",
    "encode --pattern [ab]+ --length 9": "carries 9 bits in 9 bytes and a cell needs 137",
    "encode --pattern (a|b)*a(a|b){20} --length 99": "needs more than 20000 states",
    "decode --pattern ab --length 9": "matches no string of 9 bytes",
}


@pytest.mark.parametrize("line", FORMAT_FAULTS)
def test_a_language_that_there_is_not(line: str, key_file: Path, fault: Fault) -> None:
    command, *options = line.split()
    options += ["--key-file", str(key_file)]
    if command in ("server", "client"):
        options += ["--classic", "--listen", LISTEN]
    if command == "client":
        options += ["--connect", NOWHERE]
    assert FORMAT_FAULTS[line] in fault(command, *options)


@pytest.mark.e2e
@pytest.mark.parametrize(
    ("redirection", "reason"),
    [
        ("</dev/zero >/dev/full", "No space left on device"),
        ("<&-", "encode: standard input is closed"),
        ("</dev/zero >&-", "encode: standard output is closed"),
    ],
)
def test_streams_that_cannot_be_used(redirection: str, reason: str, key_file: Path) -> None:
    script = f'exec "$@" {redirection}'
    command = [COMMAND, "encode", *HEX, "--key-file", key_file]
    done = subprocess.run(["sh", "-c", script, "sh", *command], capture_output=True, timeout=60)
    finished = Finished(done.returncode, done.stdout, done.stderr.decode())
    assert finished.status == 1
    assert finished.complaint == reason


@pytest.mark.e2e
@pytest.mark.parametrize(
    "command", [["encode", *HEX], ["--help"], ["server", "--help"], ["--version"]]
)
def test_a_reader_that_left_is_no_reason_to_complain(command: list[str], key_file: Path) -> None:
    options = ["--key-file", key_file] if command[0] == "encode" else []
    reader, writer = os.pipe()
    os.close(reader)
    with Path("/dev/zero").open("rb") as zeros, os.fdopen(writer, "wb") as output:
        words = [str(word) for word in (COMMAND, *command, *options)]
        done = subprocess.run(words, stdin=zeros, stdout=output, stderr=subprocess.PIPE, timeout=60)
    assert done.returncode == 1
    assert done.stderr == b""
