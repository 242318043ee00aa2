"""Where a client is, by the words of those who are trusted."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from twisted.internet.address import IPv4Address, IPv6Address, UNIXAddress
from twisted.internet.interfaces import IAddress

from obfsfte.errors import ConfigError
from obfsfte.transport.visitor import NO_PROXIES, UNKNOWN_PORT, TrustedProxies

PROXIES = TrustedProxies.parse("127.0.0.1,198.51.100.0/24,2001:db8:1::/48", send_headers=False)


def at(host: str, port: int = 4000) -> IAddress:
    return (IPv6Address if ":" in host else IPv4Address)("TCP", host, port)


def visitor(peer: str, *fields: str, proxies: TrustedProxies = PROXIES) -> str:
    found = proxies.visitor(at(peer), [field.encode("latin-1") for field in fields])
    return f"{found.host} {found.port}"  # type: ignore[attr-defined]


@pytest.mark.parametrize(
    ("peer", "fields", "client"),
    [
        ("127.0.0.1", ["192.0.2.7"], "192.0.2.7 1"),
        ("::ffff:127.0.0.1", ["192.0.2.7"], "192.0.2.7 1"),
        ("2001:db8:1::5", ["2001:DB8::7"], "2001:db8::7 1"),
        ("127.0.0.1", ["::ffff:192.0.2.7"], "192.0.2.7 1"),
        ("127.0.0.1", ["192.0.2.7:5000"], "192.0.2.7 5000"),
        ("127.0.0.1", ["[2001:db8::7]:5000"], "2001:db8::7 5000"),
        ("127.0.0.1", ["[2001:db8::7]"], "2001:db8::7 1"),
        ("127.0.0.1", ["192.0.2.7:0"], "192.0.2.7 1"),
        ("127.0.0.1", ["192.0.2.7:65536"], "192.0.2.7 1"),
        # Through a trusted chain, up to the first who is not.
        ("127.0.0.1", ["192.0.2.7, 198.51.100.3"], "192.0.2.7 1"),
        ("127.0.0.1", ["192.0.2.7", "198.51.100.3"], "192.0.2.7 1"),
        ("127.0.0.1", ["10.1.1.1, 192.0.2.7"], "192.0.2.7 1"),
        ("127.0.0.1", ["10.1.1.1", "\t192.0.2.7 ,198.51.100.3"], "192.0.2.7 1"),
        ("127.0.0.1", ["198.51.100.4, 198.51.100.3"], "198.51.100.4 1"),
        # Nobody said it, or somebody who is not asked.
        ("127.0.0.1", [], "127.0.0.1 4000"),
        ("192.0.2.9", ["192.0.2.7"], "192.0.2.9 4000"),
        ("2001:db8:2::5", ["192.0.2.7"], "2001:db8:2::5 4000"),
    ],
)
def test_whose_connection_it_is(peer: str, fields: list[str], client: str) -> None:
    assert visitor(peer, *fields) == client


@pytest.mark.parametrize(("trusted", "believed"), [("unix:", True), ("127.0.0.1", False)])
def test_whoever_connects_to_a_unix_socket(trusted: str, believed: bool) -> None:
    for send_headers in (True, False):
        proxies = TrustedProxies.parse(trusted, send_headers)
        assert proxies.announces(UNIXAddress(None)) is (believed and send_headers)
    found = proxies.visitor(UNIXAddress(None), [b"192.0.2.7"])
    assert found == (at("192.0.2.7", UNKNOWN_PORT) if believed else UNIXAddress(None))
    both = TrustedProxies.parse(f"192.0.2.9,{trusted}", send_headers=True)
    assert both.announces(at("192.0.2.9"))


@pytest.mark.parametrize(
    "garbage",
    ["", " ", "unknown", "_hidden", "192.0.2", "192.0.2.256", "192.0.2.7;", "1" * 5000, "fe80::1%x"]
    + ["[192.0.2.7", "192.0.2.7 192.0.2.8", "\xff", "[::1]:x", ":::1", "0300.0.0.1", "1.2.3.4:"],
)
def test_garbage_is_nobody(garbage: str) -> None:
    assert visitor("127.0.0.1", garbage) == "127.0.0.1 4000"
    assert visitor("127.0.0.1", f"192.0.2.7, {garbage}") == "127.0.0.1 4000"
    assert visitor("127.0.0.1", f"{garbage}, 192.0.2.7") == "192.0.2.7 1"
    assert visitor("127.0.0.1", f"192.0.2.7, {garbage}, 198.51.100.3") == "198.51.100.3 1"


@given(st.lists(st.binary(max_size=60), max_size=4))
def test_any_field_is_survived(fields: list[bytes]) -> None:
    assert PROXIES.visitor(at("127.0.0.1"), fields) is not None
    assert NO_PROXIES.visitor(at("127.0.0.1"), fields) == at("127.0.0.1")


def test_a_unix_socket_is_nobody_in_particular() -> None:
    address = UNIXAddress(b"/run/socket")
    assert PROXIES.visitor(address, [b"192.0.2.7"]) is address
    assert not TrustedProxies(PROXIES.networks, send_headers=True).announces(address)


def test_who_sends_headers() -> None:
    proxies = TrustedProxies.parse("127.0.0.1", send_headers=True)
    assert proxies.announces(at("127.0.0.1"))
    assert not proxies.announces(at("192.0.2.7"))
    assert not PROXIES.announces(at("127.0.0.1"))


@pytest.mark.parametrize(
    "text", ["", "localhost", "192.0.2.1/24", "192.0.2.1,", "192.0.2.1 ", "/8"]
)
def test_what_is_no_proxy(text: str) -> None:
    with pytest.raises(ConfigError, match="is neither an address nor a network"):
        TrustedProxies.parse(text, send_headers=False)


def test_a_port_that_is_not_known_is_one_that_tor_takes() -> None:
    assert 0 < UNKNOWN_PORT < 65536
