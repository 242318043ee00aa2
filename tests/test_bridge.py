"""A bridge's wires, what its clients are told, and the file with it."""

from __future__ import annotations

import errno
import os
import time
from hashlib import sha256
from pathlib import Path
from random import Random, SystemRandom

import pytest
from twisted.logger import LogLevel, capturedLogs

from obfsfte.bridge import (
    SessionBridge,
    bridge_line,
    tor_fingerprint,
    unix_time,
)
from obfsfte.bridge_line import UNKNOWN_HOST, BridgeLine
from obfsfte.covers.catalogue import DEFAULT_COVER, Catalogue
from obfsfte.errors import ConfigError, NotOurs
from obfsfte.session.keys import BridgeKeys
from obfsfte.session_channel import CoverChoice, SessionClient
from obfsfte.state import StateDirectory
from obfsfte.way import format_pin, placeholder
from obfsfte.wires import SessionWire

CATALOGUE = Catalogue()
FINGERPRINT = "0123456789ABCDEF0123456789ABCDEF01234567"
COVERS = ["words", "base64"]


@pytest.fixture
def state(tmp_path: Path) -> StateDirectory:
    """As under tor: the directory is DataDirectory/pt_state/fte."""
    return StateDirectory(tmp_path / "pt_state" / "fte")


def cover_names(wires: list[SessionWire]) -> list[str]:
    return [wire.choice.definition.name for wire in wires]


def hello(wire: SessionWire) -> bytes:
    """What a client says first that was told of this wire."""
    choice = CoverChoice(wire.choice.definition)
    client = SessionClient(choice.at(wire.keys.cert), unix_time(), SystemRandom())
    return b"".join(client.data_to_send())


def welcomes(wire: SessionWire, data: bytes) -> bool:
    try:
        return wire.opening().feed(data) is not None
    except NotOurs:
        return False


def new_bridge(state: StateDirectory, covers: list[str] = COVERS) -> SessionBridge:
    return SessionBridge.open(state, covers, CATALOGUE)


def test_one_wire_for_each_cover(state: StateDirectory) -> None:
    assert cover_names(new_bridge(state, []).wires()) == [DEFAULT_COVER]
    assert cover_names(new_bridge(state).wires()) == COVERS


def test_keys_are_made_once_and_shared(state: StateDirectory) -> None:
    first, second = new_bridge(state).wires()
    (again,) = new_bridge(state, ["words"]).wires()
    assert first.keys is second.keys
    assert again.keys == first.keys == state.keys()


def test_all_covers_share_a_memory_of_hellos_that_outlives_them(state: StateDirectory) -> None:
    first, second = new_bridge(state).wires()
    assert first.seen is second.seen
    replayed = hello(first)
    assert welcomes(first, replayed)
    later, _ = new_bridge(state).wires()
    assert not welcomes(later, replayed)
    assert welcomes(later, hello(later))


def test_an_unknown_cover_leaves_nothing_behind(state: StateDirectory) -> None:
    with pytest.raises(ConfigError, match="no cover is named 'nonsense'"):
        new_bridge(state, ["words", "nonsense"])
    assert not state.path.exists()


def test_covers_are_loaded_when_they_are_needed(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    loaded: list[str] = []
    get = Catalogue.get
    monkeypatch.setattr(Catalogue, "get", lambda self, name: loaded.append(name) or get(self, name))
    bridge = new_bridge(state)
    bridge.publish(443)
    assert loaded == []
    bridge.wires()
    assert loaded == COVERS


def test_damaged_keys_are_not_replaced(state: StateDirectory) -> None:
    new_bridge(state)
    keys = state.path / "bridge.keys"
    keys.write_text("private-key AAAA\n")
    with pytest.raises(ConfigError, match="damaged"):
        new_bridge(state)
    assert keys.read_text() == "private-key AAAA\n"


def test_a_journal_that_cannot_be_written_is_a_warning_and_not_the_end(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    (wire,) = new_bridge(state, ["words"]).wires()

    def full(*_arguments: object) -> int:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

    monkeypatch.setattr(os, "write", full)
    with capturedLogs() as events:
        assert welcomes(wire, hello(wire))
    (event,) = events
    assert event["log_level"] is LogLevel.warn
    assert event["reason"] == "No space left on device"


def test_clients_are_told_the_cert_and_the_first_cover(state: StateDirectory) -> None:
    arguments = {"cert": state.keys_or_new().cert.encode(), "cover": "words"}
    assert new_bridge(state).arguments == arguments


@pytest.mark.parametrize(
    ("address", "place"),
    [
        (None, (UNKNOWN_HOST, 443)),
        (("192.0.2.1", 80), ("192.0.2.1", 80)),
        (("2001:db8::1", 80), ("2001:db8::1", 80)),
    ],
)
def test_the_bridge_line_is_published(
    state: StateDirectory, address: tuple[str, int] | None, place: tuple[str, int]
) -> None:
    bridge = new_bridge(state)
    bridge.publish(443, address)
    file = state.path / "bridgeline.txt"
    line = BridgeLine.parse(file.read_text())
    assert (line.host, line.port) == place
    assert line.arguments == bridge.arguments
    assert file.stat().st_mode & 0o777 == 0o600


def test_where_the_line_is_goes_to_the_log_and_the_line_does_not(state: StateDirectory) -> None:
    bridge = new_bridge(state)
    with capturedLogs() as events:
        bridge.publish(443)
    texts = [event["log_format"].format(**event) for event in events]
    assert texts == [f"the line for clients is in {state.path / 'bridgeline.txt'}"]


def test_what_the_operator_must_fill_in_is_not_taken_for_an_address(state: StateDirectory) -> None:
    line = bridge_line(state, BridgeKeys.generate(Random(1).randbytes), "words", {}, None)
    assert (line.host, line.port) == (UNKNOWN_HOST, 8080)


FINGERPRINT_FILES = {
    "tor's": (f"Unnamed {FINGERPRINT}\n", FINGERPRINT),
    "empty": ("", None),
    "without a name": (f"{FINGERPRINT}\n", None),
    "short": (f"Unnamed {FINGERPRINT[1:]}\n", None),
    "of other characters": (f"Unnamed {'x' * 40}\n", None),
    "not text": ("Unnamed \udcff\n", None),
}


@pytest.mark.parametrize(("text", "found"), FINGERPRINT_FILES.values(), ids=FINGERPRINT_FILES)
def test_the_fingerprint_is_tors(state: StateDirectory, text: str, found: str | None) -> None:
    keys = state.keys_or_new()
    file = state.path.parents[1] / "fingerprint"
    file.write_text(text, errors="surrogateescape")
    assert tor_fingerprint(state.path) == found
    assert bridge_line(state, keys, "words", {}, None).fingerprint == found


def test_without_tor_there_is_no_fingerprint(state: StateDirectory) -> None:
    assert tor_fingerprint(state.path) is None


def test_the_fingerprint_is_found_from_inside_the_state_directory(
    state: StateDirectory, monkeypatch: pytest.MonkeyPatch
) -> None:
    state.keys_or_new()
    (state.path.parents[1] / "fingerprint").write_text(f"Unnamed {FINGERPRINT}\n")
    monkeypatch.chdir(state.path)
    assert tor_fingerprint(Path(".")) == FINGERPRINT
    assert tor_fingerprint(Path("../fte")) == FINGERPRINT


def test_unix_time_is_whole_seconds() -> None:
    before = int(time.time())
    assert before <= unix_time() <= time.time()


SITE = {"url": "wss://shop.example/live", "pin": format_pin(bytes(32))}


def test_clients_of_a_web_sites_bridge_are_told_its_url(state: StateDirectory) -> None:
    bridge = SessionBridge.open(state, [], CATALOGUE, {**SITE, "path": "/inside"})
    bridge.publish(8080)
    line = BridgeLine.parse((state.path / "bridgeline.txt").read_text())
    assert (line.host, line.port) == placeholder(sha256(bridge.keys.cert.public_key).digest())
    assert line.arguments == {**bridge.arguments}
    assert {key: line.arguments[key] for key in SITE} == SITE
    assert "path" not in line.arguments  # the url has one


def test_a_path_is_told_where_no_url_says_it(state: StateDirectory) -> None:
    for site in ({"path": "/live"}, {"path": "/live", "url": "ws://shop.example"}):
        bridge = SessionBridge.open(state, [], CATALOGUE, site)
        assert bridge.arguments["path"] == "/live"


def test_whoever_asks_for_another_path_is_a_stranger(state: StateDirectory) -> None:
    (wire,) = SessionBridge.open(state, [], CATALOGUE, {"path": "/live"}).wires()

    def says(path: str) -> bytes:
        choice = CoverChoice(wire.choice.definition, {"path": path})
        client = SessionClient(choice.at(wire.keys.cert), unix_time(), SystemRandom())
        return b"".join(client.data_to_send())

    assert not welcomes(wire, says("/other"))
    assert not welcomes(wire, says("/live/"))
    assert welcomes(wire, says("/live"))


@pytest.mark.parametrize(
    ("covers", "site", "fault"),
    [
        ([], {"url": "shop.example"}, "url= must read"),
        ([], {"url": "ws://shop.example", "pin": SITE["pin"]}, "pin= is about TLS"),
        ([], {"url": "wss://shop.example", "pin": "x"}, "pin= must read"),
        ([], {"path": "live"}, "path=live: must be a path"),
        ([], {"url": "wss://shop.example/x", "path": "live"}, "path=live: must be a path"),
        (["words"], SITE, "url=: the cover words cannot be part of a web site"),
        (["words"], {"path": "/live"}, "path=: the cover words"),
    ],
)
def test_a_site_that_clients_could_not_use_leaves_nothing_behind(
    state: StateDirectory, covers: list[str], site: dict[str, str], fault: str
) -> None:
    with pytest.raises(ConfigError, match=fault):
        SessionBridge.open(state, covers, CATALOGUE, site)
    assert not state.path.exists()
