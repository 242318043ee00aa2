"""What a bridge is, and what its clients are told of it.

A bridge is an X25519 private key and a 32-byte secret (`BridgeKeys`, kept in the state
directory). Its clients get the public key and the secret (`Cert`), in the bridge line:

    cert=  base64url( public key: 32 bytes || secret: 32 bytes ),  86 characters, no padding

The private key is what lets the bridge, and nobody else, answer a hello. The secret is
what lets its clients, and nobody else, make one: without it the hellos are random bytes.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable

import attrs
from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey

from obfsfte.errors import ConfigError
from obfsfte.session.noise import KEY_SIZE, PreShared, public_bytes

#: Gives that many bytes which nobody can guess: `secrets.token_bytes`, but for tests.
RandomBytes = Callable[[int], bytes]

#: Gives a private key that nobody can guess: `new_key`, but for tests.
NewKey = Callable[[], X25519PrivateKey]

#: To load one from random bytes takes ten times as long in older versions of cryptography.
new_key: NewKey = X25519PrivateKey.generate

_COPY_AGAIN = "copy the whole bridge line again"


def _encode(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode("ascii")


def _decode(name: str, text: str, size: int) -> bytes:
    """The `size` bytes that `text` spells; messages do not repeat it, it is a secret."""
    characters = (size * 8 + 5) // 6
    if len(text) != characters:
        raise ConfigError(f"{name} has {characters} characters, this one has {len(text)}")
    if not re.fullmatch("[A-Za-z0-9_-]*", text):
        raise ConfigError(f"{name} has only the characters A-Z, a-z, 0-9, - and _")
    data = base64.urlsafe_b64decode(text + "=" * (-characters % 4))
    if _encode(data) != text:  # bits beyond the last byte
        raise ConfigError(f"{name} ends in a character that cannot be its last")
    return data


def _check_size(instance: object, attribute: attrs.Attribute[bytes], value: bytes) -> None:
    if len(value) != KEY_SIZE:
        raise ValueError(f"{attribute.name} has {len(value)} bytes, not {KEY_SIZE}")


@attrs.frozen
class Cert:
    """What a client must know of a bridge."""

    public_key: bytes = attrs.field(validator=_check_size, repr=bytes.hex)
    secret: bytes = attrs.field(validator=_check_size, repr=False)
    #: Both, ready for use in handshakes.
    shared: PreShared = attrs.field(init=False, eq=False, repr=False)

    @shared.default
    def _prepare(self) -> PreShared:
        return PreShared.of(self.public_key, self.secret)

    def encode(self) -> str:
        """The value of `cert=`."""
        return _encode(self.public_key + self.secret)

    @classmethod
    def parse(cls, text: str) -> Cert:
        """Read the value of `cert=`. Raises ConfigError, which does not repeat it."""
        try:
            data = _decode("cert=", text, 2 * KEY_SIZE)
        except ConfigError as error:
            raise ConfigError(f"{error}: {_COPY_AGAIN}") from None
        public_key = data[:KEY_SIZE]
        try:
            # Any private key shows whether the point is one of the few of small order.
            probe = X25519PrivateKey.from_private_bytes(bytes(KEY_SIZE))
            probe.exchange(X25519PublicKey.from_public_bytes(public_key))
        except ValueError:
            raise ConfigError(f"cert= holds no usable public key: {_COPY_AGAIN}") from None
        return cls(public_key, data[KEY_SIZE:])


@attrs.frozen
class BridgeKeys:
    """A bridge's private key and secret; whoever has them is the bridge."""

    private_key: bytes = attrs.field(repr=False)
    secret: bytes = attrs.field(repr=False)
    #: `private_key`, ready for use.
    static: X25519PrivateKey = attrs.field(init=False, eq=False, repr=False)
    cert: Cert = attrs.field(init=False, eq=False)

    @static.default
    def _load_static(self) -> X25519PrivateKey:
        return X25519PrivateKey.from_private_bytes(self.private_key)

    @cert.default
    def _make_cert(self) -> Cert:
        return Cert(public_bytes(self.static), self.secret)

    @classmethod
    def generate(cls, random: RandomBytes) -> BridgeKeys:
        """A new bridge."""
        return cls(random(KEY_SIZE), random(KEY_SIZE))

    def encode(self) -> str:
        """The text of a key file. `cert` is there for people, and to notice damage."""
        return (
            "# The keys of an obfsfte bridge. Whoever has this file can pose as the bridge.\n"
            f"private-key {_encode(self.private_key)}\n"
            f"secret {_encode(self.secret)}\n"
            f"cert {self.cert.encode()}\n"
        )

    @classmethod
    def decode(cls, text: str) -> BridgeKeys:
        """Read the text of a key file. Raises ConfigError, which repeats none of it."""
        fields: dict[str, str] = {}
        for number, line in enumerate(text.splitlines(), 1):
            if not line or line.startswith("#"):
                continue
            name, _, value = line.partition(" ")
            if name not in ("private-key", "secret", "cert") or name in fields:
                raise ConfigError(f"line {number} is not one of private-key, secret and cert")
            fields[name] = value.strip()
        for name in ("private-key", "secret", "cert"):
            if name not in fields:
                raise ConfigError(f"the line {name} is missing")
        keys = cls(
            _decode("private-key", fields["private-key"], KEY_SIZE),
            _decode("secret", fields["secret"], KEY_SIZE),
        )
        if keys.cert.encode() != fields["cert"]:
            raise ConfigError("private-key, secret and cert do not belong together")
        return keys
