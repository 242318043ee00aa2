"""Version negotiation, the messages that both sides have, and the writer."""

import io
import os
import re
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.pyptlib.client import ClientTransportPlugin
from obfsfte.pyptlib.client_config import ClientConfig
from obfsfte.pyptlib.config import EnvError, ProxyError
from obfsfte.pyptlib.core import TransportPlugin
from obfsfte.pyptlib.server import ServerTransportPlugin

from .conftest import CLIENT, SERVER, SetEnv, said

SIDES = pytest.mark.parametrize(
    ("side", "environment"), [(ClientTransportPlugin, CLIENT), (ServerTransportPlugin, SERVER)]
)
unit = settings(deadline=None, max_examples=200)


@SIDES
@pytest.mark.parametrize("offered", ["1", "2,1", "1,1a,2b,this_is_a_valid_ver", "x,y,1"])
def test_version(
    set_env: SetEnv, side: type[TransportPlugin], environment: dict[str, str], offered: str
) -> None:
    set_env(environment, TOR_PT_MANAGED_TRANSPORT_VER=offered)
    plugin = side(stdout=io.BytesIO())
    assert plugin.served_version is None
    plugin.init(["fte"])
    assert said(plugin) == ["VERSION 1"]
    assert plugin.served_version == "1"


@SIDES
@pytest.mark.parametrize("offered", ["", "2", "11", "1a", "1 ", "1;2"])
def test_no_version_in_common(
    set_env: SetEnv, side: type[TransportPlugin], environment: dict[str, str], offered: str
) -> None:
    """Whatever else is wrong: that is said in terms of a version that we do not speak."""
    set_env(environment, TOR_PT_MANAGED_TRANSPORT_VER=offered, TOR_PT_STATE_LOCATION=None)
    plugin = side(stdout=io.BytesIO())
    with pytest.raises(EnvError):
        plugin.init(["fte"])
    assert said(plugin) == ["VERSION-ERROR no-version"]
    with pytest.raises(ValueError, match="init was not called"):
        plugin.getTransports()


@SIDES
@pytest.mark.parametrize("variable", ["TOR_PT_STATE_LOCATION", "TOR_PT_MANAGED_TRANSPORT_VER"])
def test_a_faulty_environment(
    set_env: SetEnv, side: type[TransportPlugin], environment: dict[str, str], variable: str
) -> None:
    set_env(environment, **{variable: None})
    plugin = side(stdout=io.BytesIO())
    with pytest.raises(EnvError):
        plugin.init(["fte"])
    assert said(plugin) == [f"ENV-ERROR {variable}: is not set"]


def test_a_faulty_proxy(set_env: SetEnv) -> None:
    set_env(CLIENT, TOR_PT_PROXY="gopher://user:password@192.0.2.1:70")
    plugin = ClientTransportPlugin(stdout=io.BytesIO())
    with pytest.raises(EnvError) as error:
        plugin.init(["fte"])
    assert isinstance(error.value.cause, ProxyError)
    version, proxy_error = said(plugin)
    assert version == "VERSION 1"
    assert proxy_error.startswith("PROXY-ERROR the proxy's URI must begin with")
    assert "password" not in proxy_error


@pytest.mark.parametrize(
    ("wanted", "supported", "launched"),
    [
        ("fte", ["fte"], ["fte"]),
        ("are,you,a,badfish", ["badfish", "not_any_of_above"], ["badfish"]),
        ("a,b", ["b", "a"], ["b", "a"]),
        ("a,a", ["a"], ["a"]),
        ("unknown,9not-a-name, ,", ["fte"], []),
        ("fte", [], []),
        ("*", ["b", "a"], ["b", "a"]),
    ],
)
def test_what_both_want_and_have_is_launched(
    set_env: SetEnv, wanted: str, supported: list[str], launched: list[str]
) -> None:
    set_env(CLIENT, TOR_PT_CLIENT_TRANSPORTS=wanted)
    plugin = ClientTransportPlugin(stdout=io.BytesIO())
    plugin.init(dict.fromkeys(supported).keys())
    assert plugin.getTransports() == plugin.served_transports == launched
    plugin.reportMethodsEnd()
    assert said(plugin) == ["VERSION 1", "CMETHODS DONE"]


def test_a_config_made_by_hand(set_env: SetEnv) -> None:
    set_env({})
    plugin = ClientTransportPlugin(ClientConfig("/state", ["1"], ["fte"]), stdout=io.BytesIO())
    plugin.init(supported_transports=["fte"])
    assert plugin.getTransports() == ["fte"]
    plugin = ClientTransportPlugin(ClientConfig("/state", ["666"]), stdout=io.BytesIO())
    with pytest.raises(EnvError):
        plugin.init([])
    assert said(plugin) == ["VERSION-ERROR no-version"]


@SIDES
def test_method_errors(side: type[TransportPlugin], environment: dict[str, str]) -> None:
    plugin = side(stdout=io.BytesIO())
    plugin.reportMethodError("trebuchet", "no cows\n  available\r\nVERSION 2")
    kind = "CMETHOD" if environment is CLIENT else "SMETHOD"
    assert said(plugin) == [rf"{kind}-ERROR trebuchet no cows\n  available\r\nVERSION 2"]
    for name in ("", "not a name", "a\nb"):
        with pytest.raises(ValueError, match="C identifier"):
            plugin.reportMethodError(name, "reason")


@SIDES
def test_log_and_status(side: type[TransportPlugin], environment: dict[str, str]) -> None:
    plugin = side(stdout=io.BytesIO())
    plugin.reportLog("debug", "Connected to bridge A")
    plugin.reportLog("warning", 'quote " backslash \\ newline \n ü')
    plugin.reportStatus("obfs4", {"ADDRESS": "198.51.100.123:1234", "CONNECT": "Success"})
    plugin.reportStatus("my fte", {"ERRSTR": "Connection refused"})
    plugin.reportVersion("rot13 proxy", "1.0-rc.1")
    assert said(plugin) == [
        'LOG SEVERITY=debug MESSAGE="Connected to bridge A"',
        r'LOG SEVERITY=warning MESSAGE="quote \" backslash \\ newline \n \303\274"',
        "STATUS TRANSPORT=obfs4 ADDRESS=198.51.100.123:1234 CONNECT=Success",
        'STATUS TRANSPORT="my fte" ERRSTR="Connection refused"',
        'STATUS TYPE=version IMPLEMENTATION="rot13 proxy" VERSION=1.0-rc.1',
    ]


@pytest.mark.parametrize("severity", ["error", "warning", "notice", "info", "debug"])
def test_the_severities_of_the_specification(severity: str) -> None:
    plugin = ClientTransportPlugin(stdout=io.BytesIO())
    plugin.reportLog(severity, "")
    assert said(plugin) == [f'LOG SEVERITY={severity} MESSAGE=""']


def test_log_and_status_refuse_what_the_grammar_has_not() -> None:
    plugin = ClientTransportPlugin(stdout=io.BytesIO())
    for severity in ("", "warn", "ERROR", "debug MESSAGE=x"):
        with pytest.raises(ValueError):
            plugin.reportLog(severity, "message")
    for values in ({}, {"": "v"}, {"a b": "v"}, {"a=b": "v"}, {"a\n": "v"}, {"ü": "v"}):
        with pytest.raises(ValueError):
            plugin.reportStatus("fte", values)
    assert said(plugin) == []


@unit
@given(st.text(st.characters()), st.text(st.characters()))
def test_no_text_breaks_a_line(first: str, second: str) -> None:
    plugin = ClientTransportPlugin(stdout=io.BytesIO())
    plugin.emit(first)
    plugin.reportMethodError("fte", first)
    plugin.reportLog("info", second)
    plugin.reportStatus(first, {"K": second})
    plugin.reportVersion(second, first)
    lines = said(plugin)
    assert len(lines) == 5
    assert all(" " <= char <= "~" for line in lines for char in line)
    assert lines[1].startswith("CMETHOD-ERROR fte ")
    assert re.fullmatch(r'LOG SEVERITY=info MESSAGE="([^"\\]|\\.)*"', lines[2])
    assert re.fullmatch(r'STATUS( (TRANSPORT|K)=([^ "\\]+|"([^"\\]|\\.)*")){2}', lines[3])


@unit
@given(st.data())
def test_no_environment_does_worse_than_an_error_line(data: st.DataObject) -> None:
    """Whoever wrote it: VERSION, or a reason and EnvError, in lines of the protocol."""
    side = data.draw(st.sampled_from([ClientTransportPlugin, ServerTransportPlugin]))
    environment = dict(CLIENT if side is ClientTransportPlugin else SERVER)
    optional = ["PROXY", "AUTH_COOKIE_FILE", "OUTBOUND_BIND_ADDRESS_V6", "SERVER_TRANSPORT_OPTIONS"]
    variables = st.sampled_from([*environment, *(f"TOR_PT_{name}" for name in optional)])
    hostile = st.text(st.characters()).map(lambda text: text.replace("\0", "")) | st.text(
        "fte1:-,;=\\[]@/.%\n "
    )
    environment |= data.draw(st.dictionaries(variables, hostile, min_size=1, max_size=3))
    plugin = side(stdout=io.BytesIO())
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "environ", environment)
        try:
            plugin.init(["fte"])
        except EnvError:
            lines = said(plugin)
            assert re.match("(VERSION|ENV|PROXY)-ERROR ", lines[-1])
            assert lines[:-1] == (["VERSION 1"] if lines[-1].startswith("PROXY") else [])
        else:
            assert said(plugin) == ["VERSION 1"]


class Recorder(io.RawIOBase):
    """Notes each write and flush."""

    def __init__(self) -> None:
        self.calls: list[object] = []

    def write(self, data: bytes) -> int:  # type: ignore[override]
        self.calls.append(bytes(data))
        return len(data)

    def flush(self) -> None:
        self.calls.append("flush")


def test_a_line_is_one_write_and_a_flush() -> None:
    stream = Recorder()
    ClientTransportPlugin(stdout=stream).emit("VERSION 1")
    assert stream.calls == [b"VERSION 1\n", "flush"]


def test_the_stream_may_be_text() -> None:
    stream = io.StringIO()
    ClientTransportPlugin(stdout=stream).emit("VERSION 1")
    assert stream.getvalue() == "VERSION 1\n"


def test_the_bytes_behind_a_text_stream_are_used(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its encoding and its newlines are of no account. The default is sys.stdout, at the time."""
    stream = io.TextIOWrapper(io.BytesIO(), encoding="utf-16", newline="\r\n")
    monkeypatch.setattr(sys, "stdout", stream)
    ClientTransportPlugin().emit("VERSION 1")
    assert stream.buffer.getvalue() == b"VERSION 1\n"  # type: ignore[attr-defined]


def test_debug_data() -> None:
    plugin = ClientTransportPlugin(ClientConfig("/state"), io.BytesIO())
    data = plugin.getDebugData()
    assert data["__class__"] is ClientTransportPlugin
    assert data["config"]["stateLocation"] == "/state"
    assert ClientTransportPlugin().getDebugData()["config"] is None
