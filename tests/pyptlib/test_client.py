"""The client's messages."""

import io

import pytest

from obfsfte.pyptlib import client as client_module
from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.config import EnvError

from .conftest import CLIENT, SetEnv, said


@pytest.fixture
def plugin() -> ClientTransportPlugin:
    return ClientTransportPlugin(stdout=io.BytesIO())


def test_the_session_in_the_appendix_of_pt_spec(
    set_env: SetEnv, plugin: ClientTransportPlugin
) -> None:
    set_env(
        CLIENT,
        TOR_PT_PROXY="socks5://127.0.0.1:8001",
        TOR_PT_CLIENT_TRANSPORTS="obfs3,obfs4",
    )
    plugin.init(["obfs3", "obfs4"])
    plugin.reportProxySuccess()
    plugin.reportMethodSuccess("obfs3", "socks5", ("127.0.0.1", 32525))
    plugin.reportMethodSuccess("obfs4", "socks5", ("127.0.0.1", 37347))
    plugin.reportMethodsEnd()
    assert said(plugin) == [
        "VERSION 1",
        "PROXY DONE",
        "CMETHOD obfs3 socks5 127.0.0.1:32525",
        "CMETHOD obfs4 socks5 127.0.0.1:37347",
        "CMETHODS DONE",
    ]


def test_methods(plugin: ClientTransportPlugin) -> None:
    plugin.reportMethodSuccess("fte", "socks4", ("::1", 19999))
    plugin.reportMethodSuccess("fte", "socks5", ("127.0.0.1", 1), None, None)
    plugin.reportMethodSuccess("fte", "socks5", ("127.0.0.1", 1), "a,b", ["c", "d"])
    plugin.reportMethodError("rot26", "Could not bind to 127.0.0.1:666 (Operation not permitted)")
    assert said(plugin) == [
        "CMETHOD fte socks4 [::1]:19999",
        "CMETHOD fte socks5 127.0.0.1:1",
        "CMETHOD fte socks5 127.0.0.1:1 ARGS=a,b OPT-ARGS=c,d",
        "CMETHOD-ERROR rot26 Could not bind to 127.0.0.1:666 (Operation not permitted)",
    ]


@pytest.mark.parametrize(
    "arguments",
    [
        ("not-a-name", "socks5", ("127.0.0.1", 1)),
        ("a b", "socks5", ("127.0.0.1", 1)),
        ("fte", "socks6", ("127.0.0.1", 1)),
        ("fte", "socks5\n", ("127.0.0.1", 1)),
        ("fte", "socks5", ("127.0.0.1", 0)),
        ("fte", "socks5", ("localhost", 1)),
        ("fte", "socks5", ("127.0.0.1\n", 1)),
        ("fte", "socks5", ("127.0.0.1", 1), "a b"),
        ("fte", "socks5", ("127.0.0.1", 1), None, "a\nb"),
    ],
)
def test_what_no_line_can_carry(plugin: ClientTransportPlugin, arguments: tuple) -> None:
    with pytest.raises(ValueError):
        plugin.reportMethodSuccess(*arguments)
    assert said(plugin) == []


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (None, "PROXY-ERROR"),
        ("", "PROXY-ERROR"),
        (
            "SOCKS 4 upstream proxies unsupported.",
            "PROXY-ERROR SOCKS 4 upstream proxies unsupported.",
        ),
        ("a\nb", r"PROXY-ERROR a\nb"),
    ],
)
def test_proxy_errors(
    set_env: SetEnv, plugin: ClientTransportPlugin, message: str | None, line: str
) -> None:
    set_env(CLIENT, TOR_PT_PROXY="http://192.0.2.1:80")
    plugin.init(["fte"])
    plugin.reportProxyError(message)
    assert said(plugin) == ["VERSION 1", line]


def test_the_proxy_is_reported_once(set_env: SetEnv, plugin: ClientTransportPlugin) -> None:
    set_env(CLIENT, TOR_PT_PROXY="http://192.0.2.1:80")
    plugin.init(["fte"])
    plugin.reportProxySuccess()
    for report in (plugin.reportProxySuccess, plugin.reportProxyError):
        with pytest.raises(RuntimeError, match="already"):
            report()
    assert said(plugin) == ["VERSION 1", "PROXY DONE"]


def test_no_proxy_is_not_reported(set_env: SetEnv, plugin: ClientTransportPlugin) -> None:
    set_env(CLIENT)
    for _ in range(2):  # before init, and after it
        for report in (plugin.reportProxySuccess, plugin.reportProxyError):
            with pytest.raises(RuntimeError, match="no proxy"):
                report()
        plugin.init(["fte"])


def test_the_deprecated_functions(
    set_env: SetEnv, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    set_env(CLIENT)
    assert client_module.init(["fte", "other"]) == {
        "state_loc": "/var/lib/tor/pt_state/",
        "transports": ["fte"],
    }
    client_module.reportSuccess("fte", 5, ("127.0.0.1", 1234))
    client_module.reportSuccess("fte", 4, ("127.0.0.1", 1234), "a", None)
    client_module.reportFailure("other", "why")
    client_module.reportEnd()
    assert capfdbinary.readouterr().out.decode() == (
        "VERSION 1\n"
        "CMETHOD fte socks5 127.0.0.1:1234\n"
        "CMETHOD fte socks4 127.0.0.1:1234 ARGS=a\n"
        "CMETHOD-ERROR other why\n"
        "CMETHODS DONE\n"
    )
    set_env({})
    with pytest.raises(EnvError):
        client_module.init(["fte"])
