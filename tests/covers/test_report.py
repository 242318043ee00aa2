"""The report: right figures, right samples, no control bytes for the terminal."""

import re
from random import Random

import pytest

from obfsfte.covers import load_definition
from obfsfte.covers.report import Traffic, converse, report

HALF_PRINTABLE = load_definition(
    r"""
    kind = "stream"
    description = "half of it printable"
    [upstream]
    pattern = '[0-9a-f]{8}(?:[\x01-\x1f][a-p])*'
    lengths = [308]
    [downstream]
    pattern = '[0-9a-f]{64}\n(?:[0-9a-f]{64}\n)*'
    lengths = [260]
    """,
    "half.toml",
)


def test_the_conversation_is_what_was_asked_for() -> None:
    upstream, downstream = converse(HALF_PRINTABLE, {}, Random(1), 7)
    assert [len(message) for message in upstream.messages] == [308] * 7
    assert [len(message) for message in downstream.messages] == [260] * 7
    assert downstream.record_bytes == 7 * (256 * 4 // 8 - 1)


def test_figures() -> None:
    traffic = Traffic([b"aabb", b"\n\n\x00\x00"], record_bytes=42)
    assert traffic.figures() == (
        "messages of 4 to 4 bytes; 4.00 bytes on the wire for one of data; "
        "byte entropy 2.00 bits; 50% printable"
    )


@pytest.mark.parametrize("samples", [1, 3])
def test_the_report(samples: int) -> None:
    lines = report(HALF_PRINTABLE, {}, Random(2), samples)
    text = "\n".join(lines)
    assert lines[0] == "half: half of it printable"
    assert (
        "  length  260: capacity 1024 bits, 3.94 per byte; "
        "records of 127 bytes for 107 of data: 2.43 bytes on the wire for each"
    ) in text
    assert "Ex2: the first six bytes are always printable" in text
    assert len(re.findall(r"^upstream, message", text, re.M)) == samples
    assert len(re.findall(r"^downstream, message", text, re.M)) == samples
    assert all(line.isascii() and line.isprintable() for line in lines)
    # A message's lines are shown as lines.
    digits = [line for line in lines if re.fullmatch(r"  \| [0-9a-f]{64}", line)]
    assert len(digits) == 4 * samples
