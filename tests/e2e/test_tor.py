"""Real tor processes run the transport, on both sides, in a private network on loopback.

All tests share the relays, and most of them one bridge and one client per command. The first
test does the same with obfs4: if it fails, the fault is in the harness or in tor.
"""

from __future__ import annotations

import functools
import hashlib
import os
import re
import signal
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from obfsfte._version import __version__
from tests.e2e.capture import capture
from tests.e2e.certificates import Issued
from tests.e2e.front import Site
from tests.e2e.tools import TWISTD_COMMAND
from tests.e2e.tornet import Tor, TorError, TorNetwork, zombies_of
from tests.e2e.transports import Bridge, Fte, Obfs4, Transport, add_bridge, add_client
from tests.e2e.waiting import LOOPBACK, free_port, wait_for
from tests.e2e.web import WebServer, curl
from tests.inspection.judges import judge
from tests.inspection.subjects import web_covers

pytestmark = pytest.mark.e2e

OBFS4 = Obfs4()
FTE = Fte()
TWISTD = Fte(f"{TWISTD_COMMAND} -n fte-bridge --managed")
NAMES = {OBFS4: "obfs4", FTE: "pt", TWISTD: "twistd"}

MEGABYTE = 1_000_000

Pair = Callable[[Transport], tuple[Bridge, Tor]]
over_both_commands = pytest.mark.parametrize("transport", [FTE, TWISTD], ids=NAMES.get)


@pytest.fixture(scope="session")
def network() -> Iterator[TorNetwork]:
    with TorNetwork() as network:
        yield network


@pytest.fixture(scope="session")
def web() -> Iterator[WebServer]:
    with WebServer() as web:
        yield web


@pytest.fixture(scope="session")
def pair(network: TorNetwork) -> Pair:
    """A transport's bridge and a client of it that has bootstrapped, shared by the tests."""

    @functools.cache
    def start(transport: Transport) -> tuple[Bridge, Tor]:
        name = Path(transport.command.split()[0]).name
        bridge = add_bridge(network, f"bridge-{name}", transport)
        client = add_client(network, f"client-{name}", bridge)
        client.wait_for_bootstrap()
        return bridge, client

    return start


def assert_fetches(client: Tor, web: WebServer, size: int) -> None:
    """The client gets `size` bytes, unchanged."""
    body = curl(client, web.url(size))
    assert hashlib.sha256(body).hexdigest() == hashlib.sha256(web.body(size)).hexdigest()


def fetches_again(client: Tor, web: WebServer) -> bool:
    """Whether the client gets anything; not an error, while it recovers."""
    try:
        return curl(client, web.url(1000), timeout=10) == web.body(1000)
    except TorError:
        return False


def odd_lines(tor: Tor) -> list[str]:
    """What a managed proxy wrote to its standard output and tor did not understand."""
    return re.findall(r"(?:Unknown line received|anaged proxy .* wrote an?) .*", tor.log())


def test_harness_with_obfs4(pair: Pair, web: WebServer) -> None:
    _, client = pair(OBFS4)
    assert_fetches(client, web, 1 * MEGABYTE)


@over_both_commands
def test_bootstraps_and_carries_both_ways(pair: Pair, web: WebServer, transport: Transport) -> None:
    bridge, client = pair(transport)
    assert_fetches(client, web, 20 * MEGABYTE)
    upload = web.body(5 * MEGABYTE)
    assert curl(client, web.url(), send=upload).decode() == hashlib.sha256(upload).hexdigest()
    for tor in (bridge.tor, client):
        (process,) = tor.proxies().values()
        assert transport.command in process  # after the interpreter, if it is a script
        assert odd_lines(tor) == []


def test_three_clients_at_once(network: TorNetwork, pair: Pair, web: WebServer) -> None:
    bridge, first = pair(FTE)
    clients = [first, add_client(network, "second", bridge), add_client(network, "third", bridge)]
    for client in clients:
        client.wait_for_bootstrap()
    with ThreadPoolExecutor(len(clients)) as pool:
        for download in [pool.submit(assert_fetches, each, web, 5 * MEGABYTE) for each in clients]:
            download.result()


@over_both_commands
@pytest.mark.parametrize("half", ["server", "client"])
def test_killed_half_is_restarted_and_the_client_recovers(
    pair: Pair, web: WebServer, transport: Transport, half: str
) -> None:
    bridge, client = pair(transport)
    tor = bridge.tor if half == "server" else client
    (killed,) = tor.proxies()
    os.kill(killed, signal.SIGKILL)
    tor.wait_for(lambda: tor.proxies().keys() - {killed}, "new managed proxy")
    client.wait_for(lambda: fetches_again(client, web), "recovery")
    assert len(tor.proxies()) == 1
    assert zombies_of(tor.pid) == []


def test_sighup_keeps_the_proxies_and_their_connections(
    network: TorNetwork, pair: Pair, web: WebServer
) -> None:
    bridge, client = pair(FTE)
    tors = (bridge.tor, client)
    proxies = [tor.proxies() for tor in tors]
    with ThreadPoolExecutor() as pool:
        download = pool.submit(curl, client, web.url(4 * MEGABYTE), limit_rate="1M")
        client.wait_for(lambda: " SUCCEEDED " in client.getinfo("stream-status"), "stream")
        for tor in tors:
            reloads = tor.log().count("Received reload signal")
            tor.send_signal(signal.SIGHUP)
            tor.wait_for(
                lambda tor=tor, n=reloads: tor.log().count("Received reload signal") > n, "reload"
            )
        assert not download.done()
        assert download.result() == web.body(4 * MEGABYTE)
    assert [tor.proxies() for tor in tors] == proxies
    add_client(network, "after-sighup", bridge).wait_for_bootstrap()


@over_both_commands
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT, signal.SIGKILL])
def test_tor_leaves_no_process_behind(
    network: TorNetwork, transport: Transport, number: signal.Signals
) -> None:
    name = f"{NAMES[transport]}-{number.name}"
    bridge = add_bridge(network, f"bridge-{name}", transport)
    client = add_client(network, f"client-{name}", bridge)
    client.wait_for_bootstrap()
    for tor in (client, bridge.tor):
        assert tor.proxies()
        tor.end(number)


def test_obfs4_and_fte_side_by_side(network: TorNetwork, pair: Pair, web: WebServer) -> None:
    """One bridge tor and one client tor run both programs; the client uses both at once."""
    obfs4_bridge, _ = pair(OBFS4)
    address = f"{LOOPBACK}:{free_port()}"
    bridge = add_bridge(network, "bridge-both", FTE, OBFS4.server_torrc(address))
    obfs4_torrc = OBFS4.client_torrc(obfs4_bridge.line())
    client = add_client(network, "client-both", bridge, obfs4_torrc)
    obfs4_client = add_client(network, "client-obfs4", Bridge(bridge.tor, OBFS4, address))
    for tor in (bridge.tor, client):
        tor.wait_for(lambda tor=tor: len(tor.proxies()) == 2, "two managed proxies")
    for each in (bridge, obfs4_bridge):
        connected = re.compile(rf"{each.tor.fingerprint}\S* CONNECTED")
        client.wait_for(
            lambda connected=connected: connected.search(client.getinfo("orconn-status")),
            f"connection over {each.transport.name}",
        )
    for user in (client, obfs4_client):
        user.wait_for_bootstrap()
        assert_fetches(user, web, 1 * MEGABYTE)


def test_classic_beside_sessions(network: TorNetwork, web: WebServer) -> None:
    """One port takes both; a bridge line without arguments means the classic wire."""
    bridge = add_bridge(network, "bridge-classic", Fte(options="classic=1"))
    without_arguments = " ".join(bridge.line().split()[:3])
    classic = network.add_client("client-classic", FTE.client_torrc(without_arguments))
    session = add_client(network, "client-session", bridge)
    for client in (classic, session):
        client.wait_for_bootstrap()
        assert_fetches(client, web, 1 * MEGABYTE)


def test_bridge_counts_clients_by_country_and_transport(
    network: TorNetwork, tmp_path: Path
) -> None:
    """ExtORPort carries both. The client comes over IPv6: tor itself sees only 127.0.0.1."""
    geoip, debug = tmp_path / "geoip6", tmp_path / "debug"
    geoip.write_text("::1,::1,XZ\n")
    torrc = f"GeoIPv6File {geoip}\nLog [general]debug file {debug}\nSafeLogging 0\n"
    bridge = add_bridge(network, "bridge-ipv6", FTE, torrc, host="[::1]")
    add_client(network, "client-ipv6", bridge).wait_for_bootstrap()
    assert "Seen client from '::1' with transport 'fte'" in debug.read_text()
    # Among others, if the network has looked whether the bridge's ORPort is reached.
    assert re.search(r"CountrySummary=\S*xz=", bridge.tor.getinfo("status/clients-seen"))


@pytest.mark.parametrize("cover", web_covers())
def test_tors_own_traffic_is_what_its_cover_says(
    network: TorNetwork, web: WebServer, tmp_path: Path, cover: str
) -> None:
    bridge = add_bridge(network, f"bridge-{cover}", Fte(options=f"cover={cover}"))
    port = int(bridge.address.rpartition(":")[2])
    file = tmp_path / "wire.pcapng"
    with capture(port, file):
        client = add_client(network, f"client-{cover}", bridge)
        client.wait_for_bootstrap()
        assert_fetches(client, web, 4 * MEGABYTE)
    found = judge(file, port)
    assert all("HTTP" in label.split(".") for label in (*found.ndpi, *found.nfstream))
    assert found.malformed == found.undissected == found.blocked == found.flagged == 0
    assert not found.warnings
    assert found.unmatched <= 1  # the connection goes on


def test_behind_nginx_with_tls(network: TorNetwork, web: WebServer, tmp_path: Path) -> None:
    """A client comes over IPv6 to nginx, and nginx to the bridge, whose tor counts the client."""
    geoip, debug = tmp_path / "geoip6", tmp_path / "debug"
    geoip.write_text("::1,::1,XZ\n")
    torrc = f"GeoIPv6File {geoip}\nLog [general]debug file {debug}\nSafeLogging 0\n"
    (tmp_path / "certificate").mkdir()
    chain = Issued(tmp_path / "certificate", "localhost").chain
    site = Site(tmp_path / "site", chain, host="[::1]")
    options = " ".join(f"{key}={value}" for key, value in site.options.items())
    inside = add_bridge(network, "bridge-nginx", Fte(options=f"{options} sni=localhost"), torrc)
    bridge = Bridge(inside.tor, inside.transport, "192.0.2.3:1")
    with site.nginx(int(inside.address.rpartition(":")[2])):
        client = add_client(network, "client-nginx", bridge)
        client.wait_for_bootstrap()
        assert_fetches(client, web, 5 * MEGABYTE)
    assert "Seen client from '::1' with transport 'fte'" in debug.read_text()
    # Among others, if the network has looked whether the bridge's ORPort is reached.
    assert re.search(r"CountrySummary=\S*xz=", bridge.tor.getinfo("status/clients-seen"))


PROXIES = {
    "socks5": "Socks5Proxy {socks}\nSocks5ProxyUsername user\nSocks5ProxyPassword password\n",
    "socks4a": "Socks4Proxy {socks}\n",
    "http": "HTTPSProxy {http}\n",
}


@pytest.mark.parametrize("kind", PROXIES)
def test_client_behind_a_proxy(network: TorNetwork, pair: Pair, kind: str) -> None:
    """Another tor is the proxy: it speaks all three protocols, and does not know this bridge."""
    bridge, _ = pair(FTE)
    _, proxy = pair(OBFS4)
    client = add_client(
        network,
        f"client-behind-{kind}",
        bridge,
        PROXIES[kind].format(
            socks=f"{LOOPBACK}:{proxy.socks_port}", http=f"{LOOPBACK}:{proxy.http_port}"
        ),
    )
    client.wait_for_bootstrap()
    assert bridge.address in proxy.getinfo("stream-status")


def test_extra_info_names_the_transport(network: TorNetwork, pair: Pair) -> None:
    """The bridge authority learned all that makes a bridge line."""
    bridge, _ = pair(FTE)
    extra_info = wait_for(lambda: network.extra_info(bridge.tor), "extra-info", timeout=90)
    transport = re.search(r"^transport (\S+) (\S+)(?: (.*))?$", extra_info, re.MULTILINE)
    assert transport is not None
    name, address, arguments = transport.groups(default="")
    line = f"{name} {address} {bridge.tor.fingerprint} {arguments.replace(',', ' ')}"
    assert line.split() == bridge.line().split()
    assert f"transport-info version={__version__} implementation=obfsfte\n" in extra_info
