"""The state directory: what a bridge keeps between two runs.

    bridge.keys       the keys (`obfsfte.session.keys`), made on the first start
    bridgeline.txt    what the operator gives to clients
    replay.journal    the hellos that were answered, for all workers of this server
    lock              held for a moment by whoever changes one of the others

All files have mode 0600, and a directory that is made here 0700. Keys and bridge line are
replaced as a whole, so that a crash at any time leaves the old file or the new one.

The journal is the memory of a `ReplayFilter`, shared by several processes and kept over
`kill -9`: entries of 24 bytes, only ever appended.

    +----------------------------------+-----------+
    | unix time: 8 bytes, big-endian   | nonce: 16 |
    +----------------------------------+-----------+

Before a process checks a hello, it takes the lock and reads what the others appended.
Part of an entry at the end is what a crash left, and is cut off. When most entries
are out of date, whoever notices replaces the file; the others see that by its inode.
Entries are not synced to the disk, so a crash of the whole machine may lose the last ones.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
import secrets
import shlex
import struct
from collections.abc import Callable, Iterator
from pathlib import Path

from obfsfte.errors import ConfigError
from obfsfte.session.keys import BridgeKeys, RandomBytes
from obfsfte.session.replay import ReplayFilter

JOURNAL_ENTRY = struct.Struct(">Q16s")
#: A journal is replaced when it has this many entries more than twice those in use.
_SLACK = 4096
#: More than any journal has, in bytes: of one that is longer, only the end is read.
_MOST = JOURNAL_ENTRY.size << 20
_CHUNK = JOURNAL_ENTRY.size << 12
#: More than any bridge line has, in bytes.
_LONGEST_LINE = 1 << 14


@contextlib.contextmanager
def _locked(lock: Path) -> Iterator[None]:
    # Opened anew each time: processes that inherit one descriptor would share its lock.
    fd = os.open(lock, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def _replace(path: Path, data: bytes) -> None:
    """Write the whole file at once. The caller holds the lock."""
    new = path.with_name(path.name + ".new")
    fd = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_CLOEXEC, 0o600)
    with open(fd, "wb") as file:
        file.write(data)
        file.flush()
        os.fsync(fd)
    os.rename(new, path)
    directory = os.open(path.parent, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        os.fsync(directory)
    finally:
        os.close(directory)


def _is_kept(path: Path, data: bytes) -> bool:
    """Whether that is what a file of ours says."""
    try:
        with open(path, "rb", opener=_without_waiting) as stream:
            is_private = not os.fstat(stream.fileno()).st_mode & 0o077
            return is_private and stream.read(len(data) + 1) == data
    except OSError:
        return False


def _without_waiting(path: str, flags: int) -> int:
    """Open what should be a file; a pipe is then empty, where it would wait for a writer."""
    return os.open(path, flags | os.O_NONBLOCK | os.O_CLOEXEC)


class StateDirectory:
    """A bridge's files. Every method raises ConfigError, in one line, when it cannot do it."""

    def __init__(self, path: str | os.PathLike[str]) -> None:
        self.path = Path(path)
        self._keys_path = self.path / "bridge.keys"
        self._bridge_line_path = self.path / "bridgeline.txt"
        self._lock_path = self.path / "lock"

    def keys(self) -> BridgeKeys:
        """The bridge's keys, which must be there."""
        with self._explained():
            try:
                return self._read_keys()
            except FileNotFoundError:
                directory = shlex.quote(str(self.path))
                raise ConfigError(
                    f"{directory}: there are no bridge keys here; start the server once, or run: "
                    f"obfsfte keygen --state {directory}"
                ) from None

    def has_keys(self) -> bool:
        """Whether there are keys, readable or not."""
        with self._explained():
            return self._keys_path.exists()

    def keys_or_new(self, random: RandomBytes = secrets.token_bytes) -> BridgeKeys:
        """The bridge's keys, made now if there are none."""
        with self._changing():
            if self._keys_path.exists():
                return self._read_keys()
            return self._write_keys(random)

    def replace_keys(self, random: RandomBytes = secrets.token_bytes) -> BridgeKeys:
        """New keys, whatever was there. Clients need the new bridge line."""
        with self._changing():
            return self._write_keys(random)

    def write_bridge_line(self, line: str) -> Path:
        """Store what the operator gives to clients; return where.

        A line that is there already is left, so that a full disk keeps no bridge from starting.
        """
        data = f"{line}\n".encode()
        with self._changing():
            if not _is_kept(self._bridge_line_path, data):
                _replace(self._bridge_line_path, data)
        return self._bridge_line_path

    def bridge_line(self) -> str | None:
        """What `write_bridge_line` stored, if anything."""
        with self._explained():
            if not self._bridge_line_path.exists():
                return None
            with open(self._bridge_line_path, "rb", opener=_without_waiting) as stream:
                return stream.read(_LONGEST_LINE).decode("utf-8", "replace").strip()

    def replay_journal(
        self, now: int, memory: ReplayFilter, on_error: Callable[[OSError], None]
    ) -> ReplayJournal:
        """The server's replay filter. `now` is unix time; see `ReplayJournal` for `on_error`."""
        journal = ReplayJournal(self.path, self._lock_path, memory, on_error)
        with self._changing():
            journal.catch_up(now)
        return journal

    def _read_keys(self) -> BridgeKeys:
        file = shlex.quote(str(self._keys_path))
        with open(self._keys_path, "rb", opener=_without_waiting) as stream:
            if os.fstat(stream.fileno()).st_mode & 0o077:
                raise ConfigError(f"{file}: others may read these keys; run: chmod 600 {file}")
            text = stream.read(4096).decode("ascii", "replace")
        try:
            return BridgeKeys.decode(text)
        except ConfigError as error:
            raise ConfigError(
                f"{file}: damaged: {error}; restore it from a backup, or make new keys and a new "
                f"bridge line: obfsfte keygen --force --state {shlex.quote(str(self.path))}"
            ) from None

    def _write_keys(self, random: RandomBytes) -> BridgeKeys:
        keys = BridgeKeys.generate(random)
        _replace(self._keys_path, keys.encode().encode("ascii"))
        return keys

    @contextlib.contextmanager
    def _changing(self) -> Iterator[None]:
        """Hold the lock, in a directory that nobody else can change."""
        with self._explained():
            self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            if self.path.stat().st_mode & 0o022:
                directory = shlex.quote(str(self.path))
                raise ConfigError(
                    f"{directory}: others may write to this directory; run: chmod 700 {directory}"
                )
            with _locked(self._lock_path):
                yield

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        directory = shlex.quote(str(self.path))
        try:
            yield
        except (FileExistsError, NotADirectoryError):
            raise ConfigError(f"{directory}: this is not a directory") from None
        except PermissionError:
            raise ConfigError(
                f"{directory}: permission denied; run as the user whose bridge it is, or, as root: "
                f"chown -R {os.geteuid()} {directory}"
            ) from None
        except OSError as error:
            raise ConfigError(f"{directory}: cannot be used: {error.strerror}") from None


class ReplayJournal:
    """A `ReplayCheck` that several processes share, and that outlives them.

    When the file cannot be used (a full disk), `on_error` is told and this process goes on
    with its own memory. Not so without a free file descriptor, to which any stranger can bring
    us: he could then send again what another process has answered, so nobody is answered.
    """

    def __init__(
        self, directory: Path, lock: Path, memory: ReplayFilter, on_error: Callable[[OSError], None]
    ) -> None:
        self._path = directory / "replay.journal"
        self._lock = lock
        self._memory = memory
        self._on_error = on_error
        self._fd = -1
        self._identity = (-1, -1)  # device and inode of the open file
        self._read = 0  # bytes of the file that are in the memory

    def check_and_add(self, nonce: bytes, client_time: int, now: int) -> bool:
        """Whether a hello may be answered; each may be once. Times are unix time, in seconds."""
        fresh = None
        try:
            with _locked(self._lock):
                self.catch_up(now)
                fresh = self._memory.check_and_add(nonce, client_time, now)
                if fresh:
                    self._append(client_time, nonce)
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                return False
            self._on_error(error)
        if fresh is None:
            fresh = self._memory.check_and_add(nonce, client_time, now)
        return fresh

    def catch_up(self, now: int) -> None:
        """Read what other processes appended. The caller holds the lock."""
        size = self._open()
        whole = size - size % JOURNAL_ENTRY.size
        if whole < size:
            os.ftruncate(self._fd, whole)
        at = max(self._read, whole - _MOST)
        while at < whole:
            news = os.pread(self._fd, min(whole - at, _CHUNK), at)
            if len(news) % JOURNAL_ENTRY.size or not news:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(self._path))
            self._memory.restore(JOURNAL_ENTRY.iter_unpack(news), now)
            at += len(news)
        self._read = whole
        if whole > JOURNAL_ENTRY.size * (2 * self._memory.size + _SLACK):
            _replace(
                self._path, b"".join(JOURNAL_ENTRY.pack(*entry) for entry in self._memory.entries())
            )
            self._read = self._open()

    def close(self) -> None:
        """Give the file back to the system."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> int:
        """Have the current file open, which another process may have replaced; return its size."""
        if self._fd >= 0:
            with contextlib.suppress(FileNotFoundError):
                status = os.stat(self._path)
                if (status.st_dev, status.st_ino) == self._identity:
                    return status.st_size
            self.close()
        flags = os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_CLOEXEC
        self._fd = os.open(self._path, flags, 0o600)
        self._read = 0
        status = os.fstat(self._fd)
        self._identity = status.st_dev, status.st_ino
        return status.st_size

    def _append(self, client_time: int, nonce: bytes) -> None:
        entry = JOURNAL_ENTRY.pack(client_time, nonce)
        if os.write(self._fd, entry) < len(entry):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(self._path))
        self._read += len(entry)
