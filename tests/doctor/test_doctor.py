"""`obfsfte doctor` finds the one fault of each machine, and nothing on a good one."""

from __future__ import annotations

import os
import socket
from pathlib import Path, PurePosixPath

import pytest

from obfsfte.cli import main
from obfsfte.doctor import Finding, Machine, examine
from obfsfte.errors import ConfigError
from obfsfte.state import JOURNAL_ENTRY
from tests.doctor.machines import BRIDGE_PID, STATE, DebianBridge


@pytest.fixture
def machine(tmp_path: Path) -> DebianBridge:
    return DebianBridge(tmp_path)


def test_nothing_is_wrong_with_a_good_machine(machine: DebianBridge) -> None:
    assert machine.examine() == []


# What all bridges stand on


def test_a_package_that_is_too_old(machine: DebianBridge) -> None:
    machine.versions["Twisted"] = "20.3.0"
    finding = machine.only_finding()
    assert finding.what == "Twisted is 20.3.0, and must be 22.4 or newer"
    assert finding.remedy.startswith("apt install python3-twisted")


def test_a_package_that_is_missing(machine: DebianBridge) -> None:
    del machine.versions["h11"]
    assert machine.only_finding() == Finding("h11 is not installed", "apt install python3-h11")


def test_newer_packages_are_good(machine: DebianBridge) -> None:
    machine.versions |= {"Python": "3.13.0", "Twisted": "25.5.0rc1", "cryptography": "100"}
    assert machine.examine() == []


def test_the_slow_form(machine: DebianBridge, monkeypatch: pytest.MonkeyPatch) -> None:
    machine.form = "Python"
    monkeypatch.delenv("OBFSFTE_PURE_PYTHON", raising=False)
    assert machine.only_finding().remedy.startswith("apt install --reinstall obfsfte")
    monkeypatch.setenv("OBFSFTE_PURE_PYTHON", "1")
    assert machine.only_finding().remedy == "unset OBFSFTE_PURE_PYTHON"


def test_a_clock_that_nobody_keeps(machine: DebianBridge) -> None:
    machine.clock_kept = False
    assert "clock" in machine.only_finding().what
    assert "timedatectl set-ntp true" in machine.only_finding().remedy


# torrc


def test_nothing_is_set_up(machine: DebianBridge) -> None:
    machine.write("/etc/tor/torrc", "# nothing\n")
    finding = machine.only_finding()
    assert finding.what.startswith("nothing runs obfsfte")
    assert "torrc.example" in finding.remedy


def test_no_tor_and_no_service(machine: DebianBridge) -> None:
    machine.at("/etc/tor/torrc").unlink()
    assert machine.only_finding().what.startswith("nothing runs obfsfte")


def test_a_torrc_of_ones_own_must_be_there(machine: DebianBridge) -> None:
    with pytest.raises(ConfigError, match="cannot read /nowhere"):
        examine(machine, PurePosixPath("/nowhere"))


@pytest.mark.parametrize(
    ("line", "what", "remedy"),
    [
        ("BridgeRelay 1\n", "makes a relay", "echo 'BridgeRelay 1' >> /etc/tor/torrc && "),
        ("ORPort 127.0.0.1:auto\n", "has no ORPort", "echo 'ORPort 127.0.0.1:auto' >> "),
        ("ExtORPort auto\n", "has no ExtORPort", "echo 'ExtORPort auto' >> "),
        (
            "ServerTransportListenAddr fte 0.0.0.0:8080\n",
            "names no port",
            "echo 'ServerTransportListenAddr fte 0.0.0.0:8080' >> ",
        ),
    ],
)
def test_a_missing_line(machine: DebianBridge, line: str, what: str, remedy: str) -> None:
    machine.replace("/etc/tor/torrc", line, "")
    assert what in machine.only_finding().what
    assert machine.only_finding().remedy.startswith(remedy)


def test_torrc_is_read_as_tor_reads_it(machine: DebianBridge) -> None:
    machine.replace("/etc/tor/torrc", "BridgeRelay 1\n", "")
    machine.replace("/etc/tor/torrc", "ExtORPort auto\n", "%include /etc/tor/torrc.d/*.conf\n")
    machine.replace("/etc/tor/torrc", "ORPort 127", "orport \\\n  127")
    machine.write("/etc/tor/torrc.d/a.conf", "BRIDGERELAY 1  # yes\n+ExtORPort auto\n")
    machine.write("/etc/tor/torrc.d/b.off", "BridgeRelay 0\n")
    assert machine.examine() == []


def test_an_include_of_itself_ends(machine: DebianBridge) -> None:
    twice = "%include /etc/tor/torrc\n" * 2
    machine.replace("/etc/tor/torrc", "ExtORPort", f"{twice}%include /etc/tor/more\nExtORPort")
    machine.write("/etc/tor/more", f"{twice}%include /etc/tor/more\n")
    assert machine.examine() == []


@pytest.mark.parametrize("name", ["ServerTransportPlugin", "ServerTransportOptions", "User", "+"])
def test_an_option_without_a_value_says_nothing(machine: DebianBridge, name: str) -> None:
    machine.replace("/etc/tor/torrc", "ExtORPort", f"{name}\nExtORPort")
    assert machine.examine() == []


def test_a_listening_place_without_a_value_is_none(machine: DebianBridge) -> None:
    machine.replace("/etc/tor/torrc", "ListenAddr fte 0.0.0.0:8080", "ListenAddr")
    assert "names no port" in machine.only_finding().what


# What tor may start


def test_a_program_that_is_not_there(machine: DebianBridge) -> None:
    machine.replace("/etc/tor/torrc", "/usr/bin/obfsfte", "/usr/local/bin/obfsfte")
    finding = machine.only_finding()
    assert finding.what == "/etc/tor/torrc starts /usr/local/bin/obfsfte, which is not there"
    assert "s|exec /usr/local/bin/obfsfte|exec /usr/bin/obfsfte|" in finding.remedy


def test_the_packages_program_is_not_there(machine: DebianBridge) -> None:
    """It was installed with pip, and torrc.example taken as it is."""
    machine.at("/usr/bin/obfsfte").unlink()
    finding = machine.only_finding()
    assert finding.what == "/etc/tor/torrc starts /usr/bin/obfsfte, which is not there"
    assert finding.remedy.startswith(
        "sed -i 's|exec /usr/bin/obfsfte|exec '$(command -v obfsfte)'|' /etc/tor/torrc && "
    )


def test_a_program_that_may_not_be_executed(machine: DebianBridge) -> None:
    machine.at("/usr/bin/obfsfte").chmod(0o700)
    assert machine.only_finding().remedy == "chmod 755 /usr/bin/obfsfte"


@pytest.mark.parametrize(
    ("path", "setting"),
    [("/home/me/venv/bin/obfsfte", "ProtectHome"), ("/tmp/venv/bin/obfsfte", "PrivateTmp")],
)
def test_a_program_that_tors_unit_hides(machine: DebianBridge, path: str, setting: str) -> None:
    machine.replace("/etc/tor/torrc", "/usr/bin/obfsfte", path)
    machine.write(path, "", 0o755)
    assert machine.only_finding().what == f"tor's unit hides {path} from tor ({setting}=yes)"
    machine.write("/etc/systemd/system/tor@default.service.d/x.conf", f"[Service]\n{setting}=no\n")
    assert machine.examine() == []


def test_the_clients_program_is_looked_at_too(machine: DebianBridge) -> None:
    machine.write("/etc/tor/torrc", "ClientTransportPlugin obfs4,fte exec /opt/obfsfte pt\n")
    assert "/opt/obfsfte, which is not there" in machine.only_finding().what


# AppArmor


def test_apparmor_keeps_tor_from_starting_us(machine: DebianBridge) -> None:
    machine.confine()
    finding = machine.only_finding()
    assert finding.what == "tor's AppArmor profile does not let tor start /usr/bin/obfsfte"
    assert finding.remedy.startswith(
        "echo 'include if exists <abstractions/obfsfte>' >> /etc/apparmor.d/local/system_tor && "
        "apparmor_parser --replace /etc/apparmor.d/system_tor"
    )


@pytest.mark.parametrize(
    "local",
    [
        "include <abstractions/obfsfte>\n",
        "#include <abstractions/obfsfte>\n",
        "  include if exists <abstractions/obfsfte>\n",
        "/usr/bin/obfsfte mrix,\n",
        "/usr/bin/obfs{4proxy,fte} PUx,\n",
        "/usr/{,local/}bin/obfs* rix,\n",
        "/usr/** mrix,\n",
        "ix /usr/bin/obfsft?,\n",
    ],
)
def test_apparmor_that_lets_tor_start_us(machine: DebianBridge, local: str) -> None:
    machine.confine(local)
    assert machine.examine() == []


@pytest.mark.parametrize(
    "local",
    [
        "# include <abstractions/obfsfte>\n",
        "/usr/bin/obfsfte r,\n",
        "/usr/* ix,\n",
        "deny /usr/bin/obfsfte x,\n",
        "/usr/bin/obfsfte{ ix,\n",
        "include <abstractions/nowhere>\n",
        "include <local/system_tor>\n",
    ],
)
def test_apparmor_that_still_does_not(machine: DebianBridge, local: str) -> None:
    machine.confine(local)
    assert "AppArmor" in machine.only_finding().what


def test_apparmor_and_a_virtual_environment(machine: DebianBridge) -> None:
    machine.replace("/etc/tor/torrc", "/usr/bin/obfsfte", "/opt/venv/bin/obfsfte")
    machine.write("/opt/venv/bin/obfsfte", "", 0o755)
    machine.confine("include <abstractions/obfsfte>\n")
    finding = machine.only_finding()
    assert "'/opt/venv/** mrix,' >> /etc/apparmor.d/local/system_tor" in finding.remedy
    machine.confine("/opt/venv/** mrix,\n")
    assert machine.examine() == []


def test_apparmor_that_does_not_confine_tor(machine: DebianBridge) -> None:
    machine.confine()
    machine.write("/sys/kernel/security/apparmor/profiles", "system_tor (complain)\n")
    assert machine.examine() == []
    machine.confine()
    machine.write("/etc/apparmor.d/disable/system_tor", "")
    assert machine.examine() == []


# Ports


def test_a_low_port_under_tor(machine: DebianBridge) -> None:
    machine.replace("/etc/tor/torrc", "0.0.0.0:8080", "0.0.0.0:443")
    machine.listen(443, BRIDGE_PID, "obfsfte", "pt")
    finding = machine.only_finding()
    assert "port 443 is below 1024" in finding.what
    assert "NoNewPrivileges=yes" in finding.what
    assert finding.remedy.startswith(
        "echo 'net.ipv4.ip_unprivileged_port_start = 443' > /etc/sysctl.d/"
    )
    machine.write("/proc/sys/net/ipv4/ip_unprivileged_port_start", "443\n")
    assert machine.examine() == []


def test_nobody_listens(machine: DebianBridge) -> None:
    machine.listen(9999, BRIDGE_PID, "obfsfte", "pt")
    finding = machine.only_finding()
    assert finding.what == "nothing listens on port 8080: tor's bridge does not run"
    assert finding.remedy.startswith("systemctl restart tor && journalctl")


def test_somebody_else_listens(machine: DebianBridge) -> None:
    machine.listen(8080, 77, "/usr/sbin/nginx", "-g", "daemon on;")
    assert machine.only_finding().what == "port 8080 is taken by nginx (process 77)"


def test_whose_port_it_is_may_be_unknown(machine: DebianBridge) -> None:
    machine.at(f"/proc/{BRIDGE_PID}/fd/7").unlink()
    assert machine.examine() == []


def test_a_firewall(machine: DebianBridge) -> None:
    machine.write("/etc/ufw/ufw.conf", "ENABLED=yes\n")
    machine.write("/etc/ufw/user.rules", "### tuple ### allow tcp 22 0.0.0.0/0 any\n")
    assert machine.only_finding().remedy == "ufw allow 8080/tcp"
    machine.write("/etc/ufw/user.rules", "### tuple ### allow tcp 8080 0.0.0.0/0 any\n")
    assert machine.examine() == []


def test_few_open_files(machine: DebianBridge) -> None:
    machine.listen(8080, BRIDGE_PID, "obfsfte", "pt", files=1024)
    finding = machine.only_finding()
    assert "may have 1024 files open" in finding.what
    assert "LimitNOFILE=65536" in finding.remedy


# What it has to reach


def test_a_fallback_that_does_not_answer(machine: DebianBridge) -> None:
    machine.unreachable["tcp:127.0.0.1:80"] = "Connection refused"
    assert machine.only_finding().what == (
        "tor's bridge cannot reach its fallback tcp:127.0.0.1:80: Connection refused"
    )


@pytest.mark.parametrize(
    ("place", "reason"),
    [
        ("127.0.0.1:80", "Unknown endpoint type"),
        ("tcp:127.0.0.1:99999", "no usable port"),
        ("tcp:site..example:80", "no address"),
        ("tcp:s\ufffdte:80", "no address"),
        ("tcp:80", "it reads like tcp:"),
    ],
)
def test_a_fallback_that_is_no_place(machine: DebianBridge, place: str, reason: str) -> None:
    machine.replace("/etc/tor/torrc", "tcp:127.0.0.1:80", place)
    finding = machine.only_finding()
    assert finding.what.startswith("/etc/tor/torrc: the fallback: cannot connect to ")
    assert reason in finding.what
    assert finding.remedy == "editor /etc/tor/torrc"


def test_a_cover_that_is_not_there(machine: DebianBridge) -> None:
    machine.replace("/etc/tor/torrc", "cover=websocket", "cover=websocket,own")
    assert "no cover is named 'own'" in machine.only_finding().what


# State


def test_a_bridge_that_has_never_started(machine: DebianBridge) -> None:
    for name in ("bridge.keys", "replay.journal"):
        machine.at(f"{STATE}/{name}").unlink()
    machine.at(STATE).rmdir()
    finding = machine.only_finding()
    assert finding.what == f"tor's bridge has never started: there is no {STATE}"


@pytest.mark.parametrize(
    ("name", "mode", "remedy"),
    [("", 0o770, f"chmod 700 {STATE}"), ("bridge.keys", 0o640, f"chmod 600 {STATE}/bridge.keys")],
)
def test_too_many_may_use_it(machine: DebianBridge, name: str, mode: int, remedy: str) -> None:
    machine.at(f"{STATE}/{name}").chmod(mode)
    assert machine.only_finding().remedy == remedy


@pytest.mark.parametrize("place", ["/nowhere", "/nowhere/at/all"])
def test_a_state_directory_of_ones_own_that_is_not_there(machine: DebianBridge, place: str) -> None:
    found = examine(machine, PurePosixPath("/etc/tor/torrc"), PurePosixPath(place))
    assert found == [Finding(f"there is no {place}", f"obfsfte keygen --state {place}")]


def test_a_file_in_the_place_of_the_state_directory(machine: DebianBridge) -> None:
    machine.write("/srv/state", "")
    machine.at("/srv/state").chmod(0o666)
    found = examine(machine, PurePosixPath("/etc/tor/torrc"), PurePosixPath("/srv/state"))
    assert found == [Finding("/srv/state is no directory", "mv /srv/state /srv/state.old")]


def test_keys_of_somebody_else(machine: DebianBridge) -> None:
    machine.write("/etc/passwd", f"debian-tor:x:{os.getuid() + 1}:1:::\n")
    assert machine.only_finding().remedy == f"chown -R debian-tor: {STATE}"


def test_damaged_keys(machine: DebianBridge) -> None:
    machine.write(f"{STATE}/bridge.keys", "nonsense\n")
    assert "is damaged" in machine.only_finding().what
    assert "keygen --force" in machine.only_finding().remedy


def test_a_full_disk(machine: DebianBridge) -> None:
    machine.disk = 1000
    assert "is full" in machine.only_finding().what


def test_a_journal_from_the_future(machine: DebianBridge) -> None:
    journal = machine.at(f"{STATE}/replay.journal")
    journal.write_bytes(JOURNAL_ENTRY.pack(int(machine.now()) + 5000, bytes(16)) + b"torn")
    assert machine.examine() == []
    journal.write_bytes(JOURNAL_ENTRY.pack(int(machine.now()) + 100_000, bytes(16)))
    assert "hellos from the future" in machine.only_finding().what


def test_a_journal_that_is_no_file(machine: DebianBridge) -> None:
    machine.at(f"{STATE}/replay.journal").unlink()
    machine.at(f"{STATE}/replay.journal").mkdir()
    assert "is no file" in machine.only_finding().what


# obfsfte.service


@pytest.fixture
def service(machine: DebianBridge) -> DebianBridge:
    machine.at("/etc/tor/torrc").unlink()
    source = Path(__file__).parents[2] / "debian"
    machine.write("/etc/default/obfsfte", (source / "obfsfte.default").read_text())
    for kind in ("service", "socket"):
        machine.write(
            f"/lib/systemd/system/obfsfte.{kind}", (source / f"obfsfte.{kind}").read_text()
        )
    machine.write("/etc/systemd/system/multi-user.target.wants/obfsfte.service", "")
    machine.at("/var/lib/obfsfte").mkdir(mode=0o700)
    return machine


def test_nothing_is_wrong_with_a_good_service(service: DebianBridge) -> None:
    assert service.examine() == []


@pytest.mark.parametrize("options", ["--fallback tcp:h:1", "--classic --fallback=tcp:h:1"])
def test_what_a_service_does_not_reach(service: DebianBridge, options: str) -> None:
    service.replace("/etc/default/obfsfte", "\nOPTIONS=\n", f"\nOPTIONS={options}\n")
    service.unreachable = {"tcp:h:1": "no", "tcp:127.0.0.1:8081": "neither"}
    assert [finding.what for finding in service.examine()] == [
        "obfsfte.service cannot reach its target tcp:127.0.0.1:8081: neither",
        "obfsfte.service cannot reach its fallback tcp:h:1: no",
    ]


def test_a_service_without_the_right_to_its_port(service: DebianBridge) -> None:
    service.replace("/etc/default/obfsfte", "LISTEN=tcp:8080", "LISTEN=tcp:443")
    service.listen(443, BRIDGE_PID, "obfsfte", "server")
    assert "enable --now obfsfte.socket" in service.only_finding().remedy


def test_a_service_without_its_socket(service: DebianBridge) -> None:
    service.replace(
        "/etc/default/obfsfte", "LISTEN=tcp:8080", "LISTEN=systemd:domain=INET6:index=0"
    )
    service.listen(443, 1, "/sbin/init")
    assert service.only_finding().remedy == "systemctl enable --now obfsfte.socket"
    service.write("/etc/systemd/system/sockets.target.wants/obfsfte.socket", "")
    assert service.examine() == []


def test_a_socket_that_is_not_taken(service: DebianBridge) -> None:
    service.write("/etc/systemd/system/sockets.target.wants/obfsfte.socket", "")
    finding = service.only_finding()
    assert finding.what.startswith("obfsfte.socket opens a port for obfsfte.service")
    assert "LISTEN=systemd:" in finding.remedy


def test_the_port_of_a_socket_with_a_drop_in(service: DebianBridge) -> None:
    service.replace(
        "/etc/default/obfsfte", "LISTEN=tcp:8080", "LISTEN=systemd:domain=INET6:index=0"
    )
    service.write("/etc/systemd/system/sockets.target.wants/obfsfte.socket", "")
    service.write(
        "/etc/systemd/system/obfsfte.socket.d/o.conf",
        "[Socket]\nListenStream=\nListenStream=[::]:8443\n",
    )
    service.listen(8443, 1, "/sbin/init")
    assert service.examine() == []


# The real machine, and the command


def test_a_real_place_is_connected_to() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        place = f"tcp:127.0.0.1:{server.getsockname()[1]}"
        assert Machine().connect(place) is None
    assert Machine().connect(place) == "Connection refused"
    assert Machine().connect("unix:/nowhere") == "No such file or directory"
    assert Machine().connect("systemd:something") is None
    assert Machine().connect("tcp:a..b:80") == "its name cannot be one of a host"


def test_a_real_listener_has_an_owner() -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        sockets = Machine().listeners(server.getsockname()[1])
        assert Machine().owners(sockets) == {os.getpid()}
    assert dict(Machine().processes())[os.getpid()]


def test_a_real_machine_has_versions() -> None:
    assert Machine().version("Twisted")
    assert Machine().version("no-such-package") is None
    assert isinstance(Machine().clock_is_kept(), bool)
    assert Machine().free_bytes("/")


def test_the_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    state = tmp_path / "state"
    assert main(["keygen", "--state", str(state)]) == 0
    (state / "bridge.keys").chmod(0o644)
    capsys.readouterr()
    assert main(["doctor", "--state", str(state)]) == 1
    said = capsys.readouterr().out
    assert f"- others may read {state}/bridge.keys, and the bridge refuses to start\n" in said
    assert f"    chmod 600 {state}/bridge.keys\n" in said


def test_a_torrc_may_be_named_from_here(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "torrc").write_text("SocksPort 9050\n")
    monkeypatch.chdir(tmp_path)
    assert main(["doctor", "--torrc", "torrc"]) == 1
    assert f"{tmp_path}/torrc has no line for it" in capsys.readouterr().out


def test_the_command_when_nothing_is_wrong(
    machine: DebianBridge, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr("obfsfte.commands.doctor.Machine", lambda: machine)
    assert main(["doctor"]) == 0
    assert capsys.readouterr().out == "nothing is wrong\n"


def test_a_torrc_that_cannot_be_read_is_one_line(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["doctor", "--torrc", "/nowhere/torrc"]) == 1
    assert capsys.readouterr().err == "obfsfte: doctor: cannot read /nowhere/torrc\n"
