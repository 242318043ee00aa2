"""The environment that tor makes, as a fixture."""

import os
from collections.abc import Callable

import pytest

from obfsfte.pyptlib.core import TransportPlugin

COMMON = {
    "TOR_PT_MANAGED_TRANSPORT_VER": "1",
    "TOR_PT_STATE_LOCATION": "/var/lib/tor/pt_state/",
    "TOR_PT_EXIT_ON_STDIN_CLOSE": "1",
}
CLIENT = {**COMMON, "TOR_PT_CLIENT_TRANSPORTS": "fte"}
SERVER = {
    **COMMON,
    "TOR_PT_SERVER_TRANSPORTS": "fte",
    "TOR_PT_SERVER_BINDADDR": "fte-198.51.100.1:1984",
    "TOR_PT_ORPORT": "127.0.0.1:9001",
    "TOR_PT_EXTENDED_SERVER_PORT": "",
}

SetEnv = Callable[..., None]


@pytest.fixture
def set_env(monkeypatch: pytest.MonkeyPatch) -> SetEnv:
    """`set_env(CLIENT, TOR_PT_PROXY="...")`: these TOR_PT_ variables and no others.

    None takes a variable away.
    """

    def set_env(base: dict[str, str], **changes: str | None) -> None:
        for name in list(os.environ):
            if name.startswith("TOR_PT_"):
                monkeypatch.delenv(name)
        for name, value in {**base, **changes}.items():
            if value is not None:
                monkeypatch.setenv(name, value)

    return set_env


def said(plugin: TransportPlugin) -> list[str]:
    """The lines that a plugin wrote to its stream, a BytesIO."""
    text = plugin.stdout.getvalue().decode("ascii")
    assert text == "" or text.endswith("\n")
    return text.split("\n")[:-1]
