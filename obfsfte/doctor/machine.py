"""What checks ask of a machine. Tests give them a directory that looks like one."""

from __future__ import annotations

import ctypes
import os
import re
import socket
import sys
import time
from collections.abc import Iterator
from importlib import metadata
from pathlib import Path, PurePath, PurePosixPath

_TIME_ERROR = 5  # adjtimex(2): nobody keeps the clock right
_CONNECT_SECONDS = 5.0


class Machine:
    """Files below `root`, and what else is asked of the system. Nothing here changes anything."""

    def __init__(self, root: Path = Path("/")) -> None:
        self._root = root

    def at(self, path: PurePath | str) -> Path:
        """Where a file of the machine is for us."""
        return self._root / str(path).lstrip("/")

    def read(self, path: PurePath | str) -> str | None:
        """A file's text, or None: it is not there, or not for us."""
        try:
            return self.at(path).read_text("utf-8", "replace")
        except OSError:
            return None

    def names(self, directory: PurePath | str, pattern: str) -> list[str]:
        """The paths of files in a directory, sorted; none if it is not for us."""
        try:
            found = sorted(self.at(directory).glob(pattern))
        except OSError:
            return []
        return [f"{directory}/{path.relative_to(self.at(directory))}" for path in found]

    def stat(self, path: PurePath | str) -> os.stat_result | None:
        """What is known about a file, links followed; None if it is not there, or not for us."""
        try:
            return self.at(path).stat()
        except OSError:
            return None

    def free_bytes(self, path: PurePath | str) -> int | None:
        """How much may still be written to the disk that this is on."""
        try:
            disk = os.statvfs(self.at(path))
        except OSError:
            return None
        return disk.f_bavail * disk.f_frsize

    def user(self, name: str) -> int | None:
        """The number of a user."""
        for line in (self.read("/etc/passwd") or "").splitlines():
            fields = line.split(":")
            if fields[0] == name and len(fields) > 2:
                return int(fields[2])
        return None

    def processes(self) -> Iterator[tuple[int, list[str]]]:
        """Number and command line of each process."""
        for path in self.names("/proc", "[0-9]*/cmdline"):
            words = (self.read(path) or "").split("\0")
            if words[0]:
                yield int(PurePosixPath(path).parent.name), words[:-1]

    def listeners(self, port: int) -> set[int]:
        """Numbers of the sockets that listen on a TCP port."""
        found = set()
        for table in ("/proc/net/tcp", "/proc/net/tcp6"):
            for line in (self.read(table) or "").splitlines()[1:]:
                fields = line.split()
                if fields[3] == "0A" and int(fields[1].rpartition(":")[2], 16) == port:
                    found.add(int(fields[9]))
        return found

    def owners(self, sockets: set[int]) -> set[int]:
        """Numbers of the processes that have one of these sockets, as far as they are for us."""
        wanted = {f"socket:[{number}]" for number in sockets}
        found = set()
        for path in self.names("/proc", "[0-9]*/fd/*"):
            try:
                target = os.readlink(self.at(path))
            except OSError:
                continue
            if target in wanted:
                found.add(int(PurePosixPath(path).parts[2]))
        return found

    def version(self, distribution: str) -> str | None:
        """The version of a Python package, or of "Python"."""
        if distribution == "Python":
            return ".".join(str(part) for part in sys.version_info[:3])
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            return None

    def ranking(self) -> str:
        """Which form of rank and unrank runs."""
        from obfsfte.regular import forms

        return forms.NAME

    def pure_python_is_chosen(self) -> bool:
        """Whether the environment asks for the slow form."""
        return os.environ.get("OBFSFTE_PURE_PYTHON") == "1"

    def clock_is_kept(self) -> bool:
        """Whether somebody keeps the clock right, as far as the kernel tells."""
        query = ctypes.create_string_buffer(512)  # struct timex, with nothing to be set
        state: int = ctypes.CDLL(None).adjtimex(query)
        return state != _TIME_ERROR

    def now(self) -> float:
        """Unix time."""
        return time.time()

    def connect(self, place: str) -> str | None:
        """Why an endpoint string's place cannot be connected to; None if it can, or is unknown."""
        unix = re.fullmatch(r"unix:(?:path=)?([^:]+).*", place)
        tcp = re.fullmatch(r"(?:tcp|tls):(?:host=)?((?:[^:\\]|\\.)+):(?:port=)?(\d+).*", place)
        try:
            if unix:
                with socket.socket(socket.AF_UNIX) as peer:
                    peer.settimeout(_CONNECT_SECONDS)
                    peer.connect(unix[1])
            elif tcp:
                address = re.sub(r"\\(.)", r"\1", tcp[1]), int(tcp[2])
                socket.create_connection(address, _CONNECT_SECONDS).close()
        except OSError as error:
            return error.strerror or str(error)
        except UnicodeError:
            return "its name cannot be one of a host"
        return None
