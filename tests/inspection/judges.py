"""What programs and published tests that nobody here wrote say of a capture.

- nDPI (Debian's ndpiReader): the protocol of each connection, and the risks that it sees in it;
- nDPI (the newer one inside nfstream): the protocol of each connection;
- tshark: malformed packets, warnings, bytes of no message, requests without a response;
- Wu et al., USENIX Security 2023, Algorithm 1: first packets that a firewall blocks as fully
  encrypted;
- Wang et al., CCS 2015, section 5: URIs that are fteproxy's, 239 bytes with an entropy of 5.5 bits
  or more each;
- the lengths of first messages: the share of connections that have the commonest one.
"""

from __future__ import annotations

import json
import math
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Mapping
from importlib.util import find_spec
from pathlib import Path

import attrs

from tests.covers.firewall import exemptions
from tests.e2e.capture import tshark
from tests.e2e.tools import tool, unavailable

_FTEPROXY_URI = 239  # bytes
_FTEPROXY_ENTROPY = 5.5  # bits a byte

_WARNING = 0x600000  # tshark's PI_WARN
#: tshark's analysis of TCP itself, which depends on the machine's load and not on who speaks.
_OF_TCP = re.compile(
    "TCP (Zero Window|window)|[Rr]etransmission|D-SACK|Previous segment|Out-Of-Order|out-of-order"
    "|ACKed segment|Duplicate ACK"
)


@attrs.frozen
class Findings:
    """Of all connections of a capture together."""

    connections: int
    #: Labels, and how many connections have each.
    ndpi: Mapping[str, int]
    nfstream: Mapping[str, int]
    risks: frozenset[str]
    malformed: int
    warnings: frozenset[str]
    #: Segments, sent for the first time, whose bytes belong to no message that tshark knows.
    undissected: int
    #: Requests without a response, and responses without a request.
    unmatched: int
    #: First packets that Algorithm 1 blocks.
    blocked: int
    #: Requests that the test of 2015 takes for fteproxy's.
    flagged: int
    #: Lengths of first messages in bytes, and how many connections have each.
    first_lengths: Mapping[int, int]

    @property
    def commonest_first_length(self) -> float:
        """The share of connections that have the commonest length of a first message."""
        return max(self.first_lengths.values()) / sum(self.first_lengths.values())


def judge(file: Path, port: int) -> Findings:
    """Ask all judges about the connections to a port in a capture."""
    labels, risks = _ndpi(file)
    return Findings(
        connections=sum(labels.values()),
        ndpi=labels,
        nfstream=_nfstream(file),
        risks=frozenset(risks),
        **_tshark(file, port),
        **_first_packets(file, port),
    )


def entropy(text: str) -> float:
    """Of the text's own distribution of characters, in bits a character (Shannon)."""
    return -sum(n / len(text) * math.log2(n / len(text)) for n in Counter(text).values())


def _ndpi(file: Path) -> tuple[Counter[str], set[str]]:
    done = subprocess.run(
        [tool("ndpiReader"), "-v", "2", "-i", str(file)], check=True, capture_output=True
    )
    text = done.stdout.decode(errors="replace")
    flows = re.findall(r"^\t[0-9]+\tTCP .*?\[proto: [0-9.]+/([^\]]+)\]", text, re.MULTILINE)
    _, _, risks = text.partition("Risk stats")
    found = re.findall(r"^\t(\S.*?) +[0-9]+ \[[ 0-9.]+%\]", risks, re.MULTILINE)
    return Counter(flows), set(found)


# nfstream starts processes that import the main module anew, and writes to standard output.
_NFSTREAM = """
import collections, json, sys
from nfstream import NFStreamer
if __name__ == "__main__":
    flows = NFStreamer(source=sys.argv[1], n_meters=1, idle_timeout=86400, active_timeout=86400)
    print(json.dumps(collections.Counter(flow.application_name for flow in flows)))
"""


def _nfstream(file: Path) -> Counter[str]:
    if find_spec("nfstream") is None:
        unavailable("the library that has nfstream is not installed")
    script = file.with_suffix(".nfstream.py")
    script.write_text(_NFSTREAM)
    done = subprocess.run([sys.executable, script, file], check=True, capture_output=True)
    return Counter(json.loads(done.stdout.decode().splitlines()[-1]))


def _tshark(file: Path, port: int) -> dict[str, object]:
    fields = ["tcp.len", "tcp.reassembled_in", "tcp.analysis.retransmission", "_ws.malformed"]
    experts = ["_ws.expert.severity", "_ws.expert.message"]
    pairs = ["http.request.uri", "http.response_in", "http.response.code", "websocket.opcode"]
    # Not a comma, which stands in URIs and in messages.
    # Two passes: the first cannot know what a later packet answers or completes.
    options = ["-2", "-E", "aggregator=\x1f"]
    rows = tshark(file, port, [*fields, *experts, *pairs], *options)
    warnings = {
        message
        for row in rows
        for severity, message in zip(
            row["_ws.expert.severity"].split("\x1f"),
            row["_ws.expert.message"].split("\x1f"),
            strict=True,
        )
        if severity and int(severity) >= _WARNING and not _OF_TCP.search(message)
    }

    def values(field: str) -> list[str]:
        return [value for row in rows if row[field] for value in row[field].split("\x1f")]

    uris = values("http.request.uri")
    final = [code for code in values("http.response.code") if code != "100"]
    messages = [*pairs, "tcp.reassembled_in", "tcp.analysis.retransmission"]
    return {
        "malformed": len(values("_ws.malformed")),
        "warnings": frozenset(warnings),
        "undissected": sum(
            row["tcp.len"] != "0" and not any(row[field] for field in messages) for row in rows
        ),
        "unmatched": len(uris) - len(values("http.response_in")) + abs(len(uris) - len(final)),
        "flagged": sum(
            len(uri) == _FTEPROXY_URI and entropy(uri) >= _FTEPROXY_ENTROPY for uri in uris
        ),
    }


def _first_packets(file: Path, port: int) -> dict[str, object]:
    first = f"tcp.dstport == {port} && tcp.seq == 1 && tcp.len > 0"
    rows = tshark(file, port, ["tcp.payload"], "-Y", first)
    payloads = [bytes.fromhex(row["tcp.payload"].partition(",")[0]) for row in rows]
    return {
        "blocked": sum(not exemptions(payload) for payload in payloads),
        "first_lengths": Counter(len(payload) for payload in payloads),
    }
