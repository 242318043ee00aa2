"""Machines that are directories: a Debian with tor, laid out as a test asks for."""

from __future__ import annotations

import os
import time
from pathlib import Path, PurePosixPath
from random import Random

from obfsfte.doctor import Finding, Machine, examine
from obfsfte.session.keys import BridgeKeys

TORRC = """\
BridgeRelay 1
ORPort 127.0.0.1:auto
ExtORPort auto
ServerTransportPlugin fte exec /usr/bin/obfsfte pt
ServerTransportListenAddr fte 0.0.0.0:8080
ServerTransportOptions fte cover=websocket fallback=tcp:127.0.0.1:80
"""

#: The lines of Debian 12's tor@default.service that concern us.
TOR_UNIT = """\
[Service]
LimitNOFILE=65536
AppArmorProfile=-system_tor
NoNewPrivileges=yes
PrivateTmp=yes
ProtectHome=yes
"""

#: The same of its AppArmor profile.
TOR_PROFILE = """\
#include <tunables/global>
profile system_tor flags=(attach_disconnected) {
  #include <abstractions/tor>
  owner /var/lib/tor/** rwk,
  #include <local/system_tor>
}
"""
TOR_ABSTRACTION = "  /usr/bin/obfsproxy PUx,\n  /usr/bin/obfs4proxy Pix,\n"

STATE = "/var/lib/tor/pt_state/fte"
BRIDGE_PID = 4242

VERSIONS = {
    "Python": "3.11.2",
    "Twisted": "22.4.0",
    "cryptography": "38.0.4",
    "attrs": "22.2.0",
    "h11": "0.14.0",
    "service-identity": "18.1.0",
    "pyOpenSSL": "23.0.0",
}


class DebianBridge(Machine):
    """A machine on which nothing is wrong, until a test changes it."""

    def __init__(self, root: Path) -> None:
        super().__init__(root)
        self.versions = dict(VERSIONS)
        self.form = "C"
        self.clock_kept = True
        self.unreachable: dict[str, str] = {}
        self.disk = 1 << 30
        self.write("/etc/passwd", f"root:x:0:0:::\ndebian-tor:x:{os.getuid()}:1:::\n")
        self.write("/etc/tor/torrc", TORRC)
        self.write("/usr/share/tor/tor-service-defaults-torrc", "DataDirectory /var/lib/tor\n")
        self.write("/usr/bin/obfsfte", "#!/usr/bin/python3\n", 0o755)
        self.write("/lib/systemd/system/tor@default.service", TOR_UNIT)
        self.write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "1024\n")
        self.write("/sys/module/apparmor/parameters/enabled", "N\n")
        self.write(f"{STATE}/bridge.keys", BridgeKeys.generate(Random(1).randbytes).encode())
        self.write(f"{STATE}/replay.journal", "")
        self.at(STATE).chmod(0o700)
        self.listen(8080, BRIDGE_PID, "/usr/bin/python3", "/usr/bin/obfsfte", "pt")

    def write(self, path: str, text: str, mode: int = 0o600) -> None:
        place = self.at(path)
        place.parent.mkdir(parents=True, exist_ok=True)
        place.write_text(text)
        place.chmod(mode)

    def replace(self, path: str, old: str, new: str) -> None:
        text = self.at(path).read_text()
        assert old in text
        self.at(path).write_text(text.replace(old, new))

    def listen(self, port: int, process: int, *command: str, files: int = 65536) -> None:
        """One process, and no other, listens on one port, and no other."""
        heading = (
            "  sl  local_address rem_address   st tx_queue tr tm->when retrnsmt uid timeout inode\n"
        )
        line = (
            f"   0: 00000000:{port:04X} 00000000:0000 0A 0:0 00:0 0 105 0 {process * 7} 1 0 100\n"
        )
        other = "   1: 0100007F:1F90 0200007F:A000 01 0:0 00:0 0 105 0 99 1 0 100\n"
        self.write("/proc/net/tcp", heading + line + other)
        self.write(f"/proc/{process}/cmdline", "\0".join(command) + "\0")
        self.write(
            f"/proc/{process}/limits",
            f"Limit  Soft Limit  Hard Limit  Units\nMax open files  {files}  {files}  files\n",
        )
        descriptor = self.at(f"/proc/{process}/fd/7")
        descriptor.parent.mkdir(exist_ok=True)
        descriptor.unlink(missing_ok=True)
        descriptor.symlink_to(f"socket:[{process * 7}]")

    def confine(self, local: str = "") -> None:
        """Switch AppArmor on, as Debian's tor comes."""
        self.write("/sys/module/apparmor/parameters/enabled", "Y\n")
        self.write("/sys/kernel/security/apparmor/profiles", "system_tor (enforce)\n")
        self.write("/etc/apparmor.d/system_tor", TOR_PROFILE)
        self.write("/etc/apparmor.d/abstractions/tor", TOR_ABSTRACTION)
        self.write("/etc/apparmor.d/local/system_tor", local)
        ours = Path(__file__).parents[2] / "debian" / "apparmor" / "abstractions" / "obfsfte"
        self.write("/etc/apparmor.d/abstractions/obfsfte", ours.read_text())

    def examine(self) -> list[Finding]:
        return examine(self, PurePosixPath("/etc/tor/torrc"))

    def only_finding(self) -> Finding:
        [finding] = self.examine()
        return finding

    def version(self, distribution: str) -> str | None:
        return self.versions.get(distribution)

    def ranking(self) -> str:
        return self.form

    def clock_is_kept(self) -> bool:
        return self.clock_kept

    def connect(self, place: str) -> str | None:
        return self.unreachable.get(place)

    def free_bytes(self, path: object) -> int:
        return self.disk

    def now(self) -> float:
        return time.time()
