"""What is wrong with a command line is one line that says it, and status 2."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from obfsfte import __version__, covers
from obfsfte.cli import COMMANDS, main
from obfsfte.state import StateDirectory
from tests.commands.shell import one_complaint

COMMAND = [sys.executable, "-m", "obfsfte"]
KEY = "0" * 64

FAULTS = {
    "nonsense": "there is no command 'nonsense'",
    "--nonsense": "there is no command '--nonsense'",
    "server": "server: needs --state DIRECTORY for its keys, or --classic",
    "server --bogus": "server: option --bogus not recognized",
    "server -x": "server: option -x not recognized",
    "server --classic here": "server: does not take 'here'",
    "server --listen": "server: option --listen requires argument",
    "server --classic=1": "server: option --classic must not have an argument",
    "server --classic --idle-timeout soon": "server: 'soon' is no number of seconds above 0",
    "server --classic --idle-timeout 0": "server: '0' is no number of seconds above 0",
    "server --classic --idle-timeout -1": "server: '-1' is no number of seconds above 0",
    "server --classic --idle-timeout nan": "server: 'nan' is no number of seconds above 0",
    "server --classic --idle-timeout inf": "server: 'inf' is no number of seconds above 0",
    "server --classic --proxy-protocol": "server: takes --proxy-protocol and --trusted-proxies tog",
    "server --classic --trusted-proxies ::1": "server: takes --proxy-protocol and --trusted-prox",
    "server --state=": "server: an empty name is no directory",
    "keygen --state=": "keygen: an empty name is no directory",
    "bridge-line --state=": "bridge-line: an empty name is no directory",
    "client": "client: needs --bridge, or --connect with --classic",
    "client --classic": "client: needs --bridge, or --connect with --classic",
    "client --connect tcp:h:1": "client: needs --bridge with the keys, or --classic",
    "client --bridge fte": "client: a bridge line reads",
    "client --classic --connect tcp:h:1 --connect-timeout x": "client: 'x' is no number of seconds",
    "fteproxy --mode both": "fteproxy: --mode is client or server, not 'both'",
    "fteproxy --client_port 0": "fteproxy: '0' is no port",
    "fteproxy --server_port 65536": "fteproxy: '65536' is no port",
    "fteproxy --proxy_port 80x": "fteproxy: '80x' is no port",
    "fteproxy --proxy_port -1": "fteproxy: '-1' is no port",
    "fteproxy --proxy_port ²": "fteproxy: '²' is no port",
    "fteproxy --key 00": "fteproxy: a classic key has 64 hexadecimal characters, this one has 2",
    f"fteproxy --key {'g' * 64}": "fteproxy: a classic key has only the characters",
    f"fteproxy --key {KEY} --key-file f": "fteproxy: takes --key or --key-file, not both",
    "encode": "encode: needs --format, or --pattern with --length",
    "encode --format x --pattern y": "encode: needs --format, or --pattern with --length",
    "encode --pattern y": "encode: takes --pattern and --length together",
    "encode --format x --length 3": "encode: takes --pattern and --length together",
    "encode --pattern y --length 0": "encode: '0' is no length",
    "encode --pattern y --length 65537": "encode: '65537' is no length",
    "encode --pattern y --length +5": "encode: '+5' is no length",
    "decode": "decode: needs --format, or --pattern with --length",
    "demo --megabytes 0": "demo: '0' is no number of megabytes",
    "demo --megabytes much": "demo: 'much' is no number of megabytes",
    "demo quickly": "demo: does not take 'quickly'",
}


@pytest.mark.parametrize("line", FAULTS)
def test_a_faulty_command_line_is_one_line(line: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(line.split()) == 2
    said = capsys.readouterr()
    complaint = one_complaint(said.err)
    assert complaint.startswith(FAULTS[line])
    assert complaint.endswith(" lists them" if "no command" in complaint else " --help explains")
    assert said.out == ""


def test_a_secret_on_the_command_line_is_not_repeated(capsys: pytest.CaptureFixture[str]) -> None:
    secret = "0123456789abcdef" * 3
    assert main(["fteproxy", "--key", secret]) == 2
    assert secret not in capsys.readouterr().err


def test_no_command_at_all_shows_the_help(capsys: pytest.CaptureFixture[str]) -> None:
    assert main([]) == 2
    assert capsys.readouterr().out.startswith("Usage: obfsfte COMMAND")


@pytest.mark.parametrize("option", ["--help", "-h", "help"])
def test_help_names_every_command(option: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([option]) == 0
    said = capsys.readouterr()
    assert all(f"\n  {name} " in said.out for name in COMMANDS)
    assert said.err == ""


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_explains_itself(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--help"])
    said = capsys.readouterr()
    assert end.value.code == 0
    assert said.out.startswith(f"Usage: obfsfte {name}")
    assert said.err == ""


@pytest.mark.parametrize("line", ["covers list", "covers show", "covers check", "bench capacity"])
def test_every_command_of_a_command_explains_itself(
    line: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit):
        main([*line.split(), "--help"])
    first = capsys.readouterr().out.splitlines()[0]
    assert first.startswith(f"Usage: obfsfte {line}")
    assert first.count("Usage: ") == 1
    with pytest.raises(SystemExit):
        main([*line.split(), "--version"])
    assert capsys.readouterr().out.startswith(f"obfsfte {__version__}")


@pytest.mark.parametrize("line", ["nonsense", "pt", "keygen --state {} --force"])
def test_complaints_are_lost_and_no_output_where_standard_error_is_closed(
    line: str, tmp_path: Path
) -> None:
    main(["keygen", "--state", str(tmp_path / "keys")])
    arguments = line.format(tmp_path / "keys").split()
    command = ["sh", "-c", '"$@" 2>&-', "sh", *COMMAND, *arguments]
    done = subprocess.run(command, stdout=subprocess.PIPE, timeout=30)
    assert b"obfsfte: " not in done.stdout


@pytest.mark.parametrize("encoding", ["ascii", "latin-1", "utf-8"])
def test_what_a_locale_cannot_write_is_written_in_escapes(encoding: str, tmp_path: Path) -> None:
    words = Path(covers.__file__).with_name("words.toml").read_text("utf-8")
    described = re.sub("^description = .*", 'description = "\N{SNOWMAN}"', words, flags=re.M)
    (tmp_path / "mine.toml").write_text(described, "utf-8")
    done = subprocess.run(
        [*COMMAND, "covers", "check", tmp_path / "mine.toml"],
        env={**os.environ, "PYTHONIOENCODING": encoding},
        capture_output=True,
        timeout=60,
    )
    shown = "mine: \N{SNOWMAN}\n".encode(encoding, "backslashreplace")
    assert (done.returncode, done.stderr) == (0, b"")
    assert done.stdout.startswith(shown)


def test_tors_command_without_standard_output() -> None:
    command = ["sh", "-c", '"$@" >&-', "sh", *COMMAND, "pt"]
    done = subprocess.run(command, stderr=subprocess.PIPE, timeout=30)
    assert one_complaint(done.stderr.decode()) == (
        "pt: standard output is closed: tor runs this command"
    )


def test_the_version(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith(f"obfsfte {__version__}")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_command_tells_the_version(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        main([name, "--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out.startswith(f"obfsfte {__version__}")


#: The command as from a terminal, but that a signal comes while its modules are loaded.
INTERRUPTED = """
import importlib, os, signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from obfsfte import cli
importlib.import_module = lambda name: os.kill(os.getpid(), signal.SIGINT)
sys.argv = ["obfsfte", "covers", "list"]
sys.exit(cli.main())
"""


def test_an_interrupt_while_it_starts_ends_it_without_a_word() -> None:
    finished = subprocess.run([sys.executable, "-c", INTERRUPTED], capture_output=True, timeout=30)
    assert finished.returncode == -signal.SIGINT
    assert finished.stderr == finished.stdout == b""


@pytest.mark.parametrize("content", [b"\xff\xfe fte\n", b"", b"hello\n"])
def test_a_bridge_line_that_was_damaged_is_one_line(
    content: bytes, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    StateDirectory(tmp_path / "s").keys_or_new()
    (tmp_path / "s" / "bridgeline.txt").write_bytes(content)
    assert main(["bridge-line", "--state", str(tmp_path / "s")]) == 1
    assert "bridgeline.txt in " in one_complaint(capsys.readouterr().err)
