"""Pins from certificates: an operator has a file, clients are told the key's digest."""

from __future__ import annotations

import hashlib
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509 import Certificate, load_pem_x509_certificate

from obfsfte.errors import ConfigError, plain
from obfsfte.way import PIN_PREFIX, format_pin, parse_pin


def public_key_digest(certificate: Certificate) -> bytes:
    """The SHA-256 of a certificate's SubjectPublicKeyInfo."""
    key = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return hashlib.sha256(key).digest()


def read_pin(text: str) -> str:
    """A pin as it is, or that of the first certificate in a PEM file. Raises ConfigError."""
    if text.startswith(PIN_PREFIX):
        return format_pin(parse_pin(text))
    try:
        return format_pin(public_key_digest(load_pem_x509_certificate(Path(text).read_bytes())))
    except OSError as error:
        raise ConfigError(f"cannot read the certificate {plain(text)}: {error.strerror}") from None
    except ValueError:
        raise ConfigError(f"{text} has no certificate in PEM") from None
