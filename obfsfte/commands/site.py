"""Options that say where in a web site a bridge is: of `server` and `bridge-line`."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from obfsfte.commands import options as shared
from obfsfte.pins import read_pin

PARAMETERS: list[list[Any]] = [
    ["url", "u", None, "wss://HOST/PATH where clients find it, behind a web server."],
    ["sni", None, None, "With --url: the name in TLS, if it is another."],
    [
        "pin",
        None,
        None,
        "With --url: the site's certificate, or its authority's (PEM), whose key is to be trusted.",
        shared.coerced(read_pin),
    ],
    ["path", None, None, "The path that clients ask for; any other is a stranger's."],
]

NAMES: list[str] = [parameter[0] for parameter in PARAMETERS]


def given(options: Mapping[str, Any]) -> dict[str, str]:
    """Those that were given, as arguments of a bridge line."""
    return {name: options[name] for name in NAMES if options[name] is not None}
