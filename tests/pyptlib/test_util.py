"""Addresses as text, and arguments in a SOCKS login."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.pyptlib.config import checkClientMode
from obfsfte.pyptlib.util import (
    checkClientMode as deprecated_checkClientMode,
)
from obfsfte.pyptlib.util import (
    encode_client_args,
    format_addr_spec,
    parse_addr_spec,
    parse_client_args,
)

unit = settings(deadline=None, max_examples=200)
ports = st.integers(1, 65535)
addresses = st.ip_addresses().map(str).filter(lambda address: "%" not in address)


@pytest.mark.parametrize(
    ("spec", "host", "port"),
    [
        ("192.0.2.1:9999", "192.0.2.1", 9999),
        ("[12::34]:9999", "12::34", 9999),
        ("[::1]:80", "::1", 80),
        ("[0:0:0:0:0:0:0:1]:80", "::1", 80),
        ("0.0.0.0:0", "0.0.0.0", 0),
        ("127.0.0.1:65535", "127.0.0.1", 65535),
    ],
)
def test_addresses(spec: str, host: str, port: int) -> None:
    assert parse_addr_spec(spec) == (host, port)


@pytest.mark.parametrize("default", ["192.0.2.99", "2001:db8::99"])
@pytest.mark.parametrize("given_host", ["192.0.2.1", "[2001:db8::1]"])
def test_defaults_fill_in_what_is_left_out(given_host: str, default: str) -> None:
    host = given_host.strip("[]")
    for spec, expected in {
        f"{given_host}:8888": (host, 8888),
        f"{given_host}:": (host, 9999),
        given_host: (host, 9999),
        ":8888": (default, 8888),
        ":": (default, 9999),
        "": (default, 9999),
    }.items():
        assert parse_addr_spec(spec, defhost=default, defport=9999) == expected


@pytest.mark.parametrize(
    "spec",
    [
        "",
        ":",
        "192.0.2.1",
        "192.0.2.1:",
        ":80",
        "localhost:80",
        "example.com:80",
        "::1:80",
        "::1",
        "[::1]",
        "[::1]80",
        "[::1:80",
        "[]:80",
        "[192.0.2.1]:80",
        "192.0.2.1:65536",
        "192.0.2.1:-1",
        "192.0.2.1:+1",
        "192.0.2.1: 80",
        "192.0.2.1:80 ",
        "192.0.2.1:80\n",
        "192.0.2.1:http",
        "192.0.2.1:8_0",
        "192.0.2.1:٣",
        "192.0.2.1:" + "9" * 5000,
        "192.0.2.1:80:80",
        "192.0.2.01:80",
        "192.0.2:80",
        "127.1:80",
    ],
)
def test_what_is_no_address(spec: str) -> None:
    with pytest.raises(ValueError):
        parse_addr_spec(spec)


def test_names_are_resolved_on_request_only() -> None:
    with pytest.raises(ValueError, match="not an IP address"):
        parse_addr_spec("localhost:80")
    assert parse_addr_spec("localhost:80", resolve=True) in [("127.0.0.1", 80), ("::1", 80)]
    assert parse_addr_spec("[::1]:80", resolve=True) == ("::1", 80)
    assert parse_addr_spec(":80", defhost="127.0.0.1", resolve=True) == ("127.0.0.1", 80)
    with pytest.raises(ValueError, match="does not resolve"):
        parse_addr_spec("no host has this name:80", resolve=True)


@unit
@given(addresses, ports)
def test_addresses_read_back(host: str, port: int) -> None:
    spec = format_addr_spec((host, port))
    assert parse_addr_spec(spec) == (host, port)
    assert spec.startswith("[") == (":" in host)


@pytest.mark.parametrize(
    "addrport",
    [
        ("127.0.0.1", 0),
        ("127.0.0.1", 65536),
        ("localhost", 80),
        ("", 80),
        ("fe80::1%eth0", 80),
        ("::1%a b\nSMETHOD", 80),
    ],
)
def test_what_cannot_be_reported(addrport: tuple[str, int]) -> None:
    with pytest.raises(ValueError):
        format_addr_spec(addrport)


def test_client_or_server_is_here_too() -> None:
    assert deprecated_checkClientMode is checkClientMode


# The arguments in a SOCKS login.

arg_text = st.text(max_size=40).map(lambda text: text.replace("\0", ""))
tricky_text = st.text(st.sampled_from("ab=;\\ü"), max_size=40)
args = st.dictionaries(
    (arg_text | tricky_text).filter(bool), arg_text | tricky_text, min_size=1, max_size=6
)


@unit
@given(args)
def test_arguments_read_back(args: dict[str, str]) -> None:
    try:
        username, password = encode_client_args(args)
    except ValueError:
        assert len(";".join(f"{k}={v}" for k, v in args.items()).encode()) > 510 / 2
        return
    assert 1 <= len(username) <= 255
    assert 1 <= len(password) <= 255
    assert parse_client_args(username, password) == args


@unit
@given(args)
def test_arguments_as_tor_writes_them(args: dict[str, str]) -> None:
    """tor escapes ';' and backslash but not '=', after the first of which is the value."""
    args = {key: value for key, value in args.items() if "=" not in key} or {"k": "v"}
    text = ";".join(re.sub(r"([;\\])", r"\\\1", f"{k}={v}") for k, v in args.items()).encode()
    assert parse_client_args(text[:255], text[255:] or b"\0") == args


def test_argument_examples() -> None:
    assert parse_client_args(b"shared-secret=rahasia;secrets-file=/tmp/blob") == {
        "shared-secret": "rahasia",
        "secrets-file": "/tmp/blob",
    }
    assert parse_client_args(rb"cert\=AbC\==x\;y;path=/a\\b") == {
        "cert=AbC=": "x;y",
        "path": "/a\\b",
    }
    assert parse_client_args(b"cert=AbC==", b"\0") == {"cert": "AbC=="}
    assert parse_client_args(b"empty=", b"\0") == {"empty": ""}
    assert parse_client_args(b"", b"\0") == {}
    assert encode_client_args({"cert": "AbC=", "path": "/a;b\\"}) == (
        rb"cert=AbC\=;path=/a\;b\\",
        b"\0",
    )


@pytest.mark.parametrize("length", [254, 255, 256, 509, 510])
def test_long_arguments_take_both_fields(length: int) -> None:
    args = {"k": "v" * (length - 2)}
    username, password = encode_client_args(args)
    assert len(username) == min(length, 255)
    assert password == (b"v" * (length - 255) if length > 255 else b"\0")
    assert parse_client_args(username, password) == args


def test_a_login_may_be_cut_anywhere() -> None:
    whole = "k=ü;l=\\;\\\\x".encode()
    for cut in range(1, len(whole)):
        assert parse_client_args(whole[:cut], whole[cut:]) == {"k": "ü", "l": ";\\x"}


@pytest.mark.parametrize(
    ("username", "password"),
    [
        (b"cert", b"\0"),
        (b"=v", b"\0"),
        (b"k=v;", b"\0"),
        (b";k=v", b"\0"),
        (b"k=v;;l=w", b"\0"),
        (b"k=v\\", b"\0"),
        (b"k\\=v", b"\0"),
        (b"k=v;k=v", b"\0"),
        (b"k=v;\\k=v", b"\0"),
        (b"k=\xff", b"\0"),
        (b"k=\xc3", b"\0"),
        (b"k=v", b";"),
    ],
)
def test_malformed_arguments(username: bytes, password: bytes) -> None:
    with pytest.raises(ValueError):
        parse_client_args(username, password)


@unit
@given(st.binary(max_size=255), st.binary(max_size=255))
def test_no_login_does_worse_than_a_value_error(username: bytes, password: bytes) -> None:
    try:
        args = parse_client_args(username, password)
    except ValueError:
        return
    assert all(args)


@pytest.mark.parametrize(
    "args", [{}, {"": "v"}, {"k": "a\0b"}, {"k\0": "v"}, {"k": "v" * 509}, {"k": ";" * 255}]
)
def test_what_no_login_can_carry(args: dict[str, str]) -> None:
    with pytest.raises(ValueError):
        encode_client_args(args)
