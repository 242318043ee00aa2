"""Where log lines go: a stream, tor, a file. No line has a client's address in it."""

from __future__ import annotations

import contextlib
import os
import traceback
from pathlib import Path
from typing import IO, Any

from twisted.logger import (
    FileLogObserver,
    FilteringLogObserver,
    ILogFilterPredicate,
    ILogObserver,
    LogEvent,
    Logger,
    LogLevel,
    PredicateResult,
    formatEvent,
    formatEventAsClassicLogText,
    globalLogBeginner,
    globalLogPublisher,
)
from twisted.python.failure import Failure
from zope.interface import implementer, provider

from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.server import ServerTransportPlugin

log = Logger()

_SEVERITIES = {
    LogLevel.debug: "debug",
    LogLevel.info: "info",
    LogLevel.warn: "warning",
    LogLevel.error: "error",
    LogLevel.critical: "error",
}


@provider(ILogFilterPredicate)
def _worth_saying(event: LogEvent) -> Any:
    """Our own events, and of the libraries' only what went wrong."""
    ours = str(event.get("log_namespace", "")).startswith("obfsfte.")
    level = event.get("log_level", LogLevel.info)
    return PredicateResult.yes if ours or level >= LogLevel.warn else PredicateResult.no


def _begin(observers: list[ILogObserver]) -> None:
    filtered = [FilteringLogObserver(observer, [_worth_saying]) for observer in observers]
    globalLogBeginner.beginLoggingTo(filtered, redirectStandardIO=False)


def _as_text(event: LogEvent) -> str | None:
    """An event as lines of a log, without what Twisted would say of the peer in it.

    That is in the name of the system that ran into a bug, and it may be in an exception's own
    words. So of a bug there is where it happened, and what kind it is.
    """
    said, failure = _said(event)
    if failure is None:
        return formatEventAsClassicLogText({**event, "log_system": None})
    lines = ["Traceback (most recent call last):\n", *traceback.format_list(_frames(failure))]
    shown = {**event, "log_system": None, "log_format": "{said}\n{trace}{kind}"}
    shown.pop("log_failure", None)
    return formatEventAsClassicLogText(
        {**shown, "said": said, "trace": "".join(lines), "kind": _kind(failure)}
    )


def _said(event: LogEvent) -> tuple[str, Failure | None]:
    """An event's message, and its failure: in Twisted's new way of logging, or in its old."""
    failure = event.get("failure")
    if isinstance(failure, Failure):
        said = event.get("why")
    else:
        said, failure = formatEvent(event), event.get("log_failure")
    if not isinstance(failure, Failure):
        return str(said), None
    return str(said or "unhandled error"), failure


def _frames(failure: Any) -> traceback.StackSummary:
    return traceback.extract_tb(failure.getTracebackObject())


def _kind(failure: Failure) -> str:
    return "unknown" if failure.type is None else failure.type.__name__


def _place(failure: Failure) -> str:
    """Where it was raised, if that is known."""
    frames = _frames(failure)
    if not frames:
        return ""
    return f" in {Path(frames[-1].filename).name}, line {frames[-1].lineno}"


def log_to(stream: IO[Any]) -> None:
    """Send log lines to `stream`; each is one line but for the traceback of a bug."""
    _begin([FileLogObserver(stream, _as_text)])


def log_to_tor(
    plugin: ClientTransportPlugin | ServerTransportPlugin, path: Path | None = None
) -> None:
    """Send log lines to tor, and to a file as well if `path` is given.

    Where that cannot be written, a line says so: no transport is worse off without it.
    """
    observers: list[ILogObserver] = [TorLogObserver(plugin)]
    if path is None:
        _begin(observers)
        return
    file = LogFile(path)
    _begin([*observers, file])
    file.write("")  # it is there from now on, or tor is told why not


def also_log_to_tor(plugin: ClientTransportPlugin | ServerTransportPlugin) -> None:
    """Send log lines to tor besides where somebody else (twistd) sends them."""
    globalLogPublisher.addObserver(FilteringLogObserver(TorLogObserver(plugin), [_worth_saying]))


@implementer(ILogObserver)
class LogFile:
    """A log that only this user may read, opened anew when somebody has moved or removed it.

    So logrotate needs to tell nobody. What cannot be written is lost, and the others who
    listen to the log are told once, until it can be written again.
    """

    def __init__(self, path: Path) -> None:
        self._path = path
        self._fd = -1
        self._is_faulty = False

    def __call__(self, event: LogEvent) -> None:
        text = _as_text(event)
        if text is not None:
            self.write(text)

    def write(self, text: str) -> None:
        # What an environment holds need not be text; a log line says it all the same.
        data = text.encode("utf-8", "backslashreplace")
        try:
            if not self._is_current():
                self._open()
            os.write(self._fd, data)
        except OSError as error:
            if not self._is_faulty:
                self._is_faulty = True
                log.warn("cannot log to {path}: {reason}", path=self._path, reason=error.strerror)
        else:
            self._is_faulty = False

    def close(self) -> None:
        """Give it back to the system; the next line would open it again."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _is_current(self) -> bool:
        try:
            return self._fd >= 0 and os.path.samestat(os.stat(self._path), os.fstat(self._fd))
        except FileNotFoundError:
            return False

    def _open(self) -> None:
        self.close()
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        # A pipe that nobody reads is not waited for.
        flags = os.O_WRONLY | os.O_CREAT | os.O_APPEND | os.O_CLOEXEC | os.O_NONBLOCK
        self._fd = os.open(self._path, flags, 0o600)


@implementer(ILogObserver)
class TorLogObserver:
    """Passes events on to tor, one line each: of a bug its kind and its place, no traceback."""

    def __init__(self, plugin: ClientTransportPlugin | ServerTransportPlugin) -> None:
        self._plugin = plugin

    def __call__(self, event: LogEvent) -> None:
        message, failure = _said(event)
        if failure is not None:
            message = f"{message} ({_kind(failure)}{_place(failure)})"
        severity = _SEVERITIES[event.get("log_level", LogLevel.info)]
        # When tor is gone, so are we in a moment.
        with contextlib.suppress(BrokenPipeError):
            self._plugin.reportLog(severity, message)
