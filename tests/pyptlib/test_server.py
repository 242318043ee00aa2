"""The server's messages."""

import io

import pytest

from obfsfte.pyptlib import server as server_module
from obfsfte.pyptlib.config import EnvError
from obfsfte.pyptlib.server import ServerTransportPlugin
from obfsfte.pyptlib.server_config import ServerConfig

from .conftest import SERVER, SetEnv, said


@pytest.fixture
def plugin() -> ServerTransportPlugin:
    return ServerTransportPlugin(stdout=io.BytesIO())


def test_the_session_in_the_appendix_of_pt_spec(
    set_env: SetEnv, plugin: ServerTransportPlugin
) -> None:
    set_env(
        SERVER,
        TOR_PT_SERVER_TRANSPORTS="obfs3,obfs4",
        TOR_PT_SERVER_BINDADDR="obfs3-198.51.100.1:1984",
    )
    plugin.init(["obfs3", "obfs4"])
    assert plugin.getBindAddresses() == {"obfs3": ("198.51.100.1", 1984), "obfs4": ("0.0.0.0", 0)}
    plugin.reportMethodSuccess("obfs3", ("198.51.100.1", 1984))
    plugin.reportMethodSuccess(
        "obfs4", ("198.51.100.1", 43734), {"cert": "HszPy3/1mGHz+ddFw", "iat-mode": "0"}
    )
    plugin.reportMethodsEnd()
    assert said(plugin) == [
        "VERSION 1",
        "SMETHOD obfs3 198.51.100.1:1984",
        "SMETHOD obfs4 198.51.100.1:43734 ARGS:cert=HszPy3/1mGHz+ddFw,iat-mode=0",
        "SMETHODS DONE",
    ]


def test_only_what_is_launched_has_a_bind_address(
    set_env: SetEnv, plugin: ServerTransportPlugin
) -> None:
    set_env(
        SERVER,
        TOR_PT_SERVER_TRANSPORTS="a,b,c",
        TOR_PT_SERVER_BINDADDR="a-127.0.0.1:1,b-[::1]:2,c-127.0.0.1:3",
    )
    with pytest.raises(ValueError, match="init was not called"):
        plugin.getBindAddresses()
    plugin.init(["c", "b", "other"])
    assert plugin.getBindAddresses() == {"c": ("127.0.0.1", 3), "b": ("::1", 2)}


def test_args(plugin: ServerTransportPlugin) -> None:
    plugin.config = ServerConfig("/state")
    plugin.reportMethodSuccess("fte", ("::1", 2323))
    plugin.reportMethodSuccess("fte", ("127.0.0.1", 1), {"key": "a=b,c\\d", "N": "13"})
    plugin.reportMethodSuccess("fte", ("127.0.0.1", 1), "roots=culture,first=fire")
    plugin.reportMethodError("rot26", "no cows available")
    assert said(plugin) == [
        "SMETHOD fte [::1]:2323",
        r"SMETHOD fte 127.0.0.1:1 ARGS:key=a\=b\,c\\d,N=13",
        "SMETHOD fte 127.0.0.1:1 ARGS:roots=culture,first=fire",
        "SMETHOD-ERROR rot26 no cows available",
    ]


@pytest.mark.parametrize("nothing", [None, ""])
def test_without_args_the_options_of_the_transport_are_published(
    set_env: SetEnv, plugin: ServerTransportPlugin, nothing: str | None
) -> None:
    set_env(
        SERVER,
        TOR_PT_SERVER_TRANSPORT_OPTIONS=r"fte:roots=cul\:ture;other:no=care;fte:first=fi=re",
    )
    plugin.init(["fte"])
    plugin.reportMethodSuccess("fte", ("127.0.0.1", 1), nothing)
    plugin.reportMethodSuccess("obfs3", ("127.0.0.1", 2), nothing)
    assert said(plugin)[1:] == [
        r"SMETHOD fte 127.0.0.1:1 ARGS:roots=cul:ture,first=fi\=re",
        "SMETHOD obfs3 127.0.0.1:2",
    ]


def test_an_empty_mapping_publishes_nothing(set_env: SetEnv, plugin: ServerTransportPlugin) -> None:
    set_env(SERVER, TOR_PT_SERVER_TRANSPORT_OPTIONS="fte:key=secret")
    plugin.init(["fte"])
    plugin.reportMethodSuccess("fte", ("127.0.0.1", 1), {})
    assert said(plugin)[1:] == ["SMETHOD fte 127.0.0.1:1"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("not-a-name", ("127.0.0.1", 1)),
        ("fte", ("127.0.0.1", 0)),
        ("fte", ("bridge.example", 1)),
        ("fte", ("fe80::1%lo", 1)),
        ("fte", ("127.0.0.1", 1), "a=b c"),
        ("fte", ("127.0.0.1", 1), "a=b\nSMETHODS DONE"),
        ("fte", ("127.0.0.1", 1), {"a": "b c"}),
        ("fte", ("127.0.0.1", 1), {"a": "b\n"}),
    ],
)
def test_what_no_line_can_carry(plugin: ServerTransportPlugin, arguments: tuple) -> None:
    with pytest.raises(ValueError):
        plugin.reportMethodSuccess(*arguments)
    assert said(plugin) == []


def test_the_deprecated_functions(
    set_env: SetEnv, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    set_env(
        SERVER,
        TOR_PT_EXTENDED_SERVER_PORT="127.0.0.1:4200",
        TOR_PT_AUTH_COOKIE_FILE="/cookie",
    )
    assert server_module.init(["fte", "other"]) == {
        "state_loc": "/var/lib/tor/pt_state/",
        "orport": ("127.0.0.1", 9001),
        "ext_orport": ("127.0.0.1", 4200),
        "transports": {"fte": ("198.51.100.1", 1984)},
        "auth_cookie_file": "/cookie",
    }
    server_module.reportSuccess("fte", ("127.0.0.1", 1234), None)
    server_module.reportSuccess("fte", ("127.0.0.1", 1234), "k=v")
    server_module.reportFailure("other", "why")
    server_module.reportEnd()
    assert capfdbinary.readouterr().out.decode() == (
        "VERSION 1\n"
        "SMETHOD fte 127.0.0.1:1234\n"
        "SMETHOD fte 127.0.0.1:1234 ARGS:k=v\n"
        "SMETHOD-ERROR other why\n"
        "SMETHODS DONE\n"
    )
    set_env({})
    with pytest.raises(EnvError):
        server_module.init(["fte"])
