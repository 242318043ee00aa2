"""Where log lines go, and what of them."""

from __future__ import annotations

import io
import os
import re
import sys
import warnings
from collections.abc import Iterator
from contextlib import ExitStack, closing
from pathlib import Path

import pytest
from twisted.logger import LogBeginner, Logger, LogLevel, LogPublisher
from twisted.python.failure import Failure
from twisted.python.log import LogPublisher as OldLogPublisher

from obfsfte import logs
from obfsfte.pyptlib.client import ClientTransportPlugin


class Logging:
    """A publisher of its own in place of the process's, and what reaches tor from it."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        publisher = LogPublisher()
        monkeypatch.setattr(warnings, "showwarning", warnings.showwarning)  # to be put back
        beginner = LogBeginner(publisher, io.StringIO(), sys, warnings)
        monkeypatch.setattr(logs, "globalLogBeginner", beginner)
        monkeypatch.setattr(logs, "globalLogPublisher", publisher)
        monkeypatch.setattr(logs, "log", Logger("obfsfte.logs", observer=publisher))
        self.ours = Logger("obfsfte.managed", observer=publisher)
        self.library = Logger("twisted.internet.protocol", observer=publisher)
        self.stream = io.BytesIO()
        self.plugin = ClientTransportPlugin(stdout=self.stream)

    def said(self) -> list[str]:
        """The lines that tor got."""
        return self.stream.getvalue().decode("ascii").splitlines()


@pytest.fixture
def logging(monkeypatch: pytest.MonkeyPatch) -> Iterator[Logging]:
    make_file = logs.LogFile
    with ExitStack() as files:  # a process keeps its log open until it ends

        def closed_in_the_end(path: Path) -> logs.LogFile:
            return files.enter_context(closing(make_file(path)))

        monkeypatch.setattr(logs, "LogFile", closed_in_the_end)
        yield Logging(monkeypatch)


def test_severities_as_tor_names_them(logging: Logging) -> None:
    logs.log_to_tor(logging.plugin)
    for level in LogLevel.iterconstants():
        logging.ours.emit(level, "told")
    severities = ["debug", "info", "warning", "error", "error"]
    assert logging.said() == [f'LOG SEVERITY={each} MESSAGE="told"' for each in severities]


def test_of_the_libraries_only_what_went_wrong(logging: Logging) -> None:
    logs.log_to_tor(logging.plugin)
    logging.library.info("starting factory")
    logging.library.debug("details")
    logging.library.warn("something odd")
    assert logging.said() == ['LOG SEVERITY=warning MESSAGE="something odd"']


def test_the_log_of_a_bug_does_not_say_whose_connection_it_was(logging: Logging) -> None:
    stream = io.StringIO()
    logs.log_to(stream)
    logging.library.critical("a bug", log_system="_Accepted,0,192.0.2.1")
    assert stream.getvalue().endswith("[twisted.internet.protocol#critical] a bug\n")


def test_what_was_logged_before_is_told_too(logging: Logging) -> None:
    logging.ours.warn("early")
    logs.log_to_tor(logging.plugin)
    assert logging.said() == ['LOG SEVERITY=warning MESSAGE="early"']


def test_tor_gets_one_line_and_of_a_failure_its_kind(logging: Logging, tmp_path: Path) -> None:
    log_file = tmp_path / "log"
    logs.log_to_tor(logging.plugin, log_file)
    try:
        raise RuntimeError("192.0.2.1 said\nno")
    except RuntimeError:
        logging.ours.failure("launching\nfailed", Failure())
    (line,) = logging.said()
    assert re.fullmatch(
        r'LOG SEVERITY=error MESSAGE="launching\\nfailed '
        r'\(RuntimeError in test_logs\.py, line \d+\)"',
        line,
    )


def test_of_a_bug_the_log_has_the_place_and_not_the_words(logging: Logging) -> None:
    stream = io.StringIO()
    logs.log_to(stream)

    def raise_it() -> None:
        words = f"{192}.0.2.1 said no"
        raise RuntimeError(words)

    try:
        raise_it()
    except RuntimeError:
        logging.ours.failure("launching failed", Failure())
    first, *middle, last = stream.getvalue().splitlines()
    assert first.endswith("[obfsfte.managed#critical] launching failed")
    assert "in raise_it" in middle[-2]
    assert "raise RuntimeError(words)" in middle[-1]
    assert last == "\tRuntimeError"
    assert "192.0.2.1" not in stream.getvalue()


@pytest.mark.parametrize("why", [None, "while it read"])
def test_bugs_that_twisted_logs_in_its_old_way_are_no_different(
    logging: Logging, why: str | None
) -> None:
    stream = io.StringIO()
    logs.log_to_tor(logging.plugin)
    logs.globalLogPublisher.addObserver(logs.FileLogObserver(stream, logs._as_text))
    old = OldLogPublisher(logs.globalLogPublisher, logs.globalLogPublisher)
    words = f"{192}.0.2.1 said no"
    try:
        raise RuntimeError(words)
    except RuntimeError:
        old.msg(failure=Failure(), why=why, isError=1)  # as log.err does
    (line,) = logging.said()
    said = why or "unhandled error"
    assert f'"{said} (RuntimeError in test_logs.py, line ' in line
    assert f" {said}\n\tTraceback (most recent call last):\n" in stream.getvalue()
    assert stream.getvalue().endswith("raise RuntimeError(words)\n\tRuntimeError\n")
    assert "192.0.2.1" not in stream.getvalue() + line


def test_a_failure_that_nobody_raised(logging: Logging) -> None:
    stream = io.StringIO()
    logs.log_to_tor(logging.plugin)
    logs.globalLogPublisher.addObserver(logs.FileLogObserver(stream, logs._as_text))
    logging.ours.failure("no", Failure(KeyError("192.0.2.1")))
    assert logging.said() == ['LOG SEVERITY=error MESSAGE="no (KeyError)"']
    assert stream.getvalue().endswith("call last):\n\tKeyError\n")


def test_warnings_of_python_are_log_lines(logging: Logging) -> None:
    logs.log_to_tor(logging.plugin)
    warnings.showwarning(UserWarning("careful"), UserWarning, "library.py", 7)
    (line,) = logging.said()
    assert line.startswith('LOG SEVERITY=warning MESSAGE="library.py:7')
    assert "careful" in line


def test_the_file_has_what_tor_got_and_is_private(logging: Logging, tmp_path: Path) -> None:
    path = tmp_path / "pt_state" / "fte" / "obfsfte.log"
    logs.log_to_tor(logging.plugin, path)
    logging.ours.warn("told {who}", who="both")
    (line,) = path.read_text().splitlines()
    assert line.endswith("[obfsfte.managed#warn] told both")
    assert path.stat().st_mode & 0o777 == 0o600
    assert path.parent.stat().st_mode & 0o777 == 0o700


def test_the_file_is_appended_to(logging: Logging, tmp_path: Path) -> None:
    path = tmp_path / "log"
    path.write_text("from the last start\n")
    logs.log_to_tor(logging.plugin, path)
    logging.ours.info("now")
    assert path.read_text().startswith("from the last start\n")
    assert path.read_text().endswith("now\n")


@pytest.mark.parametrize("is_made_anew", [True, False])
def test_a_file_that_was_moved_is_opened_anew(
    logging: Logging, tmp_path: Path, is_made_anew: bool
) -> None:
    path, moved = tmp_path / "fte" / "log", tmp_path / "fte" / "log.1"
    logs.log_to_tor(logging.plugin, path)
    logging.ours.info("before")
    path.rename(moved)
    if is_made_anew:  # as logrotate's "create" does
        path.touch(0o640)
    logging.ours.info("after")
    logging.ours.info("later")
    assert [line[-6:] for line in moved.read_text().splitlines()] == ["before"]
    assert [line[-6:] for line in path.read_text().splitlines()] == [" after", " later"]
    assert path.stat().st_mode & 0o777 == (0o640 if is_made_anew else 0o600)
    assert len(logging.said()) == 3


def test_a_directory_that_was_removed_is_made_anew(logging: Logging, tmp_path: Path) -> None:
    path = tmp_path / "fte" / "log"
    logs.log_to_tor(logging.plugin, path)
    path.unlink()
    path.parent.rmdir()
    logging.ours.info("after")
    assert path.read_text().endswith("after\n")


def test_a_file_that_cannot_be_written_any_more_is_told_once(
    logging: Logging, tmp_path: Path
) -> None:
    path = tmp_path / "log"
    logs.log_to_tor(logging.plugin, path)
    path.unlink()
    path.symlink_to("/dev/full")
    logging.ours.info("one")
    logging.ours.info("two")
    path.unlink()
    logging.ours.info("three")
    said = [re.sub(r'.*MESSAGE="(.*)"', r"\1", line) for line in logging.said()]
    assert said == ["one", f"cannot log to {path}: No space left on device", "two", "three"]
    assert path.read_text().endswith("three\n")


@pytest.mark.parametrize("text", ["Ωμέγα", "\udcff", "\0"])
def test_any_text_can_be_logged(logging: Logging, tmp_path: Path, text: str) -> None:
    path = tmp_path / "log"
    logs.log_to_tor(logging.plugin, path)
    logging.ours.info("{text}", text=text)
    assert len(logging.said()) == 1
    assert path.read_text("utf-8").count("\n") == 1


@pytest.mark.parametrize("blocked", ["log", "log/is/no/directory", "pipe"])
def test_a_file_that_cannot_be_written_is_a_line_to_tor_and_no_end(
    logging: Logging, tmp_path: Path, blocked: str
) -> None:
    if blocked == "log":
        (tmp_path / "log").mkdir()
    elif blocked == "pipe":
        os.mkfifo(tmp_path / "pipe")
    else:
        (tmp_path / "log").touch()
    logs.log_to_tor(logging.plugin, tmp_path / blocked)
    logging.ours.info("and on it goes")
    fault, line = logging.said()
    assert re.fullmatch(r'LOG SEVERITY=warning MESSAGE="cannot log to .*: .+"', fault)
    assert line == 'LOG SEVERITY=info MESSAGE="and on it goes"'


class Gone(io.RawIOBase):
    """The pipe of a tor that has ended."""

    def write(self, data: object) -> int:
        raise BrokenPipeError


def test_a_tor_that_is_gone_is_told_nothing(logging: Logging, tmp_path: Path) -> None:
    logging.plugin.stdout = Gone()
    logs.log_to_tor(logging.plugin, tmp_path / "log")
    logging.ours.warn("nobody listens")
    assert (tmp_path / "log").read_text().count("\n") == 1


def test_twistd_keeps_its_own_log(logging: Logging) -> None:
    logs.also_log_to_tor(logging.plugin)
    twistds = io.StringIO()
    logs.log_to(twistds)
    logging.ours.warn("told")
    assert logging.said() == ['LOG SEVERITY=warning MESSAGE="told"']
    assert twistds.getvalue().endswith("[obfsfte.managed#warn] told\n")


def test_a_stream_gets_our_lines(logging: Logging) -> None:
    stream = io.StringIO()
    logs.log_to(stream)
    logging.ours.info("listening")
    logging.library.info("starting factory")
    (line,) = stream.getvalue().splitlines()
    assert line.endswith("[obfsfte.managed#info] listening")
