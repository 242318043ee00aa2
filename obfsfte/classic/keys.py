"""The key that both ends of a classic tunnel share: 64 hexadecimal characters in a file.

```
 encryption (16 bytes) ‖ authentication (16 bytes)
```
It never changes and both directions of every connection use it. Whoever knows it reads
all traffic, recorded traffic too, and can speak for either end.
"""

from __future__ import annotations

import re

import attrs

from obfsfte.errors import ConfigError


@attrs.frozen
class ClassicKey:
    """Two 16-byte keys: AES-128 for secrecy, HMAC-SHA512 for authenticity."""

    encryption: bytes = attrs.field(repr=False)
    authentication: bytes = attrs.field(repr=False)

    def __attrs_post_init__(self) -> None:
        if len(self.encryption) != 16 or len(self.authentication) != 16:
            raise ValueError("a classic key is two keys of 16 bytes each")

    @classmethod
    def from_hex(cls, text: str) -> ClassicKey:
        """Read 64 hexadecimal characters; white space around them is allowed.

        Raises ConfigError, which does not repeat the text: it may be nearly a secret.
        """
        digits = text.strip()
        if len(digits) != 64:
            raise ConfigError(
                f"a classic key has 64 hexadecimal characters, this one has {len(digits)}"
            )
        if not re.fullmatch("[0-9a-fA-F]*", digits):
            raise ConfigError("a classic key has only the characters 0-9, a-f and A-F")
        key = bytes.fromhex(digits)
        return cls(key[:16], key[16:])

    @property
    def is_default(self) -> bool:
        """Whether this is fteproxy's built-in key, which everybody knows."""
        return self == DEFAULT_KEY


DEFAULT_KEY = ClassicKey(b"\xff" * 16, b"\x00" * 16)
