"""`encode | decode`: what goes in comes out, through every language, and nothing else does."""

from __future__ import annotations

import io
import re
import secrets
import subprocess
from collections.abc import Callable
from pathlib import Path
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte import cli
from obfsfte.classic import RELEASES
from obfsfte.commands import coding
from tests.classic.oracle import DEFINITIONS, KEY
from tests.commands.shell import COMMAND, Finished, obfsfte
from tests.libraries import library

fte = library("fte")

KEY_BYTES = KEY.encryption + KEY.authentication

FORMATS = [
    pytest.param(["--release", release.name, "--format", name], id=f"{release.name}-{name}")
    for release in RELEASES.values()
    for name in release.formats
]

PATTERNS = [
    pytest.param(["--pattern", pattern, "--length", str(length)], id=pattern)
    for pattern, length in [
        ("[a-z]+", 256),
        ("(yes|no)+,?", 600),
        (r"id=[0-9]{40}; [^;\r\n]+", 400),
        (r"[\x00-\xff]+", 60),
        ("(?i)[a-c]+", 200),
        ("é[à-ÿ]*", 900),
        ("[ab]*", 2000),
    ]
]


@pytest.fixture(scope="module")
def key_file(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("keys") / "key"
    path.touch(0o600)
    path.write_text(KEY_BYTES.hex())
    return path


Coder = Callable[..., bytes]


@pytest.fixture(scope="module")
def code(key_file: Path) -> Coder:
    """`obfsfte COMMAND OPTIONS` in this process: standard input -> standard output."""

    def code(command: str, options: list[str], data: bytes) -> bytes:
        output = io.BytesIO()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(coding, "log_to", lambda stream: None)
            patch.setattr("sys.stdin", io.TextIOWrapper(io.BytesIO(data)))
            patch.setattr("sys.stdout", io.TextIOWrapper(output))
            assert cli.main([command, *options, "--key-file", str(key_file)]) == 0
            return output.getvalue()

    return code


@pytest.mark.parametrize("options", FORMATS + PATTERNS)
def test_decode_undoes_encode(options: list[str], code: Coder) -> None:
    for size in (0, 1, 1000, 20_000):
        data = Random(size).randbytes(size)
        covertext = code("encode", options, data)
        assert code("decode", options, covertext) == data


@settings(max_examples=50, deadline=None)
@given(data=st.binary(max_size=3000))
def test_decode_undoes_encode_for_any_data(code: Coder, data: bytes) -> None:
    options = ["--pattern", "([A-Z][a-z]+ )+[a-z]+[.]", "--length", "200"]
    assert code("decode", options, code("encode", options, data)) == data


def test_covertext_of_a_large_enough_language_is_wholly_in_it(code: Coder) -> None:
    covertext = code("encode", ["--pattern", "[a-z]+[.]", "--length", "256"], bytes(10_000))
    assert re.fullmatch(rb"([a-z]{255}[.])+", covertext)


@pytest.mark.parametrize("release", DEFINITIONS)
def test_the_original_library_reads_what_we_encode(release: str, code: Coder) -> None:
    for name, (expression, length) in DEFINITIONS[release].items():
        data = secrets.token_bytes(500)
        rest = code("encode", ["--release", release, "--format", name], data)
        theirs = fte.Encoder(expression, length, KEY_BYTES)
        decoded = b""
        while rest:
            message, rest = theirs.decode(rest)
            decoded += message
        assert decoded == data


@pytest.mark.parametrize("release", DEFINITIONS)
def test_we_decode_what_the_original_library_encodes(release: str, code: Coder) -> None:
    for name, (expression, length) in DEFINITIONS[release].items():
        messages = [secrets.token_bytes(size) for size in (1, 40, 5000)]
        theirs = fte.Encoder(expression, length, KEY_BYTES)
        covertext = b"".join(theirs.encode(message) for message in messages)
        options = ["--release", release, "--format", name]
        assert code("decode", options, covertext) == b"".join(messages)


HEX = ["--format", "hex-request"]
DATA = Random(0).randbytes(1000)


@pytest.fixture(scope="module")
def covertext(code: Coder) -> bytes:
    return code("encode", HEX, DATA)


def decode(covertext: bytes, key_file: Path) -> Finished:
    return obfsfte("decode", *HEX, "--key-file", key_file, stdin=covertext)


def assert_refused(finished: Finished, reason: str) -> None:
    assert finished.status == 1
    assert finished.stderr.startswith("obfsfte: decode: the input ")
    assert finished.stderr.count("\n") == 1
    assert reason in finished.stderr
    assert DATA.startswith(finished.stdout)
    assert len(finished.stdout) < len(DATA)


@pytest.mark.e2e
@pytest.mark.parametrize("place", [0, 1, 100, 256, 700])
def test_altered_covertext_is_refused(place: int, covertext: bytes, key_file: Path) -> None:
    altered = bytearray(covertext)
    altered[place] = ord("0") if altered[place] == ord("1") else ord("1")
    finished = decode(bytes(altered), key_file)
    assert_refused(finished, "was altered, between bytes ")


@pytest.mark.e2e
@pytest.mark.parametrize("length", [1, 255, 257, -1])
def test_covertext_cut_short_is_refused(length: int, covertext: bytes, key_file: Path) -> None:
    assert_refused(decode(covertext[:length], key_file), "the input ends inside a message")


@pytest.mark.e2e
def test_covertext_of_another_key_or_language_is_refused(
    covertext: bytes, key_file: Path, tmp_path: Path
) -> None:
    other_key = tmp_path / "key"
    other_key.touch(0o600)
    other_key.write_text(secrets.token_hex(32))
    assert_refused(decode(covertext, other_key), "is not covertext of this language and key")
    other = obfsfte("decode", "--format", "digits-request", "--key-file", key_file, stdin=covertext)
    assert_refused(other, "is not covertext of this language and key")
    garbage = decode(b"what is this?" * 100, key_file)
    assert_refused(garbage, "is not covertext of this language and key")


@pytest.mark.e2e
def test_a_pipe_from_one_to_the_other(tmp_path: Path) -> None:
    data = Random(7).randbytes(1_000_000)
    script = '"$0" encode --format words-response | "$0" decode --format words-response'
    done = subprocess.run(
        ["sh", "-c", script, COMMAND], input=data, capture_output=True, timeout=120
    )
    assert done.returncode == 0
    assert done.stdout == data
    # Both warn of the key that everybody knows, each once.
    assert done.stderr.count(b"using fteproxy's public key") == 2
    assert done.stderr.count(b"\n") == 2


@pytest.mark.e2e
def test_a_language_that_holds_little_is_said_to(key_file: Path) -> None:
    small = ["--pattern", "[0-9]+", "--length", "50", "--key-file", key_file]
    encoded = obfsfte("encode", *small, stdin=DATA)
    assert "raw bytes follow each" in encoded.stderr
    assert encoded.stderr.count("\n") == 1
    assert obfsfte("decode", *small, stdin=encoded.stdout).stdout == DATA
