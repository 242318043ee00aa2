"""What both sides are told, and the errors."""

import os
import pickle

import pytest

from obfsfte.pyptlib.client_config import ClientConfig
from obfsfte.pyptlib.config import (
    Config,
    EnvError,
    ProxyError,
    checkClientMode,
    env_has_k,
    get_env,
)
from obfsfte.pyptlib.server_config import ServerConfig

from .conftest import CLIENT, SERVER, SetEnv

SIDES = pytest.mark.parametrize(
    ("side", "environment"), [(ClientConfig, CLIENT), (ServerConfig, SERVER)]
)


def test_client_or_server(set_env: SetEnv) -> None:
    set_env(CLIENT)
    assert checkClientMode() is True
    set_env(SERVER)
    assert checkClientMode() is False
    set_env({})
    with pytest.raises(EnvError, match="TOR_PT_CLIENT_TRANSPORTS"):
        checkClientMode()


@SIDES
def test_the_common_settings(
    set_env: SetEnv, side: type[Config], environment: dict[str, str]
) -> None:
    set_env(environment, TOR_PT_MANAGED_TRANSPORT_VER="1,1a,2b,this_is_a_valid_ver")
    config = side.fromEnv()
    assert config.getStateLocation() == "/var/lib/tor/pt_state/"
    assert config.getManagedTransportVersions() == ["1", "1a", "2b", "this_is_a_valid_ver"]
    assert config.getAllTransportsEnabled() is False
    assert config.getExitOnStdinClose() is True
    assert config.transports == ["fte"]


@SIDES
@pytest.mark.parametrize("value", [None, "", "0", "2", "true", "1 "])
def test_stdin_matters_only_for_1(
    set_env: SetEnv, side: type[Config], environment: dict[str, str], value: str | None
) -> None:
    set_env(environment, TOR_PT_EXIT_ON_STDIN_CLOSE=value)
    assert side.fromEnv().getExitOnStdinClose() is False


@pytest.mark.parametrize(("value", "reason"), [(None, "is not set"), ("", "is empty")])
@pytest.mark.parametrize(
    ("side", "environment", "variable"),
    [
        (ClientConfig, CLIENT, "TOR_PT_STATE_LOCATION"),
        (ClientConfig, CLIENT, "TOR_PT_CLIENT_TRANSPORTS"),
        (ServerConfig, SERVER, "TOR_PT_STATE_LOCATION"),
        (ServerConfig, SERVER, "TOR_PT_SERVER_TRANSPORTS"),
    ],
)
def test_what_must_be_set(
    set_env: SetEnv,
    side: type[Config],
    environment: dict[str, str],
    variable: str,
    value: str | None,
    reason: str,
) -> None:
    set_env(environment, **{variable: value})
    with pytest.raises(EnvError, match=f"{variable}: {reason}"):
        side.fromEnv()


@SIDES
def test_all_transports(set_env: SetEnv, side: type[Config], environment: dict[str, str]) -> None:
    set_env(environment, TOR_PT_CLIENT_TRANSPORTS="*", TOR_PT_SERVER_TRANSPORTS="fte,*")
    config = side.fromEnv()
    assert config.getAllTransportsEnabled() is True
    assert "*" not in config.transports


@SIDES
def test_outbound_bind_addresses(
    set_env: SetEnv, side: type[Config], environment: dict[str, str]
) -> None:
    set_env(
        environment,
        TOR_PT_OUTBOUND_BIND_ADDRESS_V4="203.0.113.4",
        TOR_PT_OUTBOUND_BIND_ADDRESS_V6="[2001:db8::4]",
    )
    config = side.fromEnv()
    assert config.getOutboundBindAddress("198.51.100.1") == "203.0.113.4"
    assert config.getOutboundBindAddress("2001:db8::1") == "2001:db8::4"
    for loopback in ("127.0.0.1", "127.255.255.254", "::1"):
        assert config.getOutboundBindAddress(loopback) is None
    with pytest.raises(ValueError):
        config.getOutboundBindAddress("bridge.example")


@SIDES
@pytest.mark.parametrize("value", [None, ""])
def test_no_outbound_bind_address(
    set_env: SetEnv, side: type[Config], environment: dict[str, str], value: str | None
) -> None:
    set_env(
        environment, TOR_PT_OUTBOUND_BIND_ADDRESS_V4=value, TOR_PT_OUTBOUND_BIND_ADDRESS_V6=value
    )
    config = side.fromEnv()
    assert config.getOutboundBindAddress("198.51.100.1") is None
    assert config.getOutboundBindAddress("2001:db8::1") is None


@pytest.mark.parametrize(
    ("version", "value"),
    [
        ("V4", "2001:db8::4"),
        ("V4", "host.example"),
        ("V4", "203.0.113.4:80"),
        ("V6", "203.0.113.4"),
        ("V6", "[2001:db8::4"),
        ("V6", "[2001:db8::4]:80"),
    ],
)
def test_malformed_outbound_bind_addresses(set_env: SetEnv, version: str, value: str) -> None:
    variable = f"TOR_PT_OUTBOUND_BIND_ADDRESS_{version}"
    set_env(CLIENT, **{variable: value})
    with pytest.raises(EnvError, match=variable):
        ClientConfig.fromEnv()


def test_get_env(set_env: SetEnv) -> None:
    set_env({"TOR_PT_X": "text"})
    assert get_env("TOR_PT_X") == "text"
    assert get_env("TOR_PT_X", lambda key, value: (key, value)) == ("TOR_PT_X", "text")
    assert get_env("TOR_PT_Y", lambda key, value: value) is None
    with pytest.raises(EnvError, match="TOR_PT_Y: is not set"):
        get_env("TOR_PT_Y")


def test_get_env_turns_all_but_proxy_errors_into_env_errors(set_env: SetEnv) -> None:
    set_env({})

    def raiser(error: Exception) -> object:
        def validate(key: str, value: str | None) -> object:
            raise error

        return validate

    cause = ZeroDivisionError("reason")
    with pytest.raises(EnvError, match=r"^TOR_PT_X: reason$") as caught:
        get_env("TOR_PT_X", raiser(cause))
    assert caught.value.cause is cause
    with pytest.raises(ProxyError, match=r"^reason$"):
        get_env("TOR_PT_X", raiser(ProxyError("reason")))


def test_get_env_sees_an_environment_that_was_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "environ", {"TOR_PT_X": "of a test"})
    assert get_env("TOR_PT_X") == "of a test"


def test_env_has_k() -> None:
    assert env_has_k("K", "") == ""
    with pytest.raises(ValueError):
        env_has_k("K", None)


@pytest.mark.parametrize("error", [EnvError, ProxyError])
def test_errors_have_a_message_and_a_cause(error: type[EnvError] | type[ProxyError]) -> None:
    cause = ValueError("cause")
    both = error("message", cause)
    assert (both.message, both.cause, str(both)) == ("message", cause, "message")
    assert str(error(cause=cause)) == "cause"
    assert str(error("message")) == "message"
    assert str(pickle.loads(pickle.dumps(error("message")))) == "message"


def test_a_config_made_by_hand() -> None:
    wanted = ["fte", "*", "obfs3"]
    config = Config("/state", transports=wanted)
    assert config.getStateLocation() == "/state"
    assert config.getManagedTransportVersions() == ["1"]
    assert (config.transports, config.getAllTransportsEnabled()) == (["fte", "obfs3"], True)
    assert wanted == ["fte", "*", "obfs3"]
    assert Config("/state").transports == []
    with pytest.raises(NotImplementedError):
        Config.fromEnv()
