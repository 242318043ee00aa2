"""Commands as a person runs them: a process, its streams, its exit status."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import attrs

COMMAND = Path(sys.executable).with_name("obfsfte")


@attrs.frozen
class Finished:
    """What a command left behind."""

    status: int
    stdout: bytes
    stderr: str

    @property
    def complaint(self) -> str:
        """The one line that a failed command said, without the program's name."""
        assert self.status != 0
        assert self.stdout == b""
        return one_complaint(self.stderr)


def obfsfte(*arguments: object, stdin: bytes = b"") -> Finished:
    """Run a command to its end."""
    return run(COMMAND, *arguments, stdin=stdin)


def run(*command: object, stdin: bytes = b"") -> Finished:
    done = subprocess.run(
        [str(word) for word in command], input=stdin, capture_output=True, timeout=60
    )
    return Finished(done.returncode, done.stdout, done.stderr.decode())


def one_complaint(stderr: str) -> str:
    assert stderr.startswith("obfsfte: ")
    assert stderr.count("\n") == 1
    assert stderr.endswith("\n")
    return stderr.removeprefix("obfsfte: ").rstrip()
