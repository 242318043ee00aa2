"""`obfsfte covers`: lists, shows and checks; one line for each mistake."""

from pathlib import Path

import pytest

from obfsfte.cli import main
from obfsfte.covers import Catalogue

GOOD = """
kind = "stream"
description = "my letters"
[upstream]
pattern = '[a-z]*'
lengths = [200]
"""


def test_list_names_every_cover(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["covers", "list"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines] == Catalogue().names
    assert {line.split()[1] for line in lines} == {"stream", "websocket", "http"}


def test_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["covers", "show", "hex", "--samples", "2"]) == 0
    out = capsys.readouterr().out
    assert out.startswith("hex: ")
    assert out.count("upstream, message") == 2


def test_show_tells_what_detectors_see(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["covers", "show", "http"]) == 0
    out = capsys.readouterr().out
    assert "of these 0 would be blocked as fully encrypted (Wu et al. 2023); exempt: 300 by" in out
    assert " flags 0 of 320\n" in out


def test_check(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "mine.toml"
    file.write_text(GOOD)
    assert main(["covers", "check", str(file)]) == 0
    assert capsys.readouterr().out.startswith("mine: my letters\n")


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        ([], 2, "needs one of list, show, check"),
        (["frobnicate"], 2, "frobnicate"),
        (["list", "hex"], 2, "does not take 'hex'"),
        (["show"], 2, "needs the NAME of a cover"),
        (["show", "hex", "words"], 2, "needs the NAME of a cover, and nothing else"),
        (["show", "nosuch"], 1, "no cover is named 'nosuch'; there are: "),
        (["show", "hex", "--samples", "0"], 2, "'0' is no number of samples"),
        (["show", "hex", "--samples", "x"], 2, "'x' is no number of samples"),
        (["check"], 2, "needs the FILE of a definition"),
        (["check", "no/such.toml"], 1, "cannot read the definition no/such.toml: No such file"),
        (["check", "."], 1, "cannot read the definition .: Is a directory"),
    ],
)
def test_mistakes(
    arguments: list[str], status: int, message: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["covers", *arguments]) == status
    captured = capsys.readouterr()
    assert captured.out == ""
    assert message in captured.err
    assert captured.err.count("\n") == 1


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\xff\xfe", "it is not UTF-8 text"),
        (b"kind = ", "mine.toml: not valid TOML"),
        (b"kind = 'stream'", "mine.toml: description: missing"),
        (b"# " + b"x" * (1 << 20), "is larger than"),
    ],
)
def test_faulty_files(
    content: bytes, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    file = tmp_path / "mine.toml"
    file.write_bytes(content)
    assert main(["covers", "check", str(file)]) == 1
    assert message in capsys.readouterr().err
