"""Processes that a test starts, and ends whatever happens."""

from __future__ import annotations

import os
import re
import signal
import subprocess
import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from types import TracebackType
from typing import IO, Self

from tests.e2e.waiting import wait_for

#: How long a test waits for a process or a socket before that is a failure, in seconds.
PATIENCE = 30.0


class Child:
    """A process, what it wrote to standard error, and what it costs.

    Ends with its `with` block; what it said is then in the notes of the block's exception.
    """

    def __init__(
        self,
        command: Sequence[object],
        env: Mapping[str, str],
        *,
        stdin: int,
        stdout: int | IO[bytes],
        cwd: Path | None = None,
    ) -> None:
        self._stderr = tempfile.TemporaryFile()  # noqa: SIM115 (closed by __exit__)
        self._popen = subprocess.Popen(
            [str(word) for word in command],
            stdin=stdin,
            stdout=stdout,
            stderr=self._stderr,
            env=env,
            cwd=cwd,
        )

    @property
    def pid(self) -> int:
        return self._popen.pid

    @property
    def stderr(self) -> str:
        return content(self._stderr)

    @property
    def said(self) -> str:
        """All that it has written so far."""
        raise NotImplementedError

    @property
    def status(self) -> int | None:
        """The exit status; None while it runs."""
        return self._popen.poll()

    def wait(self) -> int:
        """Wait for its end; the exit status."""
        return self._popen.wait(PATIENCE)

    def signal(self, number: signal.Signals) -> None:
        self._popen.send_signal(number)

    def resident_memory(self) -> int:
        """Bytes of memory it holds now."""
        return self._memory("VmRSS")

    def peak_memory(self) -> int:
        """The most bytes of memory that it ever held."""
        return self._memory("VmHWM")

    def _memory(self, name: str) -> int:
        status = Path(f"/proc/{self.pid}/status").read_text()
        found = re.search(rf"^{name}:\s+(\d+) kB$", status, re.MULTILINE)
        assert found is not None
        return int(found[1]) * 1024

    def cpu_seconds(self) -> float:
        """Processor time used so far."""
        fields = Path(f"/proc/{self.pid}/stat").read_text().rpartition(") ")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def close(self) -> None:
        """Give back what it left, once it has ended."""
        self._stderr.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self._popen.kill()
        try:
            self.wait()
            if error is not None:
                error.add_note(f"{self._popen.args}:\n{self.said}")
        finally:
            self.close()


class Process(Child):
    """A command that has nothing to read, and what it printed."""

    def __init__(self, *command: object, env: Mapping[str, str] | None = None) -> None:
        self._stdout = tempfile.TemporaryFile()  # noqa: SIM115 (closed by `close`)
        environment = {**os.environ, **(env or {})}
        super().__init__(command, environment, stdin=subprocess.DEVNULL, stdout=self._stdout)

    @property
    def stdout(self) -> str:
        return content(self._stdout)

    @property
    def said(self) -> str:
        return self.stdout + self.stderr

    def wait_for_output(self, pattern: str) -> re.Match[str]:
        """Wait until stdout or stderr has the pattern. AssertionError once it has ended."""

        def found() -> re.Match[str] | None:
            ended = self.status is not None
            match = re.search(pattern, self.stdout) or re.search(pattern, self.stderr)
            assert match or not ended, f"ended with {self.status}: {self.said}"
            return match

        return wait_for(found, f"output like {pattern!r}")

    def close(self) -> None:
        self._stdout.close()
        super().close()


def content(file: IO[bytes]) -> str:
    """What was written to a file that another process has open."""
    return os.pread(file.fileno(), 1 << 24, 0).decode("utf-8", "replace")
