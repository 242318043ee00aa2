"""Bridge lines: read, written, refused."""

from __future__ import annotations

import ipaddress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obfsfte.bridge_line import BridgeLine, parse_address
from obfsfte.errors import ConfigError

FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"

names = st.from_regex(r"[a-z0-9]([a-z0-9-]{0,10}[a-z0-9])?(\.[a-z]{1,10}){0,3}", fullmatch=True)
hosts = st.one_of(names, st.ip_addresses(v=4).map(str), st.ip_addresses(v=6).map(str))
keys = st.from_regex(r"[a-z][a-z-]{0,10}", fullmatch=True)
values = st.text(st.characters(blacklist_categories=("Z", "C")), max_size=30)
fingerprints = st.none() | st.text("0123456789ABCDEF", min_size=40, max_size=40)


@st.composite
def bridge_lines(draw: st.DrawFn) -> BridgeLine:
    arguments = draw(st.dictionaries(keys, values, max_size=4))
    port = draw(st.integers(1, 65535))
    return BridgeLine(draw(hosts), port, draw(fingerprints), arguments)


@given(bridge_lines(), st.sampled_from(["", "Bridge ", "bridge ", " \tBRIDGE \t"]))
def test_what_was_written_is_read(line: BridgeLine, keyword: str) -> None:
    assert BridgeLine.parse(f"{keyword}{line}\n") == line


def test_the_text_is_torrcs() -> None:
    arguments = {"cert": "AbC=", "cover": "words"}
    line = BridgeLine("2001:db8::1", 443, FINGERPRINT, arguments)
    assert str(line) == f"fte [2001:db8::1]:443 {FINGERPRINT} cert=AbC= cover=words"
    assert str(BridgeLine("192.0.2.1", 8080)) == "fte 192.0.2.1:8080"


def test_a_value_is_all_after_the_first_equals_sign() -> None:
    line = BridgeLine.parse("fte bridge.example:80 path=/a;b\\c?d=e empty=")
    assert line.arguments == {"path": "/a;b\\c?d=e", "empty": ""}


@pytest.mark.parametrize("text", [f"${FINGERPRINT}", FINGERPRINT.lower()])
def test_fingerprints_as_people_write_them(text: str) -> None:
    assert BridgeLine.parse(f"fte 192.0.2.1:80 {text}").fingerprint == FINGERPRINT


@given(bridge_lines())
def test_arguments_are_not_in_the_repr(line: BridgeLine) -> None:
    secret = BridgeLine(line.host, line.port, line.fingerprint, {"cert": "the secret"})
    assert "the secret" not in repr(secret)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "a bridge line reads"),
        ("Bridge", "a bridge line reads"),
        ("fte", "a bridge line reads"),
        ("obfs4 192.0.2.1:443 cert=s3cret", "a bridge line reads"),
        ("192.0.2.1:443 cert=s3cret", "a bridge line reads"),
        ("fte cert=s3cret 192.0.2.1:443", "a bridge line reads"),
        ("fte 192.0.2.1 cert=s3cret", "is no address"),
        ("fte 192.0.2.1: cert=s3cret", "is no address"),
        ("fte 192.0.2.1:0 cert=s3cret", "must be from 1 to 65535"),
        ("fte 192.0.2.1:65536 cert=s3cret", "must be from 1 to 65535"),
        ("fte 192.0.2.1:443x cert=s3cret", "is no address"),
        ("fte 2001:db8::1:443 cert=s3cret", "is no address"),
        ("fte [2001:db8::1] cert=s3cret", "is no address"),
        ("fte [2001:db8:::1]:443 cert=s3cret", "is no address"),
        ("fte [192.0.2.1]:443 cert=s3cret", "is no address"),
        ("fte bridge..example:443 cert=s3cret", "is no address"),
        (f"fte {'a' * 64}.example:443 cert=s3cret", "is no address"),
        ("fte 192.0.2.1:443 cert s3cret", "argument 1 is not KEY=VALUE"),
        ("fte 192.0.2.1:443 cover=words =s3cret", "argument 2 is not KEY=VALUE"),
        (f"fte 192.0.2.1:443 cert=s3cret {FINGERPRINT}", "argument 2 is not KEY=VALUE"),
        (f"fte 192.0.2.1:443 {FINGERPRINT} cert s3cret", "argument 1 is not KEY=VALUE"),
        (f"fte 192.0.2.1:443 {FINGERPRINT[1:]} cert=s3cret", "argument 1 is not KEY=VALUE"),
        ("fte 192.0.2.1:443 cert=s3cret cert=s3cret", "says cert= twice"),
    ],
)
def test_faults(text: str, message: str) -> None:
    with pytest.raises(ConfigError, match=message) as caught:
        BridgeLine.parse(text)
    assert "\n" not in str(caught.value)
    assert "s3cret" not in str(caught.value)


@given(st.text(max_size=60))
def test_any_text_is_read_or_refused(text: str) -> None:
    try:
        line = BridgeLine.parse(f"fte {text}")
    except ConfigError:
        return
    assert BridgeLine.parse(str(line)) == line


@given(hosts, st.integers(1, 65535))
def test_addresses(host: str, port: int) -> None:
    text = f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
    assert parse_address(text) == (host, port)


def test_an_ipv6_address_has_one_spelling() -> None:
    host, _ = parse_address("[2001:DB8:0::0001]:443")
    assert host == str(ipaddress.ip_address("2001:db8::1"))
