"""`obfsfte client`: which bridge lines deserve a warning."""

from __future__ import annotations

import pytest
from twisted.logger import capturedLogs

from obfsfte.bridge_line import UNKNOWN_HOST
from obfsfte.commands import client
from obfsfte.errors import ConfigError
from tests.transport.fakes import FakeReactor

CERT = "cert=" + "CQ" + "A" * 84


@pytest.mark.parametrize(
    ("arguments", "warned"),
    [
        (["--bridge", "fte 192.0.2.1:80"], True),
        (["--bridge", "fte 192.0.2.1:80 format=hex"], True),
        (["--bridge", "fte 192.0.2.1:80 key=" + "ab" * 32], False),
        (["--bridge", f"fte 192.0.2.1:80 cover=hex {CERT}"], False),
        (["--classic", "--connect", "tcp:192.0.2.1:80"], True),
    ],
)
def test_the_public_key_is_warned_of_however_it_was_chosen(
    arguments: list[str], warned: bool
) -> None:
    options = client.Options()
    options.parseOptions(arguments)
    with capturedLogs() as events:
        client.make_service(FakeReactor(), options)
    assert [event["log_level"].name for event in events] == ["warn"] * warned


@pytest.mark.parametrize(
    ("arguments", "is_refused"),
    [
        (["--bridge", f"fte {UNKNOWN_HOST}:80 {CERT}"], True),
        (["--bridge", f"fte {UNKNOWN_HOST}:80 {CERT}", "--connect", "tcp:192.0.2.1:80"], False),
        (["--bridge", f"fte {UNKNOWN_HOST}:80 {CERT} url=ws://shop.example/live"], False),
    ],
)
def test_a_line_that_nobody_wrote_an_address_into_is_refused(
    arguments: list[str], is_refused: bool
) -> None:
    """It would have been looked up as a name, for each connection."""
    options = client.Options()
    options.parseOptions(arguments)
    try:
        client.make_service(FakeReactor(), options)
    except ConfigError as error:
        assert is_refused
        assert UNKNOWN_HOST in str(error)
    else:
        assert not is_refused
