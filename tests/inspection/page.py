"""The parts of docs/inspection.md that are measured: bytes and dissections side by side."""

from __future__ import annotations

import itertools
import re
import subprocess
from collections.abc import Mapping, Sequence
from pathlib import Path

from tests.e2e.tools import tool

_WIDTH = 64  # characters of each column of a dissection
_LINES = 60  # of each dissection
_BYTES = 12  # of each line of a dump
_DUMPED = 132  # bytes of a message that are shown


def renewed(text: str, parts: Mapping[str, str]) -> str:
    """The page with each part put between its marks."""
    for name, part in parts.items():
        begin, end = f"<!-- begin {name} -->", f"<!-- end {name} -->"
        before, found, rest = text.partition(begin)
        _, found_end, after = rest.partition(end)
        if not found or not found_end:
            raise ValueError(f"the page has no place for {name}: {begin} ... {end}")
        text = f"{before}{begin}\n{part}\n{end}{after}"
    return text


def side_by_side(real: Path, covered: Path, port: int) -> str:
    """The first messages of both captures' first connections: dumps, and dissections."""
    blocks = [_beside(*both) for both in _dumps(real, covered, port)]
    blocks.append(_beside(_dissection(real, port), _dissection(covered, port)))
    return "\n\n".join(_block(lines) for lines in blocks)


def _block(lines: Sequence[str]) -> str:
    return "\n".join(["```", *lines, "```"])


def _beside(left: Sequence[str], right: Sequence[str]) -> list[str]:
    width = max(len(line) for line in left)
    both = itertools.zip_longest(left, right, fillvalue="")
    return [f"{one.ljust(width)}  |  {other}".rstrip() for one, other in both]


def _dumps(real: Path, covered: Path, port: int) -> list[tuple[list[str], list[str]]]:
    """For each direction, the real one's and the covered one's first two segments."""
    ways = {"client -> server": "dstport", "server -> client": "srcport"}
    return [
        (_first_segments(real, port, way, field), _first_segments(covered, port, way, field))
        for way, field in ways.items()
    ]


def _first_segments(file: Path, port: int, way: str, field: str) -> list[str]:
    shown = f"tcp.stream == 0 && tcp.len > 0 && tcp.{field} == {port}"
    payloads = _tshark(file, port, "-Y", shown, "-T", "fields", "-e", "tcp.payload").split()
    return [way, *(line for payload in payloads[:2] for line in _dump(bytes.fromhex(payload)))]


def _dump(data: bytes) -> list[str]:
    lines = []
    for at in range(0, min(len(data), _DUMPED), _BYTES):
        piece = data[at : at + _BYTES]
        text = "".join(chr(byte) if 0x20 <= byte < 0x7F else "." for byte in piece)
        lines.append(f"{at:04x}  {piece.hex(' ').ljust(3 * _BYTES)} {text}")
    if len(data) > _DUMPED:
        lines.append(f"      ... {len(data) - _DUMPED} more bytes")
    return lines


def _dissection(file: Path, port: int) -> list[str]:
    """The first messages' fields, without what tshark adds about the layers below and above."""
    shown = "tcp.stream == 0 && (http || websocket)"
    text = _tshark(file, port, "-2", "-Y", shown, "-O", "tcp,http,websocket")
    lines: list[str] = []
    for line in text.splitlines():
        if found := re.match("Transmission Control Protocol, Src Port: ([0-9]+)", line):
            who = "server" if int(found[1]) == port else "client"
        elif re.match("Hypertext Transfer Protocol|WebSocket", line):
            lines += ["", f"{who}: {line}"]
            is_shown = True
        elif line[:1] != " ":
            is_shown = False
        elif is_shown and re.match(r"    [^ \[\\]", line):
            lines.append(line[2 : _WIDTH + 2])
        if len(lines) > _LINES:
            break
    return lines[1:_LINES]


def _tshark(file: Path, port: int, *options: str) -> str:
    command = [tool("tshark"), "-r", file, "-d", f"tcp.port=={port},http"]
    command += ["-o", "tcp.reassemble_out_of_order:TRUE", *options]
    done = subprocess.run([str(word) for word in command], check=True, capture_output=True)
    return done.stdout.decode("utf-8", "replace")
