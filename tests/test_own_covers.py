"""Definitions that people wrote: found, preferred, and refused with the file's name."""

from __future__ import annotations

import os
from pathlib import Path
from typing import NoReturn

import pytest

from obfsfte.errors import ConfigError
from obfsfte.own_covers import catalogue, read_definition

MINE = """
kind = "stream"
description = "what I like"

[upstream]
pattern = '[a-f]+'
lengths = [600]
"""


def write(path: Path, text: str = MINE) -> Path:
    path.parent.mkdir(exist_ok=True)
    path.write_text(text)
    return path


def test_files_and_the_state_directory_add_to_the_built_in_ones(tmp_path: Path) -> None:
    write(tmp_path / "covers" / "mine.toml")
    named = write(tmp_path / "elsewhere" / "other.toml")
    found = catalogue([named], tmp_path)
    assert {"mine", "other", "base64"} <= set(found.names)
    assert found.get("mine").description == "what I like"


def test_ones_own_wins(tmp_path: Path) -> None:
    mine = write(tmp_path / "hex.toml")
    assert catalogue([mine]).get("hex").description == "what I like"


def test_a_state_directory_without_any(tmp_path: Path) -> None:
    assert catalogue(state=tmp_path / "none").names == catalogue().names


@pytest.mark.parametrize(
    "text", [b"\xff\xfe", b"kind =", b"x" * ((1 << 20) + 1)], ids=["binary", "broken", "huge"]
)
def test_a_file_that_is_none_is_one_line_with_its_name(tmp_path: Path, text: bytes) -> None:
    path = tmp_path / "faulty.toml"
    path.write_bytes(text)
    with pytest.raises(ConfigError, match=r"faulty\.toml") as caught:
        read_definition(path)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there(tmp_path: Path) -> None:
    with pytest.raises(ConfigError, match="No such file"):
        read_definition(tmp_path / "none.toml")


def test_a_pipe_among_the_covers_is_not_waited_for(tmp_path: Path) -> None:
    (tmp_path / "covers").mkdir()
    os.mkfifo(tmp_path / "covers" / "mine.toml")
    with pytest.raises(ConfigError, match=r"mine\.toml: it is not a file"):
        catalogue(state=tmp_path)


def test_a_folder_that_cannot_be_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_arguments: object) -> NoReturn:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "glob", refuse)
    with pytest.raises(ConfigError, match=r"cannot read the covers in .*: Permission denied"):
        catalogue(state=tmp_path)
