"""A client of the `http` cover written a second time, from docs/protocol.md and docs/covers.md.

Nothing here comes from `obfsfte`: HTTP is the standard library's, and the cover is the one that the
page has for an example, whose languages are all strings over an alphabet.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import os
import re
import time
import tomllib
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CTR

from tests.e2e.waiting import LOOPBACK
from tests.session import independent

_PAGE = Path(__file__).parents[2] / "docs" / "covers.md"
[DEFINITION] = re.findall(r"^```toml\n(# tides.toml\n.*?)^```$", _PAGE.read_text(), re.M | re.S)
_TIDES = tomllib.loads(DEFINITION)
_TOKEN = bytes(sorted(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-"))
_HEX = b"0123456789abcdef"

DATA, PADDING, END, HOLD = range(4)


def _prologue() -> bytes:
    carrier, ticket = _TIDES["carriers"]["token"], _TIDES["tickets"]["since"]
    shown = {
        "carriers": {"token": [carrier["pattern"], carrier["lengths"]]},
        "kind": "http",
        "places": [["x-access-token", "", "token"]],
        "ticket_places": [["query", "since=", "since"]],
        "tickets": {"since": [ticket["pattern"], ticket["lengths"]]},
    }
    text = json.dumps(shown, separators=(",", ":"))
    prologue: bytes = independent.make_prologue(  # type: ignore[no-untyped-call]
        "tides", hashlib.sha256(text.encode()).digest()
    )
    return prologue


def _string(number: int, alphabet: bytes, length: int) -> str:
    """The string with that number, of all of that length."""
    digits = bytearray()
    for _ in range(length):
        number, digit = divmod(number, len(alphabet))
        digits.append(alphabet[digit])
    assert number == 0
    return digits[::-1].decode()


class _Lengths:
    """A direction's keystream for records' lengths."""

    def __init__(self, key: bytes) -> None:
        key = hmac.digest(key, b"obfsfte 1 http lengths", "sha256")
        self._stream = Cipher(AES(key), CTR(bytes(16))).encryptor()

    def mask(self, data: bytes) -> bytes:
        return self._stream.update(data)


class Client:
    """Each method is one request, on the connection that there is."""

    def __init__(self, port: int, cert: str) -> None:
        keys = base64.urlsafe_b64decode(cert + "==")
        nonce = os.urandom(16)
        self._secret = keys[32:]
        self._noise: Any = independent.Client(  # type: ignore[no-untyped-call]
            keys[:32], self._secret, _prologue(), nonce, os.urandom(32)
        )
        self._upstream: bytes = self._derive(nonce, b"upstream cover")
        self._sending = _Lengths(self._upstream)
        self._receiving = _Lengths(self._derive(nonce, b"downstream cover"))
        self._records: Any = None
        self.number = 0  # of the next ticket
        self._port = port
        self.reconnect()

    def _derive(self, nonce: bytes, label: bytes) -> bytes:
        key: bytes = independent.derive(self._secret, nonce, label)  # type: ignore[no-untyped-call]
        return key

    def reconnect(self) -> None:
        """Go on with another connection."""
        self.connection = http.client.HTTPConnection(LOOPBACK, self._port, timeout=30)

    def close(self) -> None:
        """Leave."""
        self.connection.close()

    def greet(self) -> list[tuple[int, bytes]]:
        """The first request: the records behind the bridge's hello."""
        length = _TIDES["carriers"]["token"]["lengths"][3]
        count = len(_TOKEN) ** length
        size = (count.bit_length() - 1) // 8 - 1
        record = int.from_bytes(self._noise.hello(1, int(time.time()), size), "big")
        drawn = hmac.digest(self._upstream, bytes(8), "sha256")
        step = 256**size
        places = (count - record + step - 1) // step
        number = record + step * (int.from_bytes(drawn[16:], "big") % places)
        token = _string(number, _TOKEN, length)
        self.connection.request("GET", "/login", headers={"X-Access-Token": token})
        first, *rest = self._answered()
        version, now, self._records = self._noise.receive(first)
        assert version == 1
        assert abs(now - time.time()) < 60
        return [self._records.open(record) for record in rest]

    def target(self, number: int) -> str:
        """The target of the request that has this number."""
        drawn = hashlib.shake_256(self._upstream + f"ticket since {number}".encode()).digest(40)
        ticket = int.from_bytes(drawn[8:], "big") % 16**32
        return f"/changes?since={_string(ticket, _HEX, 32)}"

    def ask(self, *content: tuple[int, bytes]) -> list[tuple[int, bytes]]:
        """A request with these records, a GET if there are none: the answer's records."""
        target = self.target(self.number)
        self.number += 1
        body = b""
        for kind, payload in content:
            record = self._records.seal(kind, payload, 20 + len(payload) + self.number % 7)
            body += self._sending.mask(len(record).to_bytes(3, "big")) + record
        self.connection.request("POST" if content else "GET", target, body or None)
        return [self._records.open(record) for record in self._answered()]

    def _answered(self) -> list[bytes]:
        answer = self.connection.getresponse()
        body = answer.read()
        assert answer.status == 200, answer.status
        records = []
        while body:
            size = int.from_bytes(self._receiving.mask(body[:3]), "big")
            assert 1 <= size <= min(65536, len(body) - 3)
            records.append(body[3 : 3 + size])
            body = body[3 + size :]
        assert records
        return records
