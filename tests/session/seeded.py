"""Keys that come again with their seed."""

from __future__ import annotations

from random import Random

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey


def seeded_key(random: Random) -> X25519PrivateKey:
    """A private key, as `obfsfte.session.keys.new_key` gives one."""
    return X25519PrivateKey.from_private_bytes(random.randbytes(32))
