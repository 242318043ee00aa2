"""What the real tor makes of our lines, and we of its environment.

Each test starts a tor that knows no network but a dead port of this host, with a script
for its transport, and reads tor's log.
"""

import ast
import os
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

import obfsfte
from tests.e2e.tools import tool

pytestmark = pytest.mark.e2e

TORRC = """
DataDirectory {directory}/data
SocksPort 0
Log notice stdout
SafeLogging 0
TestingTorNetwork 1
DirAuthority dead orport=9 127.0.0.1:9 0000000000000000000000000000000000000000
"""
CLIENT = """
UseBridges 1
Bridge fte 127.0.0.1:9
ClientTransportPlugin fte exec {transport}
"""
SERVER = """
BridgeRelay 1
ORPort 127.0.0.1:auto
ExtORPort 127.0.0.1:auto
AssumeReachable 1
PublishServerDescriptor 0
ServerTransportPlugin fte exec {transport}
"""

RunTor = Callable[..., str]


@pytest.fixture
def run_tor(tmp_path: Path) -> RunTor:
    def run_tor(torrc: str, script: str, until: str) -> str:
        """Run tor with `script` as its transport until its log contains `until`."""
        program = tmp_path / "transport.py"
        program.write_text("import sys\n" + script + "\nsys.stdin.read()\n")
        transport = tmp_path / "transport"
        transport.write_text(
            f"#!/bin/sh\nPYTHONPATH={Path(obfsfte.__file__).parents[1]}"
            f" exec {sys.executable} -B {program}\n"
        )
        transport.chmod(0o700)
        (tmp_path / "torrc").write_text(
            (TORRC + torrc).format(directory=tmp_path, transport=transport)
        )
        tor = subprocess.Popen(
            [tool("tor"), "-f", tmp_path / "torrc", "--defaults-torrc", os.devnull],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        watchdog = threading.Timer(60, tor.kill)  # ends the loop below if tor hangs
        watchdog.start()
        log = ""
        try:
            for line in tor.stdout or []:
                log += line
                if until in line:
                    break
        finally:
            watchdog.cancel()
            tor.terminate()
            tor.communicate()
        assert until in log, log
        return log

    return run_tor


START = """
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.server import ServerTransportPlugin
plugin = {side}TransportPlugin()
plugin.init(["fte"])
"""


def test_tor_logs_our_messages(run_tor: RunTor) -> None:
    message = "quote \" backslash \\ tab\there ümläut, 'n' NUL \0."
    log = run_tor(
        CLIENT,
        START.format(side="Client")
        + f'plugin.reportLog("notice", {message!r})\n'
        + 'plugin.reportLog("warning", "")\n'
        + 'plugin.reportStatus("fte", {"A": "", "B": "x y", "C": "z=q"})\n'
        + 'plugin.reportLog("warning", "the end")\n',
        until="the end",
    )
    assert message.replace("\0", "\\0") in log
    assert "invalid" not in log


def test_tor_logs_what_is_wrong_with_its_environment(run_tor: RunTor) -> None:
    run_tor(
        CLIENT,
        'import os; del os.environ["TOR_PT_STATE_LOCATION"]' + START.format(side="Client"),
        until="environment variables. (TOR_PT_STATE_LOCATION: is not set)",
    )


def test_tor_logs_what_is_wrong_with_its_proxy(run_tor: RunTor) -> None:
    # tor checks its own proxy options, so the fault has to be made here.
    run_tor(
        CLIENT + "Socks5Proxy 127.0.0.1:9\n",
        'import os; os.environ["TOR_PT_PROXY"] = "socks6://192.0.2.1:80"'
        + START.format(side="Client"),
        until="outgoing proxy. (the proxy's URI must begin with",
    )


def test_torrcs_proxy_reaches_us(run_tor: RunTor) -> None:
    log = run_tor(
        CLIENT
        + "Socks5Proxy 127.0.0.1:9\nSocks5ProxyUsername üser\nSocks5ProxyPassword p@/w?:%\n"
        + "OutboundBindAddressPT 127.0.0.2\nOutboundBindAddressPT [::1]\n",
        START.format(side="Client")
        + """
config = plugin.config
plugin.reportProxySuccess()
plugin.reportMethodSuccess("fte", "socks5", ("::1", 9))
plugin.reportLog("notice", "seen " + repr((
    config.getProxy().hostname, config.getProxy().port, config.getProxyCredentials(),
    config.outboundBindAddressV4, config.outboundBindAddressV6, config.exitOnStdinClose)))
plugin.reportMethodsEnd()
""",
        until="seen (",
    )
    seen = ast.literal_eval(log[log.index("seen (") + 5 :].splitlines()[0])
    assert seen == ("127.0.0.1", 9, ("üser".encode(), b"p@/w?:%"), "127.0.0.2", "::1", True)


def test_torrcs_options_reach_us(run_tor: RunTor) -> None:
    log = run_tor(
        SERVER
        + "ServerTransportListenAddr fte [::1]:4321\n"
        + r"ServerTransportOptions fte path=/a;b:c,d\e key=c2VjcmV0cw=="
        + "\n",
        START.format(side="Server")
        + """
config = plugin.config
plugin.reportMethodSuccess("fte", ("::1", 4321), config.serverTransportOptions["fte"])
plugin.reportLog("notice", "seen " + repr((
    plugin.getBindAddresses(), config.getServerTransportOptions(), config.getORPort()[0],
    config.getExtendedORPort()[0], config.getAuthCookieFile() is not None)))
plugin.reportMethodsEnd()
""",
        until="Registered server transport 'fte' at '[::1]:4321'",
    )
    seen = ast.literal_eval(log[log.index("seen (") + 5 :].splitlines()[0])
    assert seen == (
        {"fte": ("::1", 4321)},
        {"fte": {"path": "/a;b:c,d\\e", "key": "c2VjcmV0cw=="}},
        "127.0.0.1",
        "127.0.0.1",
        True,
    )
