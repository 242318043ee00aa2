"""The server's environment: bind addresses, ORPorts, options."""

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.pyptlib.config import EnvError
from obfsfte.pyptlib.server_config import ServerConfig, get_transport_options_impl

from .conftest import SERVER, SetEnv


def test_several_transports(set_env: SetEnv) -> None:
    set_env(
        SERVER,
        TOR_PT_SERVER_TRANSPORTS="fte,obfs3,other",
        TOR_PT_SERVER_BINDADDR="fte-198.51.100.1:1984,obfs3-[2001:db8::1]:443,other-0.0.0.0:0",
    )
    config = ServerConfig.fromEnv()
    assert config.transports == ["fte", "obfs3", "other"]
    assert config.serverBindAddr == {
        "fte": ("198.51.100.1", 1984),
        "obfs3": ("2001:db8::1", 443),
        "other": ("0.0.0.0", 0),
    }


@pytest.mark.parametrize("bindaddr", [None, "", "fte-198.51.100.1:1984"])
def test_bind_addresses_may_be_left_out(set_env: SetEnv, bindaddr: str | None) -> None:
    set_env(SERVER, TOR_PT_SERVER_TRANSPORTS="fte,obfs4", TOR_PT_SERVER_BINDADDR=bindaddr)
    expected = ("198.51.100.1", 1984) if bindaddr else ("0.0.0.0", 0)
    assert ServerConfig.fromEnv().serverBindAddr == {"fte": expected, "obfs4": ("0.0.0.0", 0)}


@pytest.mark.parametrize(
    ("bindaddr", "reason"),
    [
        ("fte", "is not transport-address:port"),
        ("fte-", "not address:port"),
        ("fte-lyrical_content", "not address:port"),
        ("fte-localhost:80", "not an IP address"),
        ("fte-127.0.0.1:80,", "is not transport-address:port"),
        ("fte-127.0.0.1:80,laughs-127.0.0.1:81", "not in TOR_PT_SERVER_TRANSPORTS"),
        ("fte-127.0.0.1:80,fte-127.0.0.1:81", "two addresses"),
        ("fte-127.0.0.1:80-81", "not a port"),
        ("fte-::1:80", "not address:port"),
    ],
)
def test_malformed_bind_addresses(set_env: SetEnv, bindaddr: str, reason: str) -> None:
    set_env(SERVER, TOR_PT_SERVER_BINDADDR=bindaddr)
    with pytest.raises(EnvError, match=f"TOR_PT_SERVER_BINDADDR: .*({reason})"):
        ServerConfig.fromEnv()


@pytest.mark.parametrize("none", [None, ""])
def test_orport_alone(set_env: SetEnv, none: str | None) -> None:
    set_env(SERVER, TOR_PT_ORPORT="[::1]:9001", TOR_PT_EXTENDED_SERVER_PORT=none)
    config = ServerConfig.fromEnv()
    assert config.getORPort() == ("::1", 9001)
    assert config.getExtendedORPort() is None
    assert config.getAuthCookieFile() is None


@pytest.mark.parametrize("orport", [None, "", "127.0.0.1:9001"])
def test_extended_orport(set_env: SetEnv, orport: str | None) -> None:
    set_env(
        SERVER,
        TOR_PT_ORPORT=orport,
        TOR_PT_EXTENDED_SERVER_PORT="127.0.0.1:4200",
        TOR_PT_AUTH_COOKIE_FILE="/var/lib/tor/extended_orport_auth_cookie",
    )
    config = ServerConfig.fromEnv()
    assert config.getExtendedORPort() == ("127.0.0.1", 4200)
    assert config.getAuthCookieFile() == "/var/lib/tor/extended_orport_auth_cookie"
    assert config.getORPort() == (("127.0.0.1", 9001) if orport else None)


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"ORPORT": None}, "must be set"),
        ({"ORPORT": ""}, "must be set"),
        ({"ORPORT": "lulz"}, "TOR_PT_ORPORT: "),
        ({"ORPORT": "127.0.0.1:0"}, "TOR_PT_ORPORT: .*cannot be 0"),
        ({"EXTENDED_SERVER_PORT": "cakez"}, "TOR_PT_EXTENDED_SERVER_PORT: "),
        ({"EXTENDED_SERVER_PORT": "127.0.0.1:1"}, "without TOR_PT_AUTH_COOKIE_FILE"),
        ({"AUTH_COOKIE_FILE": "/cookie"}, "without TOR_PT_EXTENDED_SERVER_PORT"),
        ({"SERVER_TRANSPORT_OPTIONS": "SECRET"}, "TOR_PT_SERVER_TRANSPORT_OPTIONS: item 1"),
    ],
)
def test_malformed_environments(
    set_env: SetEnv, changes: dict[str, str | None], reason: str
) -> None:
    set_env(SERVER, **{f"TOR_PT_{name}": value for name, value in changes.items()})
    with pytest.raises(EnvError, match=reason) as error:
        ServerConfig.fromEnv()
    assert "SECRET" not in str(error.value)


def test_transport_options(set_env: SetEnv) -> None:
    set_env(SERVER)
    assert ServerConfig.fromEnv().getServerTransportOptions() is None
    set_env(SERVER, TOR_PT_SERVER_TRANSPORT_OPTIONS="")
    assert not ServerConfig.fromEnv().getServerTransportOptions()
    set_env(
        SERVER,
        TOR_PT_SERVER_TRANSPORT_OPTIONS="scramblesuit:key=banana;automata:rule=110;automata:depth=3",
    )
    assert ServerConfig.fromEnv().getServerTransportOptions() == {
        "scramblesuit": {"key": "banana"},
        "automata": {"rule": "110", "depth": "3"},
    }


@pytest.mark.parametrize(
    ("text", "options"),
    [
        (r"a:k=x\:y\;z\\\=", {"a": {"k": "x:y;z\\="}}),
        ("a:key=c2VjcmV0cw==", {"a": {"key": "c2VjcmV0cw=="}}),
        (r"a:fallback=tcp\:127.0.0.1\:80", {"a": {"fallback": "tcp:127.0.0.1:80"}}),
        ("a:fallback=tcp:127.0.0.1:80", {"a": {"fallback": "tcp:127.0.0.1:80"}}),
        ("a:k=1;a:k=2", {"a": {"k": "2"}}),
        ("a:k=", {"a": {"k": ""}}),
    ],
)
def test_options_with_escapes(text: str, options: dict[str, dict[str, str]]) -> None:
    assert get_transport_options_impl(text) == options


@pytest.mark.parametrize(
    "text",
    ["a", "a:", "a:k", "k=v", ":k=v", "a:=v", "a:k=v;", ";a:k=v", "a:k~v", "a:k=v\\", "a_k=v"],
)
def test_malformed_options(text: str) -> None:
    with pytest.raises(ValueError):
        get_transport_options_impl(text)


@settings(deadline=None, max_examples=200)
@given(
    st.dictionaries(
        st.sampled_from(["fte", "obfs3", "_", "A_b9"]),
        st.dictionaries(
            st.text(min_size=1).filter(lambda key: "=" not in key), st.text(), min_size=1
        ),
    )
)
def test_options_as_tor_writes_them(options: dict[str, dict[str, str]]) -> None:
    """tor escapes colon, semicolon and backslash in each "key=value" of torrc, but not '='."""
    text = ";".join(
        name + ":" + re.sub(r"([:;\\])", r"\\\1", f"{key}={value}")
        for name, pairs in options.items()
        for key, value in pairs.items()
    )
    assert get_transport_options_impl(text) == options


def test_a_config_made_by_hand() -> None:
    config = ServerConfig(
        "/state",
        transports=["fte"],
        serverBindAddr={"fte": ("127.0.0.1", 1)},
        ORPort=("127.0.0.1", 2),
        extendedORPort=("127.0.0.1", 3),
        authCookieFile="/cookie",
        serverTransportOptions={"fte": {"k": "v"}},
    )
    assert config.getManagedTransportVersions() == ["1"]
    assert config.serverBindAddr == {"fte": ("127.0.0.1", 1)}
    assert config.getORPort() == ("127.0.0.1", 2)
    assert config.getExtendedORPort() == ("127.0.0.1", 3)
    assert config.getAuthCookieFile() == "/cookie"
    assert config.getServerTransportOptions() == {"fte": {"k": "v"}}
    assert ServerConfig("/state").serverBindAddr == {}
