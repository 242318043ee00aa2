"""The other side of every comparison here: `fte` 0.3.0, the library under fteproxy 0.3.2.

`DEFINITIONS` are fteproxy's formats in its own regular expression syntax, which only its own
parser reads as it does.
"""

from __future__ import annotations

import functools
from typing import Any

from obfsfte.classic import ClassicKey
from tests.libraries import library

fte = library("fte")
fte_dfas = library("fte.dfa")
regex2dfa = library("regex2dfa")

KEY = ClassicKey(bytes(range(16)), bytes(range(100, 116)))
OTHER_KEY = ClassicKey(bytes(range(1, 17)), bytes(range(101, 117)))

#: release -> format name -> (regular expression, slice)
DEFINITIONS = {
    "20131224": {
        "manual-http-request": (r"^GET\ \/([a-zA-Z0-9\.\/]*) HTTP/1\.1\r\n\r\n$", 256),
        "manual-http-response": (
            r"^HTTP/1\.1\ 200 OK\r\nContent-Type:\ ([a-zA-Z0-9]+)\r\n\r\n\C*$",
            256,
        ),
        "manual-ssh-request": (r"^SSH\-2\.0\C*$", 256),
        "manual-ssh-response": (r"^SSH\-2\.0\C*$", 256),
        "dummy-request": (r"^\C+$", 256),
        "dummy-response": (r"^\C+$", 256),
    },
    "20260110": {
        "http-simple-request": (r"^GET \/[a-zA-Z0-9]+ HTTP\/1\.1\r\n\r\n$", 256),
        "http-simple-response": (r"^HTTP\/1\.1 200 OK\r\n\r\n[a-zA-Z0-9]+$", 256),
        "ssh-request": (r"^SSH-2\.0-[a-zA-Z0-9_]+$", 128),
        "ssh-response": (r"^SSH-2\.0-[a-zA-Z0-9_]+$", 128),
        "tls-sni-request": (r"^[a-z0-9]+\.[a-z0-9]+\.[a-z]+$", 128),
        "tls-sni-response": (r"^[a-z0-9]+\.[a-z0-9]+\.[a-z]+$", 128),
        "smtp-request": (r"^EHLO [a-z0-9]+\.[a-z]+$", 128),
        "smtp-response": (r"^250-[a-z0-9]+\.[a-z]+ [A-Z]+$", 128),
        "ftp-request": (r"^USER [a-z0-9]+$", 64),
        "ftp-response": (r"^220 [a-z]+\.[a-z]+ ready$", 128),
        "lowercase-request": (r"^[a-z]+$", 256),
        "lowercase-response": (r"^[a-z]+$", 256),
        "uppercase-request": (r"^[A-Z]+$", 256),
        "uppercase-response": (r"^[A-Z]+$", 256),
        "alphanumeric-request": (r"^[a-zA-Z0-9]+$", 256),
        "alphanumeric-response": (r"^[a-zA-Z0-9]+$", 256),
        "hex-request": (r"^[0-9a-f]+$", 256),
        "hex-response": (r"^[0-9a-f]+$", 256),
        "digits-request": (r"^[0-9]+$", 256),
        "digits-response": (r"^[0-9]+$", 256),
        "binary-request": (r"^[01]+$", 256),
        "binary-response": (r"^[01]+$", 256),
        "base64-request": (r"^[a-zA-Z0-9+/]+$", 256),
        "base64-response": (r"^[a-zA-Z0-9+/]+$", 256),
        "words-request": (r"^([a-z]+ )+[a-z]+$", 256),
        "words-response": (r"^([a-z]+ )+[a-z]+$", 256),
        "sentences-request": (r"^([A-Z][a-z]+ )+[a-z]+\.$", 256),
        "sentences-response": (r"^([A-Z][a-z]+ )+[a-z]+\.$", 256),
        "ip-address-request": (r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$", 64),
        "ip-address-response": (r"^[0-9]+\.[0-9]+\.[0-9]+\.[0-9]+$", 64),
        "domain-request": (r"^[a-z0-9]+\.[a-z]+$", 128),
        "domain-response": (r"^[a-z0-9]+\.[a-z]+$", 128),
        "url-path-request": (r"^\/[a-z0-9]+(\/[a-z0-9]+)*$", 256),
        "url-path-response": (r"^\/[a-z0-9]+(\/[a-z0-9]+)*$", 256),
        "key-value-request": (r"^[a-z]+=[a-zA-Z0-9]+$", 128),
        "key-value-response": (r"^[a-z]+=[a-zA-Z0-9]+$", 128),
        "csv-request": (r"^[a-zA-Z0-9]+(,[a-zA-Z0-9]+)+$", 256),
        "csv-response": (r"^[a-zA-Z0-9]+(,[a-zA-Z0-9]+)+$", 256),
        "email-simple-request": (r"^[a-z]+@[a-z]+\.[a-z]+$", 128),
        "email-simple-response": (r"^[a-z]+@[a-z]+\.[a-z]+$", 128),
        "timestamp-request": (r"^[0-9]+:[0-9]+:[0-9]+$", 64),
        "timestamp-response": (r"^[0-9]+:[0-9]+:[0-9]+$", 64),
        "manual-http-request": (r"^GET\ \/([a-zA-Z0-9\.\/]*) HTTP/1\.1\r\n\r\n$", 256),
        "manual-http-response": (
            r"^HTTP/1\.1\ 200 OK\r\nContent-Type:\ ([a-zA-Z0-9]+)\r\n\r\n\C*$",
            256,
        ),
        "dummy-request": (r"^\C+$", 256),
        "dummy-response": (r"^\C+$", 256),
    },
}

ALL = [(release, name) for release, formats in DEFINITIONS.items() for name in formats]

#: One name for each distinct language, to spare the tests that need no more.
DISTINCT = list({DEFINITIONS[r][n]: (r, n) for r, n in ALL}.values())


def fte_encoder(release: str, name: str, key: ClassicKey = KEY) -> Any:
    regex, fixed_slice = DEFINITIONS[release][name]
    return fte.Encoder(regex, fixed_slice, key.encryption + key.authentication)


@functools.cache
def fte_dfa(release: str, name: str) -> Any:
    regex, fixed_slice = DEFINITIONS[release][name]
    return fte_dfas.DFA(regex2dfa.regex2dfa(regex), fixed_slice)
