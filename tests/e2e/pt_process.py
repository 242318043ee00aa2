"""Managed proxies as real processes: started, heard and ended as tor does it, without tor.

```
 test (tor's client) --SOCKS5--> obfsfte pt ~~~~~ obfsfte pt ----> test (tor's ORPort: a Target)
        `------- environment, stdin, stdout -------'
```
Whatever a test does, each line on a proxy's standard output must be one of pt-spec 3.3.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import socket
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import TracebackType

from obfsfte.pyptlib.util import encode_client_args
from tests.e2e.halves import Target, connect, receive
from tests.e2e.process import PATIENCE, Child
from tests.e2e.tools import TWISTD_COMMAND
from tests.e2e.waiting import LOOPBACK

BIN = Path(sys.executable).parent
PT: tuple[object, ...] = (BIN / "obfsfte", "pt")
TWISTD: tuple[object, ...] = (TWISTD_COMMAND, "-n", "--pidfile=", "fte-bridge", "--managed")

_NAME = r"[A-Za-z_][A-Za-z0-9_]*"
_TEXT = r"[ -~]+"
_PLACE = r"(\d+\.\d+\.\d+\.\d+|\[[0-9a-f:]+\]):[1-9]\d*"
_ARG = r"([!-+\--<>-\[\]-~]|\\[,=\\])+"
_C_STRING = r'"([ !#-\[\]-~]|\\["\\nrt]|\\[0-7]{3})*"'

#: All that a transport may say (pt-spec 3.3), and of that what we do.
LINE = re.compile(
    rf"""VERSION\ 1 | VERSION-ERROR\ no-version | ENV-ERROR\ {_TEXT}
    | PROXY\ DONE | PROXY-ERROR\ {_TEXT}
    | CMETHOD\ {_NAME}\ socks5\ {_PLACE} | CMETHOD-ERROR\ {_NAME}\ {_TEXT} | CMETHODS\ DONE
    | SMETHOD\ {_NAME}\ {_PLACE}(\ ARGS:{_ARG}={_ARG}(,{_ARG}={_ARG})*)?
    | SMETHOD-ERROR\ {_NAME}\ {_TEXT} | SMETHODS\ DONE
    | LOG\ SEVERITY=(error|warning|notice|info|debug)\ MESSAGE={_C_STRING}
    | STATUS\ TYPE=version\ IMPLEMENTATION=obfsfte\ VERSION=[!-~]+""",
    re.VERBOSE,
)


def client_environment(state: Path, **changes: str | None) -> dict[str, str]:
    """What tor tells a client; None takes a variable away."""
    return _environment({"TOR_PT_CLIENT_TRANSPORTS": "fte"}, state, changes)


def server_environment(state: Path, orport: int, **changes: str | None) -> dict[str, str]:
    """What tor tells a server that delivers to an ORPort on loopback."""
    base = {
        "TOR_PT_SERVER_TRANSPORTS": "fte",
        "TOR_PT_SERVER_BINDADDR": f"fte-{LOOPBACK}:0",
        "TOR_PT_ORPORT": f"{LOOPBACK}:{orport}",
        "TOR_PT_EXTENDED_SERVER_PORT": "",
        "TOR_PT_SERVER_TRANSPORT_OPTIONS": "fte:cover=base64",  # soon loaded
    }
    return _environment(base, state, changes)


def _environment(
    base: Mapping[str, str], state: Path, changes: Mapping[str, str | None]
) -> dict[str, str]:
    # Whoever runs the tests may want of his Python what tor does not.
    inherited = {name: text for name, text in os.environ.items() if name[:6] != "PYTHON"}
    common = {
        "TOR_PT_MANAGED_TRANSPORT_VER": "1",
        "TOR_PT_STATE_LOCATION": str(state),
        "TOR_PT_EXIT_ON_STDIN_CLOSE": "1",
    }
    everything = {**inherited, **common, **base, **changes}
    return {name: value for name, value in everything.items() if value is not None}


class Managed(Child):
    """A managed proxy. Ends with its `with` block.

    `lines` are the lines read from its standard output so far, all of them in the end.
    """

    def __init__(
        self,
        environment: Mapping[str, str],
        *options: object,
        command: tuple[object, ...] = PT,
        cwd: Path | None = None,
    ) -> None:
        pipe = subprocess.PIPE
        super().__init__([*command, *options], environment, stdin=pipe, stdout=pipe, cwd=cwd)
        assert self._popen.stdin is not None
        assert self._popen.stdout is not None
        self._stdin, self._stdout = self._popen.stdin, self._popen.stdout
        self._unread = b""
        self.lines: list[str] = []

    @property
    def said(self) -> str:
        return f"{self.lines}\n{self.stderr}"

    def wait_for_line(self, pattern: str) -> re.Match[str]:
        """Read lines until one of them is like `pattern`, as a whole."""
        for line in self._read_lines():
            if match := re.fullmatch(pattern, line):
                return match
        raise AssertionError(f"never said {pattern!r}, but {self.lines} and {self.stderr}")

    def launched(self) -> list[str]:
        """Read until all transports are reported; all lines that are not LOG."""
        self.wait_for_line("[CS]METHODS DONE")
        return [line for line in self.lines if not line.startswith("LOG ")]

    def port(self) -> int:
        """Read until the one transport is reported; where it listens."""
        return int(self.wait_for_line(r"[CS]METHOD fte .*?:(\d+)( ARGS:.*)?")[1])

    def logged(self) -> list[str]:
        """The LOG lines read so far."""
        return [line for line in self.lines if line.startswith("LOG ")]

    def close_stdin(self) -> None:
        """As tor does to end us; and what happens when tor is gone."""
        self._stdin.close()

    def say(self, data: bytes) -> None:
        """Write to its standard input; tor never does."""
        self._stdin.write(data)
        self._stdin.flush()

    def close_stdout(self) -> None:
        """Hear no more; what it writes is a broken pipe for it."""
        self._stdout.close()

    def wait(self) -> int:
        """Read all that it still says and wait for its end; the exit status."""
        if not self._stdout.closed:
            for _ in self._read_lines():
                pass
        return super().wait()

    def close(self) -> None:
        self._stdin.close()
        self._stdout.close()
        super().close()

    def _read_lines(self) -> Iterator[str]:
        deadline = time.monotonic() + PATIENCE
        while True:
            line, newline, rest = self._unread.partition(b"\n")
            if newline:
                self._unread = rest
                self.lines.append(line.decode("latin-1"))
                yield self.lines[-1]
                continue
            ready, _, _ = select.select([self._stdout], [], [], deadline - time.monotonic())
            assert ready, f"silent after {self.lines} and {self.stderr}"
            data = os.read(self._stdout.fileno(), 1 << 16)
            if not data:
                assert self._unread == b"", "the last line has no end"
                return
            self._unread += data

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, traceback)
        for line in self.lines:
            assert LINE.fullmatch(line), f"not a line of pt-spec: {line!r}"


def ask(
    port: int, host: str, bridge_port: int, arguments: Mapping[str, str] | None = None
) -> socket.socket:
    """Ask for a connection as tor's client does (RFC 1928, RFC 1929), and do not wait for it."""
    connection = connect(port)
    if arguments:
        username, password = encode_client_args(arguments)
        connection.sendall(b"\x05\x02\x00\x02")
        assert receive(connection, 2) == b"\x05\x02"
        login = [bytes([len(text)]) + text for text in (username, password)]
        connection.sendall(b"\x01" + b"".join(login))
        assert receive(connection, 2) == b"\x01\x00"
    else:
        connection.sendall(b"\x05\x01\x00")
        assert receive(connection, 2) == b"\x05\x00"
    connection.sendall(b"\x05\x01\x00" + _packed(host) + bridge_port.to_bytes(2, "big"))
    return connection


def socks(
    port: int, host: str, bridge_port: int, arguments: Mapping[str, str] | None = None
) -> tuple[socket.socket, int]:
    """As `ask`: the connection and the code of the reply, -1 if there was none."""
    connection = ask(port, host, bridge_port, arguments)
    reply = receive(connection, 10)
    if len(reply) < 10:
        return connection, -1
    assert reply[0] == 5 and reply[2:] == b"\x00\x01" + bytes(6)
    return connection, reply[1]


def refusal(
    port: int, host: str, bridge_port: int, arguments: Mapping[str, str] | None = None
) -> int:
    """The code of the reply to a request that is not granted; the connection then ends."""
    connection, reply = socks(port, host, bridge_port, arguments)
    with connection:
        assert reply != 0
        assert receive(connection, 1) == b""
    return reply


def _packed(host: str) -> bytes:
    for kind, family in ((b"\x01", socket.AF_INET), (b"\x04", socket.AF_INET6)):
        with contextlib.suppress(OSError):
            return kind + socket.inet_pton(family, host)
    return bytes([3, len(host)]) + host.encode("ascii")


class Bridge:
    """A managed server and what clients know of it."""

    def __init__(self, server: Managed, target: Target) -> None:
        method = server.wait_for_line(r"SMETHOD fte .*?:(\d+) ARGS:(.*)")
        server.wait_for_line("SMETHODS DONE")
        self.server = server
        self.target = target
        self.port = int(method[1])
        arguments = (word.partition("=") for word in method[2].split(","))
        #: Of the bridge line.
        self.arguments = {key: value for key, _, value in arguments}


@contextmanager
def managed_bridge(state: Path, target: Target, **changes: str | None) -> Iterator[Bridge]:
    """A managed server that delivers to `target`; `changes` are to its environment."""
    with Managed(server_environment(state, target.port, **changes)) as server:
        yield Bridge(server, target)


def tunnel(port: int, bridge: Bridge) -> tuple[socket.socket, socket.socket]:
    """The application's and tor's end of a new connection through both halves."""
    application, reply = socks(port, LOOPBACK, bridge.port, bridge.arguments)
    assert reply == 0
    return application, greeted(application, bridge.target)


def greeted(application: socket.socket, target: Target) -> socket.socket:
    """The target's end of a connection, once the application's first word has come out of it."""
    application.sendall(b"hello")
    service = target.accept()
    assert receive(service, 5) == b"hello"
    return service


def carries(application: socket.socket, service: socket.socket) -> bool:
    """Whether both ends hear each other."""
    application.sendall(b"to the service")
    service.sendall(b"to the application")
    return (
        receive(service, 14) == b"to the service"
        and receive(application, 18) == b"to the application"
    )
