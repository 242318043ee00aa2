"""What `obfsfte bridge-line` prints for a bridge that is part of a web site."""

from __future__ import annotations

import hashlib
import subprocess
from base64 import urlsafe_b64encode
from pathlib import Path

import pytest

from obfsfte.bridge_line import BridgeLine
from obfsfte.state import StateDirectory

from ..e2e.certificates import Issued
from .shell import obfsfte

pytestmark = pytest.mark.e2e  # they need the installed command

URL = "wss://shop.example/live"


def printed(state: Path, *options: object) -> BridgeLine:
    done = obfsfte("bridge-line", "--state", state, *options)
    assert done.status == 0, done.stderr
    return BridgeLine.parse(done.stdout.decode())


def test_a_url_a_name_and_the_pin_of_a_certificate(tmp_path: Path) -> None:
    state, files = tmp_path / "state", tmp_path / "files"
    files.mkdir()
    certificate = Issued(files, "front.example")
    StateDirectory(state).keys_or_new()
    options = ("--url", URL, "--sni", "front.example", "--pin", certificate.chain)
    line = printed(state, *options)
    # What openssl says of the same file.
    key = subprocess.run(
        f"openssl x509 -in {certificate.chain} -noout -pubkey | openssl pkey -pubin -outform DER",
        shell=True,
        check=True,
        capture_output=True,
    ).stdout
    digest = urlsafe_b64encode(hashlib.sha256(key).digest()).rstrip(b"=").decode()
    assert line.arguments["url"] == URL
    assert line.arguments["sni"] == "front.example"
    assert line.arguments["pin"] == f"sha256-{digest}"
    assert line.host.startswith("2001:db8:")
    assert printed(state, *options) == line


def test_what_the_server_left_is_kept(tmp_path: Path) -> None:
    state = StateDirectory(tmp_path)
    state.keys_or_new()
    state.write_bridge_line(f"fte [2001:db8::1]:443 cert=x cover=websocket url={URL}")
    assert printed(tmp_path).arguments["url"] == URL
    address = printed(tmp_path, "--address", "192.0.2.1:443")
    assert (address.host, address.arguments["url"]) == ("192.0.2.1", URL)
    state.write_bridge_line("fte YOUR-PUBLIC-ADDRESS:8080 cert=x cover=websocket path=/live")
    assert printed(tmp_path).arguments["path"] == "/live"
    assert printed(tmp_path).host == "YOUR-PUBLIC-ADDRESS"
    line = printed(tmp_path, "--url", URL)
    assert line.host.startswith("2001:db8:")
    assert "path" not in line.arguments


def test_what_clients_could_not_use(tmp_path: Path) -> None:
    StateDirectory(tmp_path).keys_or_new()

    def complaint(*options: object) -> str:
        return obfsfte("bridge-line", "--state", tmp_path, *options).complaint

    assert "sni= is about TLS" in complaint("--sni", "a.example")
    assert "url= must read" in complaint("--url", "a.example")
    assert "the cover words cannot be part" in complaint("--url", URL, "--cover", "words")
    assert "cannot read the certificate" in complaint("--url", URL, "--pin", tmp_path / "none")
