"""What `url=`, `sni=` and `pin=` mean, and which of them are no use."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from ipaddress import ip_address, ip_network

import pytest

from obfsfte.errors import ConfigError
from obfsfte.way import (
    Tls,
    Url,
    Way,
    format_pin,
    parse_pin,
    placeholder,
    shown_arguments,
    way_to,
)

DIGEST = hashlib.sha256(b"a key").digest()
PIN = format_pin(DIGEST)


def way(**arguments: str) -> Way:
    return way_to("192.0.2.1", 1, arguments)


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ({}, Way("192.0.2.1", 1)),
        ({"url": "ws://a.example"}, Way("a.example", 80)),
        ({"url": "http://a.example:8080/x"}, Way("a.example", 8080)),
        ({"url": "wss://a.example/live"}, Way("a.example", 443, Tls("a.example", None))),
        ({"url": "HTTPS://[2001:DB8::1]:8443"}, Way("2001:db8::1", 8443, Tls("2001:db8::1", None))),
        (
            {"url": "wss://192.0.2.7/", "sni": "b.example", "pin": PIN},
            Way("192.0.2.7", 443, Tls("b.example", DIGEST)),
        ),
    ],
)
def test_where_clients_connect(arguments: Mapping[str, str], expected: Way) -> None:
    assert way(**arguments) == expected


@pytest.mark.parametrize(
    ("arguments", "shown"),
    [
        ({"cert": "x"}, {"cert": "x"}),
        ({"url": "ws://a.example"}, {"host": "a.example", "scheme": "http"}),
        (
            {"url": "wss://a.example:8443/live", "sni": "b.example", "pin": PIN},
            {"host": "a.example:8443", "scheme": "https", "path": "/live"},
        ),
        ({"url": "wss://[::1]:443/"}, {"host": "[::1]", "scheme": "https", "path": "/"}),
        ({"url": "wss://[::1]:80"}, {"host": "[::1]:80", "scheme": "https"}),
        (
            {"url": "wss://front.example", "host": "a.example", "path": "/live"},
            {"host": "a.example", "scheme": "https", "path": "/live"},
        ),
    ],
)
def test_what_the_cover_is_told(arguments: Mapping[str, str], shown: Mapping[str, str]) -> None:
    assert shown_arguments(arguments) == shown


@pytest.mark.parametrize(
    "url",
    [
        "",
        "a.example",
        "ftp://a.example/",
        "wss:/a.example/",
        "wss:///live",
        "wss://user@a.example/",
        "wss://a.example/?room=1",
        "wss://a.example/#top",
        "wss://a.example?room=1",
        "wss://a.example:/",
        "wss://a.example:0/",
        "wss://a.example:65536/",
        "wss://[a.example]/",
        "wss://[::1%eth0]/",
        "wss://b\u00fccher.example/",
        "wss://a..example/",
        "wss://a.example/\n",
    ],
)
def test_what_is_no_url(url: str) -> None:
    with pytest.raises(ConfigError, match="url="):
        Url.parse(url)
    with pytest.raises(ConfigError, match="url="):
        way(url=url)
    with pytest.raises(ConfigError, match="url="):
        shown_arguments({"url": url})


@pytest.mark.parametrize("name", ["sni", "pin"])
@pytest.mark.parametrize("url", [{}, {"url": "ws://a.example/"}])
def test_what_is_about_tls_needs_it(name: str, url: Mapping[str, str]) -> None:
    with pytest.raises(ConfigError, match=f"{name}= is about TLS"):
        way(**{name: PIN}, **url)


@pytest.mark.parametrize("name", ["", "a b", "b\u00fccher.example", "-", "a/b", "*.example"])
def test_what_is_no_name_in_tls(name: str) -> None:
    with pytest.raises(ConfigError, match="sni="):
        way(url="wss://a.example", sni=name)


def test_a_pin_reads_as_it_was_written() -> None:
    assert PIN.startswith("sha256-")
    assert len(PIN) == 7 + 43
    assert parse_pin(PIN) == DIGEST


@pytest.mark.parametrize(
    "pin",
    ["", "sha256-", PIN[:-1], PIN + "=", PIN + "A", PIN.replace("sha256", "sha1"), PIN[7:]]
    + [PIN[:-1] + "/", PIN[:-1] + "\u00e9", PIN[:-1] + "9"],
)
def test_what_is_no_pin(pin: str) -> None:
    with pytest.raises(ConfigError, match="pin= must read sha256-"):
        way(url="wss://a.example", pin=pin)


def test_the_path_is_said_once() -> None:
    with pytest.raises(ConfigError, match="path=: the url has one already"):
        shown_arguments({"url": "wss://a.example/live", "path": "/live"})


def test_a_placeholder_is_no_address_of_anybody_and_the_bridges_own() -> None:
    host, port = placeholder(DIGEST)
    assert ip_address(host) in ip_network("2001:db8::/32")
    assert port == 443
    assert placeholder(bytes(32)) != (host, port)
