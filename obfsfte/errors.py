"""The exceptions that cross a layer.

Three families. `WireError` is about bytes from the network: the
connection that raised it is over, nobody is told why, the process goes on.
`ConfigError` is about what a person wrote (an option, a key file, a definition):
its message is one line that says what was wrong, where, and what to do.
`UnusableConnection` is about a peer that was reached and is not what it should be: its
message is for the log.

`plain` and `quoted` are for what such a message repeats of a person's words: keys get pasted
into wrong places.
"""

import re


class WireError(Exception):
    """The peer's bytes broke the protocol. Close the connection; deliver nothing more."""


class AuthenticationFailed(WireError):
    """A message was forged, altered, reordered, or sealed with another key."""


class Truncated(WireError):
    """The wire ended inside a message, or before the peer announced its end of stream."""


class NotOurs(WireError):
    """The first bytes of a connection cannot open this wire: a stranger, to the gate."""


class UnusableConnection(Exception):
    """A connection was made and cannot be used. The message names no address."""


class ConfigError(ValueError):
    """Something a person wrote cannot be used. The message is for that person."""


# Of base64url or hexadecimal, shorter than any key, and longer than what has a name here.
_LIKE_A_KEY = re.compile(r"[A-Za-z0-9_-]{40}")


def plain(text: str) -> str:
    """What was written, unless it may hold a key."""
    return f"({len(text)} characters)" if _LIKE_A_KEY.search(text) else text


def quoted(text: str) -> str:
    """As `plain`, in quotation marks."""
    return repr(text) if plain(text) is text else plain(text)
