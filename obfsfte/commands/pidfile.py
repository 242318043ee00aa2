"""Which halves this user has running, for `obfsfte fteproxy --stop`.

One file per process in a directory of the user's own. The process holds a lock on its
file while it lives, so a number that another process has inherited is never signalled.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import signal
import stat
import tempfile
from pathlib import Path
from types import TracebackType
from typing import IO

from obfsfte.errors import ConfigError


def _directory() -> Path:
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        path = Path(runtime) / "obfsfte"
    else:
        path = Path(tempfile.gettempdir()) / f"obfsfte-{os.getuid()}"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
        found = path.lstat()
    except OSError as error:
        raise ConfigError(f"cannot use {path} for the process list: {error.strerror}") from None
    if not stat.S_ISDIR(found.st_mode) or found.st_uid != os.getuid():
        raise ConfigError(f"{path} is not a directory of yours: remove it or set XDG_RUNTIME_DIR")
    return path


def _locked(stream: IO[str]) -> bool:
    """Take the file's lock; False when a living process has it."""
    try:
        fcntl.flock(stream, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


class PidFile:
    """A context manager: this process is listed inside it."""

    def __init__(self, mode: str) -> None:
        self._path = _directory() / f"{mode}-{os.getpid()}.pid"

    def __enter__(self) -> None:
        self._stream = self._path.open("w")
        _locked(self._stream)
        self._stream.write(f"{os.getpid()}\n")
        self._stream.flush()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._path.unlink(missing_ok=True)
        self._stream.close()

    @staticmethod
    def stop_all(mode: str) -> int:
        """Ask every listed process of this mode to end; returns how many there were."""
        stopped = 0
        for path in sorted(_directory().glob(f"{mode}-*.pid")):
            with contextlib.suppress(FileNotFoundError), path.open("r+") as stream:
                if _locked(stream):
                    path.unlink(missing_ok=True)
                    continue
                if number := stream.read().strip():  # else it is just about to write it
                    os.kill(int(number), signal.SIGINT)
                    stopped += 1
        return stopped
