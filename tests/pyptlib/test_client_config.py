"""The client's environment: TOR_PT_PROXY above all."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.pyptlib.client_config import ClientConfig, parseProxyURI
from obfsfte.pyptlib.config import EnvError, ProxyError

from .conftest import CLIENT, SetEnv


@pytest.mark.parametrize(
    ("uri", "scheme", "host", "port", "credentials"),
    [
        ("socks5://127.0.0.1:8001", "socks5", "127.0.0.1", 8001, None),
        (
            "socks5://tor:test1234@198.51.100.1:8000",
            "socks5",
            "198.51.100.1",
            8000,
            (b"tor", b"test1234"),
        ),
        ("socks5://[2001:db8::1]:1080", "socks5", "2001:db8::1", 1080, None),
        ("socks4a://198.51.100.2:8001", "socks4a", "198.51.100.2", 8001, None),
        ("socks4a://user@198.51.100.2:8001", "socks4a", "198.51.100.2", 8001, (b"user", b"")),
        ("http://198.51.100.3:443", "http", "198.51.100.3", 443, None),
        ("http://user@198.51.100.3:443", "http", "198.51.100.3", 443, (b"user", b"")),
        ("http://u:p@[::1]:443", "http", "::1", 443, (b"u", b"p")),
        ("SOCKS5://127.0.0.1:8001", "socks5", "127.0.0.1", 8001, None),
    ],
)
def test_proxies(
    set_env: SetEnv,
    uri: str,
    scheme: str,
    host: str,
    port: int,
    credentials: tuple[bytes, bytes] | None,
) -> None:
    set_env(CLIENT, TOR_PT_PROXY=uri)
    config = ClientConfig.fromEnv()
    proxy = config.getProxy()
    assert proxy is config.proxy is not None
    assert (proxy.scheme, proxy.hostname, proxy.port) == (scheme, host, port)
    assert (proxy.path, proxy.query, proxy.fragment) == ("", "", "")
    assert proxy.geturl() == uri.replace("SOCKS5", "socks5")
    assert config.getProxyCredentials() == credentials


def test_no_proxy(set_env: SetEnv) -> None:
    set_env(CLIENT)
    config = ClientConfig.fromEnv()
    assert config.getProxy() is None
    assert config.getProxyCredentials() is None


def test_user_name_and_password_as_pyptlib_gives_them() -> None:
    proxy = parseProxyURI("http://user:password@192.0.2.1:80")
    assert (proxy.username, proxy.password) == ("user", "password")
    assert parseProxyURI("http://192.0.2.1:80").username is None


@pytest.mark.parametrize(
    ("userinfo", "credentials"),
    [
        ("a%3Ab:p%40%2F", (b"a:b", b"p@/")),
        ("user:p@ss/w?o#r:d", (b"user", b"p@ss/w?o#r:d")),
        ("100%:50%zz", (b"100%", b"50%zz")),
        ("ü:\udcff", ("ü".encode(), b"\xff")),
    ],
)
def test_logins_escaped_or_raw(userinfo: str, credentials: tuple[bytes, bytes]) -> None:
    """tor writes what torrc says, byte for byte; others escape as RFC 3986 tells them to."""
    proxy = parseProxyURI(f"socks5://{userinfo}@192.0.2.1:1080")
    config = ClientConfig("/state", proxy=proxy)
    assert (proxy.hostname, proxy.port) == ("192.0.2.1", 1080)
    assert config.getProxyCredentials() == credentials


def test_socks5_logins_of_full_length() -> None:
    escaped = "%C3%BC" * 127 + "x"
    parseProxyURI(f"socks5://{'u' * 255}:{escaped}@192.0.2.1:1080")


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "socks5",
        "socks5:",
        "socks5:192.0.2.1:80",
        "://192.0.2.1:80",
        "gopher://user:password@192.0.2.1:70",
        "https://192.0.2.1:443",
        "socks4://192.0.2.1:1080",
        "user:password@192.0.2.1:70",
        "http://",
        "http://192.0.2.1",
        "http://192.0.2.1:",
        "http://:80",
        "http://192.0.2.1:0",
        "http://192.0.2.1:65536",
        "http://192.0.2.1:port",
        "http://user:password@192.0.2.1",
        "http://user:password@192.0.2.1/path/",
        "http://192.0.2.1:80/",
        "http://192.0.2.1:80?query",
        "http://192.0.2.1:80#fragment",
        "http://proxy.example:80",
        "http://::1:80",
        "http://[192.0.2.1]:80",
        "http://192.0.2.1:80\n",
        "http://us\ner@192.0.2.1:80",
        "http://us er@192.0.2.1:80",
        "\thttp://192.0.2.1:80",
        "socks4a://user:password@192.0.2.1:1080",
        "socks4a://us%00er@192.0.2.1:1080",
        "socks5://user@192.0.2.1:1080",
        "socks5://user:@192.0.2.1:1080",
        "socks5://:password@192.0.2.1:1080",
        "socks5://:@192.0.2.1:1080",
        "socks5://@192.0.2.1:1080",
        f"socks5://{'u' * 256}:password@192.0.2.1:1080",
        f"socks5://user:{'p' * 256}@192.0.2.1:1080",
        f"socks5://user:{'%C3%BC' * 128}@192.0.2.1:1080",
    ],
)
def test_refused_proxies(set_env: SetEnv, uri: str) -> None:
    with pytest.raises(ProxyError) as refusal:
        parseProxyURI(uri)
    for secret in ("user", "password", "us%00er"):
        assert f"'{secret}" not in str(refusal.value)
        assert f"{secret}@" not in str(refusal.value)
    set_env(CLIENT, TOR_PT_PROXY=uri)
    with pytest.raises(ProxyError):
        ClientConfig.fromEnv()


def test_an_error_elsewhere_comes_before_the_proxy(set_env: SetEnv) -> None:
    set_env(CLIENT, TOR_PT_PROXY="gopher://", TOR_PT_OUTBOUND_BIND_ADDRESS_V4="x")
    with pytest.raises(EnvError):
        ClientConfig.fromEnv()


@settings(deadline=None, max_examples=200)
@given(st.text(st.characters()), st.sampled_from(["", "http://", "socks5://a:"]))
def test_no_uri_does_worse_than_a_proxy_error(text: str, start: str) -> None:
    try:
        proxy = parseProxyURI(start + text)
    except ProxyError as error:
        assert not text or len(text) < 8 or text not in str(error)
    else:
        assert proxy.hostname
        assert proxy.port


def test_a_config_made_by_hand() -> None:
    proxy = parseProxyURI("http://192.0.2.1:80")
    config = ClientConfig("/state", ["1", "2"], ["fte"], proxy)
    assert config.getStateLocation() == "/state"
    assert config.getManagedTransportVersions() == ["1", "2"]
    assert config.transports == ["fte"]
    assert config.getProxy() is proxy
    assert config.getExitOnStdinClose() is False
