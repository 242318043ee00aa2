"""Which wire a bridge line's arguments ask for, and what a server takes."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obfsfte.channel import Channel, Opening
from obfsfte.classic import DEFAULT_KEY, DEFAULT_RELEASE, RELEASES, ClassicClient, ClassicKey
from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.errors import ConfigError, NotOurs
from obfsfte.session.keys import BridgeKeys
from obfsfte.session.replay import ReplayFilter
from obfsfte.session_channel import CoverChoice, SessionClient
from obfsfte.wires import (
    DEFAULT_FORMAT,
    ClassicWire,
    SessionWire,
    client_wire,
    served_releases,
)

NOW = 1_800_000_000
CATALOGUE = Catalogue()
KEYS = BridgeKeys.generate(Random(1).randbytes)
CERT = KEYS.cert.encode()
HEX_KEY = "0123456789abcdef" * 4


def new_client(**arguments: str) -> Channel:
    return client_wire(arguments, CATALOGUE, lambda: NOW)()


def greeted(channel: Channel, opening: Opening) -> bool:
    """Whether the server knows this client by the first that it says."""
    if channel.ready:
        channel.send(b"hello")
    try:
        return opening.feed(b"".join(channel.data_to_send())) is not None
    except NotOurs:
        return False


def session_wire(cover: str) -> SessionWire:
    choice = CoverChoice(CATALOGUE.get(cover))
    return SessionWire(choice, KEYS, ReplayFilter(), lambda: NOW)


def classic_wire(key: ClassicKey = DEFAULT_KEY, pair_name: str | None = None) -> ClassicWire:
    return ClassicWire(served_releases(None, pair_name), key)


@pytest.mark.parametrize(
    ("arguments", "cover"),
    [({}, DEFAULT_COVER), *(({"cover": name}, name) for name in ("base64", "words"))],
)
def test_cert_asks_for_a_session_in_a_cover(arguments: dict[str, str], cover: str) -> None:
    channel = new_client(cert=CERT, **arguments)
    assert isinstance(channel, SessionClient)
    assert greeted(channel, session_wire(cover).opening())


def test_another_bridge_does_not_know_the_client() -> None:
    keys = BridgeKeys.generate(Random(2).randbytes)
    assert not greeted(new_client(cert=keys.cert.encode()), session_wire(DEFAULT_COVER).opening())


def test_every_connection_has_its_own_hello() -> None:
    open_channel = client_wire({"cert": CERT}, CATALOGUE, lambda: NOW)
    opening = session_wire(DEFAULT_COVER).opening
    assert all(greeted(open_channel(), opening()) for _ in range(3))


@pytest.mark.parametrize("cover", ["http", "websocket"])
def test_a_site_with_tls_is_asked_as_browsers_ask_it(cover: str) -> None:
    """They take more encodings there, and say that the page is of the site."""
    requests = {}
    for url in ("ws://shop.example/live", "wss://shop.example/live"):
        client = new_client(cert=CERT, cover=cover, url=url)
        requests[url.partition(":")[0]] = b"".join(client.data_to_send())
    for request in requests.values():
        assert b"\r\nHost: shop.example\r\n" in request
    assert b" zstd\r\n" in requests["wss"]
    assert b"https://shop.example" in requests["wss"]
    assert b"zstd" not in requests["ws"]
    assert b"http://shop.example" in requests["ws"]


def test_the_hello_has_the_time_of_its_connection() -> None:
    times = [NOW - 100_000, NOW]
    open_channel = client_wire({"cert": CERT}, CATALOGUE, lambda: times.pop(0))
    assert not greeted(open_channel(), session_wire(DEFAULT_COVER).opening())
    assert greeted(open_channel(), session_wire(DEFAULT_COVER).opening())


@pytest.mark.parametrize(
    ("arguments", "key", "pair_name"),
    [
        ({}, DEFAULT_KEY, DEFAULT_FORMAT),
        ({"key": HEX_KEY}, ClassicKey.from_hex(HEX_KEY), DEFAULT_FORMAT),
        ({"format": "words"}, DEFAULT_KEY, "words"),
        ({"format": "dummy", "release": "20131224"}, DEFAULT_KEY, "dummy"),
    ],
)
def test_without_cert_the_wire_is_classic(
    arguments: dict[str, str], key: ClassicKey, pair_name: str
) -> None:
    channel = new_client(**arguments)
    assert isinstance(channel, ClassicClient)
    assert greeted(channel, classic_wire(key, pair_name).opening())


def test_a_classic_server_wants_its_own_key() -> None:
    assert not greeted(new_client(key=HEX_KEY), classic_wire().opening())


SECRET = "S3cr" * 16

FAULTS: dict[str, tuple[dict[str, str], str]] = {
    "empty cert": ({"cert": ""}, "cert="),
    "short cert": ({"cert": SECRET}, "cert="),
    "cert with odd characters": ({"cert": SECRET[:43] + "+" * 43}, "cert="),
    "cert of no point": ({"cert": "A" * 86}, "cert="),
    "no such cover": ({"cert": CERT, "cover": "nonsense"}, "no cover is named 'nonsense'"),
    "unknown with cert": ({"cert": CERT, "hots": SECRET}, "hots"),
    "classic's with cert": ({"cert": CERT, "key": SECRET}, "key"),
    "short key": ({"key": SECRET[:-1]}, "64 hexadecimal"),
    "key of other characters": ({"key": SECRET}, "0-9, a-f"),
    "no such format": ({"format": "nonsense"}, "unknown format"),
    "no such release": ({"release": "19700101"}, "unknown format release"),
    "format of another release": ({"release": "20131224", "format": "words"}, "unknown format"),
    "cover without cert": ({"cover": "words"}, "cover= needs cert="),
    "cert as cover": ({"cert": CERT, "cover": CERT}, "no cover is named (86 characters)"),
    "cert as scheme": ({"cert": CERT, "scheme": CERT}, "scheme=(86 characters): must be"),
    "cert as a name": ({"cert": CERT, CERT: "="}, "(86 characters)=: the cover"),
    "cert as a name, for stream": (
        {"cert": CERT, "cover": "words", CERT: "="},
        "(86 characters)=:",
    ),
    "cert as a name, alone": ({CERT: "="}, "bridge argument (86 characters)= needs cert="),
    "key as format": ({"format": HEX_KEY}, "unknown format (64 characters)"),
    "key as release": ({"release": HEX_KEY}, "unknown format release (64 characters)"),
    "unknown without cert": ({"key": SECRET, "psk": SECRET}, "psk= needs cert="),
}


@pytest.mark.parametrize(("arguments", "message"), FAULTS.values(), ids=FAULTS)
def test_faults_name_the_argument_and_no_secret(arguments: dict[str, str], message: str) -> None:
    with pytest.raises(ConfigError) as caught:
        client_wire(arguments, CATALOGUE, lambda: NOW)
    assert message in str(caught.value)
    assert "\n" not in str(caught.value)
    for secret in (SECRET, SECRET[:20], CERT, CERT[:20], HEX_KEY):
        assert secret not in str(caught.value)


@given(
    st.dictionaries(
        st.sampled_from(["cert", "cover", "format", "release", "key", "x"]),
        st.sampled_from([CERT, HEX_KEY, "words", "base64", "20131224", ""]) | st.text(max_size=90),
        max_size=3,
    )
)
def test_any_arguments_are_a_wire_or_refused_beforehand(arguments: Mapping[str, str]) -> None:
    """A wire that was given can always open a channel: that is too late for complaints."""
    try:
        open_channel = client_wire(arguments, CATALOGUE, lambda: NOW)
    except ConfigError as error:
        assert "\n" not in str(error)
        return
    open_channel()


def test_keys_are_not_in_the_repr_of_a_servers_wire() -> None:
    for wire in (session_wire("words"), classic_wire(ClassicKey.from_hex(HEX_KEY))):
        text = repr(wire)
        assert KEYS.cert.encode() not in text
        for secret in (KEYS.private_key, KEYS.secret, bytes.fromhex(HEX_KEY)[:16]):
            assert repr(secret)[2:-1] not in text
            assert secret.hex() not in text


def pair_names(*chosen: str | None) -> dict[str, set[str]]:
    """What a server takes: the pairs of each release."""
    return {
        release.name: {request.pair_name for request in release.requests()}
        for release in served_releases(*chosen)
    }


def test_a_classic_server_takes_all_formats_or_what_it_is_told() -> None:
    assert pair_names(None, None).keys() == RELEASES.keys()
    assert pair_names(None, "words") == {DEFAULT_RELEASE.name: {"words"}}
    assert pair_names(None, "dummy") == {name: {"dummy"} for name in RELEASES}
    assert pair_names("20131224", None) == {"20131224": {"manual-http", "manual-ssh", "dummy"}}
    assert pair_names("20131224", "dummy") == {"20131224": {"dummy"}}


@pytest.mark.parametrize(
    ("release", "pair_name"),
    [("19700101", None), (None, "nonsense"), ("20131224", "words"), ("19700101", "words")],
)
def test_what_no_classic_server_can_take(release: str | None, pair_name: str | None) -> None:
    with pytest.raises(ConfigError, match="unknown format"):
        served_releases(release, pair_name)
