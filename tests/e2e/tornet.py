"""A private Tor network of real tor processes on loopback.

```
 curl -> client tor -> PT client ~~~~~ PT server -> bridge tor -> relays -> web server
         `------ add_client ------'    `------ add_bridge -----'
```

`TorNetwork` starts the relays: three directory authorities, and one more. Bridges and clients
join it, each with the torrc lines that its pluggable transport needs. The harness adds only what
makes the network private, so those lines can be exactly the ones that an operator writes.

Every process inherits the data directory of its tor in an environment variable, so one that
outlived its tor is found even after init has adopted it.
"""

from __future__ import annotations

import itertools
import os
import re
import shutil
import signal
import socket
import subprocess
import tempfile
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType
from typing import Self, TypeVar

from tests.e2e.tools import tool
from tests.e2e.waiting import LOOPBACK, free_port, wait_for

T = TypeVar("T")

MARK = "OBFSFTE_E2E_TOR"
AUTHORITIES = ("authority0", "authority1", "authority2")

NETWORK_TORRC = """\
TestingTorNetwork 1
Address 127.0.0.1
AssumeReachable 1
PathsNeededToBuildCircuits 0.25
LearnCircuitBuildTimeout 0
CircuitBuildTimeout 10
ShutdownWaitLength 1 second
Log [~control]notice stdout
"""

RELAY_TORRC = """\
SocksPort 0
ExitRelay 1
ExitPolicy accept *:*
ExitPolicyRejectLocalInterfaces 0
"""

# The authorities vote every ten seconds from the start, and the flags that a relay earns over
# days are given to all.
AUTHORITY_TORRC = """\
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
ContactInfo nobody@localhost
TestingV3AuthInitialVotingInterval 5 seconds
TestingV3AuthInitialVoteDelay 2 seconds
TestingV3AuthInitialDistDelay 2 seconds
V3AuthVotingInterval 10 seconds
V3AuthVoteDelay 2 seconds
V3AuthDistDelay 2 seconds
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingMinExitFlagThreshold 0
"""


class TorError(AssertionError):
    """A tor did not do what was expected of it."""


def processes_marked(mark: str) -> dict[int, str]:
    """The running processes that inherited `mark`: process id -> command line."""
    found = {}
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            environment = (entry / "environ").read_bytes().split(b"\0")
            command = (entry / "cmdline").read_bytes()
        except OSError:  # it has ended, or it is another user's
            continue
        if f"{MARK}={mark}".encode() in environment:
            found[int(entry.name)] = command.replace(b"\0", b" ").decode().strip()
    return found


def zombies_of(parent: int) -> list[int]:
    """The children of `parent` that have ended and that it has not reaped."""
    found = []
    for entry in Path("/proc").glob("[0-9]*"):
        try:
            state, ppid = (entry / "stat").read_text().rpartition(") ")[2].split()[:2]
        except OSError:
            continue
        if state == "Z" and int(ppid) == parent:
            found.append(int(entry.name))
    return found


class Tor:
    """One tor process, its children, its data directory and its log."""

    def __init__(self, name: str, data_dir: Path, torrc: str) -> None:
        self.name = name
        self.data_dir = data_dir
        self.log_file = data_dir / "log"
        self._control_socket = data_dir / "control"
        data_dir.mkdir(mode=0o700, exist_ok=True)
        torrc_file = data_dir / "torrc"
        torrc_file.write_text(
            f"DataDirectory {data_dir}\nControlSocket {self._control_socket}\n{torrc}"
        )
        with self.log_file.open("ab") as log:
            self._process = subprocess.Popen(
                [tool("tor"), "--defaults-torrc", os.devnull, "-f", torrc_file],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                cwd=data_dir.parent,
                env={**os.environ, MARK: str(data_dir)},
                start_new_session=True,
            )
        self.pid = self._process.pid

    def log(self) -> str:
        """All it has logged; empty once the network is closed."""
        try:
            return self.log_file.read_text(errors="replace")
        except FileNotFoundError:
            return ""

    def log_tail(self, lines: int = 30) -> str:
        return "\n".join(self.log().splitlines()[-lines:])

    def wait_for(self, condition: Callable[[], T], what: str, timeout: float = 60) -> T:
        """`wait_for`, but give up as soon as this tor has exited."""

        def alive_and_condition() -> T:
            if (status := self._process.poll()) is not None:
                raise AssertionError(f"{self.name} exited with status {status}")
            return condition()

        try:
            return wait_for(alive_and_condition, f"{what} at {self.name}", timeout)
        except TorError:
            raise
        except AssertionError as error:
            raise TorError(f"{error}; its log ends with:\n{self.log_tail()}") from None

    def getinfo(self, keyword: str) -> str:
        """The value that tor's GETINFO (control-spec section 3.9) has for `keyword`.

        Raises TorError if it has none.
        """
        with (
            self.wait_for(self._connect_to_control, "control port") as connection,
            connection.makefile("rw", encoding="utf-8", newline="\r\n") as control,
        ):
            control.write(f"AUTHENTICATE\r\nGETINFO {keyword}\r\n")
            control.flush()
            lines = (line.removesuffix("\r\n") for line in control)
            next(lines)
            first = next(lines)
            if first == f"250+{keyword}=":
                return "\n".join(itertools.takewhile(lambda line: line != ".", lines))
            if not first.startswith(f"250-{keyword}="):
                raise TorError(f"{self.name} answers GETINFO {keyword} with {first!r}")
            return first.partition("=")[2]

    def _connect_to_control(self) -> socket.socket | None:
        connection = socket.socket(socket.AF_UNIX)
        connection.settimeout(10)
        try:
            connection.connect(str(self._control_socket))
        except OSError:  # it has just been started
            connection.close()
            return None
        return connection

    def bootstrap_phase(self) -> str:
        return self.getinfo("status/bootstrap-phase")

    def wait_for_bootstrap(self, timeout: float = 60) -> None:
        self.wait_for(
            lambda: "PROGRESS=100 " in self.bootstrap_phase(), "bootstrap to 100 %", timeout
        )

    def wait_for_relays(self, number: int) -> None:
        """Wait for a consensus with this many relays."""
        self.wait_for(
            lambda: self.getinfo("ns/all").count(" Running ") == number, f"{number} relays"
        )

    @property
    def fingerprint(self) -> str:
        """The relay's identity, in 40 hex digits."""
        return self.getinfo("fingerprint")

    @property
    def socks_port(self) -> int:
        return self._port("socks")

    @property
    def http_port(self) -> int:
        """Where a client takes HTTP CONNECT."""
        return self._port("httptunnel")

    def _port(self, kind: str) -> int:
        return int(self.getinfo(f"net/listeners/{kind}").strip('"').rpartition(":")[2])

    def processes(self) -> dict[int, str]:
        """This tor and every process it started: process id -> command line."""
        return processes_marked(str(self.data_dir))

    def proxies(self) -> dict[int, str]:
        """The managed proxies: process id -> command line."""
        return {pid: command for pid, command in self.processes().items() if pid != self.pid}

    def send_signal(self, number: signal.Signals) -> None:
        self._process.send_signal(number)

    def end(self, number: signal.Signals = signal.SIGTERM) -> None:
        """Send tor a signal that ends it, and wait until all that it started is gone, too.

        Raises TorError, naming what is left, and kills it. A tor that only hangs is killed
        without a word: as a relay, 0.4.9.11 sometimes deadlocks in its cpuworker_free_all.
        """
        self.send_signal(number)
        try:
            self._process.wait(5)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        try:
            wait_for(lambda: not self.processes(), "end of all processes", timeout=10)
        except AssertionError:
            left = self.processes()
            for pid in left:
                os.kill(pid, signal.SIGKILL)
            raise TorError(f"{self.name} has left behind {left}") from None


class TorNetwork:
    """The relays, and the bridges and clients that were added; a context manager."""

    def __init__(self) -> None:
        self.nodes: dict[str, Tor] = {}
        self._directory = Path(tempfile.mkdtemp(prefix="tornet-"))
        self._torrc = NETWORK_TORRC

    def __enter__(self) -> Self:
        try:
            self._start_relays()
        except BaseException:
            self.close()
            raise
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop every tor that still runs. Raises TorError if one left a process behind."""
        for tor in self.nodes.values():
            tor.send_signal(signal.SIGTERM)
        with ExitStack() as stack:
            stack.callback(shutil.rmtree, self._directory)
            for tor in self.nodes.values():
                stack.callback(tor.end)

    def add_bridge(self, name: str, torrc: str) -> Tor:
        """Start a bridge with these lines and wait until it can serve clients.

        Its descriptors go to the network's bridge authority.
        """
        bridge = self._start(name, f"{torrc}\nSocksPort 0\nPublishServerDescriptor bridge\n")
        bridge.wait_for_bootstrap()
        return bridge

    def add_client(self, name: str, torrc: str) -> Tor:
        """Start a client with these lines, and do not wait for it."""
        return self._start(name, f"{torrc}\nSocksPort auto\nHTTPTunnelPort auto\n")

    def extra_info(self, bridge: Tor) -> str:
        """The extra-info document (dir-spec) that the bridge has published, "" until it has."""
        authority = self.nodes[AUTHORITIES[0]]
        try:
            descriptor = authority.getinfo(f"desc/id/{bridge.fingerprint}")
            digest = re.search(r"^extra-info-digest (\w+)", descriptor, re.MULTILINE)
            return authority.getinfo(f"extra-info/digest/{digest[1]}") if digest else ""
        except TorError:
            return ""

    def _start(self, name: str, torrc: str) -> Tor:
        if name in self.nodes:
            raise TorError(f"{name} has been started before")
        self.nodes[name] = Tor(name, self._directory / name, self._torrc + torrc)
        return self.nodes[name]

    def _start_relays(self) -> None:
        """Start the relays; return once they all know each other."""
        torrcs = {}
        for name in AUTHORITIES:
            or_port, dir_port = free_port(), free_port()
            identity, fingerprint = self._make_keys(name, or_port, dir_port)
            bridges = name == AUTHORITIES[0]
            self._torrc += (
                f"DirAuthority {name} orport={or_port} v3ident={identity}"
                f"{' bridge' if bridges else ''} {LOOPBACK}:{dir_port} {fingerprint}\n"
            )
            torrcs[name] = (
                f"Nickname {name}\nORPort {LOOPBACK}:{or_port}\nDirPort {LOOPBACK}:{dir_port}\n"
                f"BridgeAuthoritativeDir {bridges:d}\n{AUTHORITY_TORRC}"
            )
        # A bridge publishes through four hops, itself not counted.
        torrcs["relay"] = f"Nickname relay\nORPort {LOOPBACK}:auto\n"
        for name, torrc in torrcs.items():
            self._start(name, torrc + RELAY_TORRC)
        for tor in self.nodes.values():
            tor.wait_for_relays(len(torrcs))

    def _make_keys(self, name: str, or_port: int, dir_port: int) -> tuple[str, str]:
        """An authority's keys: the fingerprints of its v3 identity and of its relay identity."""
        keys = self._directory / name / "keys"
        keys.mkdir(mode=0o700, parents=True)
        keys.parent.chmod(0o700)
        options = f"--create-identity-key --passphrase-fd 0 -a {LOOPBACK}:{dir_port}"
        subprocess.run(
            [tool("tor-gencert"), *options.split()],
            cwd=keys,
            input=b"passphrase\n",
            capture_output=True,
            check=True,
        )
        certificate = (keys / "authority_certificate").read_text()
        identity = re.search(r"^fingerprint (\w+)$", certificate, re.MULTILINE)
        options = (
            f"--quiet --defaults-torrc {os.devnull} --ignore-missing-torrc -f none --DataDirectory"
            f" {keys.parent} --Nickname {name} --ORPort {or_port} --list-fingerprint"
        )
        listing = subprocess.run(
            [tool("tor"), *options.split()], cwd=keys, capture_output=True, text=True, check=True
        )
        assert identity is not None
        return identity[1], "".join(listing.stdout.split()[1:])
