"""TLS to the web server that a bridge is behind: whom to believe, and what to say if not.

OpenSSL builds and checks the chain of certificates; this decides about what it reports:

- Without a pin, everything must be in order, up to an authority of the system's, or of a file.
- With one, the chain need not end at such an authority, but its signatures and dates must be
  good, and one of its keys be the pinned one. So a server can have a certificate of its own
  making, and an authority that issues another one for the same name gains nothing.
- The server's certificate is for the name (service-identity), either way.

Twisted's `optionsForClientTLS` has no way to say the second, nor to hear what was wrong.
"""

from __future__ import annotations

import hmac
from functools import cache
from typing import Any

from OpenSSL import SSL
from service_identity import VerificationError
from service_identity.cryptography import (
    verify_certificate_hostname,
    verify_certificate_ip_address,
)
from twisted.internet import ssl
from twisted.internet.endpoints import wrapClientTLS
from twisted.internet.interfaces import IOpenSSLClientConnectionCreator, IStreamClientEndpoint
from twisted.python.failure import Failure
from zope.interface import implementer

from obfsfte.errors import ConfigError, UnusableConnection
from obfsfte.pins import public_key_digest
from obfsfte.way import Tls, is_address

#: What browsers offer for a WebSocket (ALPN).
_PROTOCOLS = [b"http/1.1"]

# X509_V_ERR_* of OpenSSL's x509_vfy.h: no certificate of an authority, or none that is trusted.
_NO_AUTHORITY = frozenset({2, 18, 19, 20, 21})
_FAULTS = {
    7: "a signature in its chain of certificates is wrong",
    9: "the certificate is not valid yet; check this machine's clock",
    10: "the certificate has expired; check this machine's clock",
    26: "the certificate is not one for servers",
    **dict.fromkeys(_NO_AUTHORITY, "no authority that is trusted here has signed the certificate"),
}


class CertificateRefused(UnusableConnection):
    """The server is not who it should be."""


@cache
def context(authorities: str | None = None) -> SSL.Context:
    """What all connections share that believe the same authorities: the system's, or a file's.

    Raises ConfigError when there are none in the file.
    """
    trust = ssl.platformTrust() if authorities is None else _read_authorities(authorities)
    return ssl.CertificateOptions(
        trustRoot=trust,
        raiseMinimumTo=ssl.TLSVersion.TLSv1_2,
    ).getContext()


def _read_authorities(path: str) -> Any:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            text = file.read()
    except OSError as error:
        raise ConfigError(f"cannot read {path}: {error.strerror}") from None
    end = "-----END CERTIFICATE-----"
    try:
        found = [ssl.Certificate.loadPEM((part + end).encode()) for part in text.split(end)[:-1]]
    except SSL.Error:
        found = []
    if not found:
        raise ConfigError(f"{path} has no certificates in PEM")
    return ssl.trustRootFromCertificates(found)


@implementer(IOpenSSLClientConnectionCreator)
class ClientTls:
    """Sets each connection up to verify one server."""

    def __init__(self, expected: Tls, authorities: str | None = None) -> None:
        self._expected = expected
        self._context = context(authorities)

    def clientConnectionForTLS(self, tlsProtocol: Any) -> SSL.Connection:
        connection = SSL.Connection(self._context, None)
        connection.set_alpn_protos(_PROTOCOLS)
        name = self._expected.name
        if not is_address(name):
            connection.set_tlsext_host_name(name.encode("ascii"))
        verification = _Verification(self._expected, tlsProtocol)
        connection.set_verify(
            SSL.VERIFY_PEER | SSL.VERIFY_FAIL_IF_NO_PEER_CERT, verification.certificate
        )
        return connection


class _Verification:
    """Of one connection's chain: OpenSSL tells of each certificate, the server's last.

    What it reports as wrong comes first; of a chain that is good, or that we bear with, each
    certificate then comes as `is_good` once its signature has been checked.
    """

    def __init__(self, expected: Tls, protocol: Any) -> None:
        self._name = expected.name
        self._pin = expected.pin
        self._has_pin = expected.pin is None
        self._protocol = protocol

    def certificate(
        self, _connection: SSL.Connection, x509: Any, fault: int, depth: int, is_good: int
    ) -> bool:
        try:
            self._check(x509.to_cryptography(), fault, depth, bool(is_good))
        except CertificateRefused:
            self._protocol.failVerification(Failure())
            return False
        except Exception:  # parsers raise what they like, and OpenSSL passes nothing on
            unreadable = CertificateRefused("the certificate cannot be read")
            self._protocol.failVerification(Failure(unreadable))
            return False
        return True

    def _check(self, certificate: Any, fault: int, depth: int, is_good: bool) -> None:
        if not is_good:
            if self._pin is None or fault not in _NO_AUTHORITY:
                raise CertificateRefused(_FAULTS.get(fault, f"OpenSSL's reason number {fault}"))
            return
        if self._pin is not None and hmac.compare_digest(self._pin, public_key_digest(certificate)):
            self._has_pin = True
        if depth == 0:
            if not self._has_pin:
                raise CertificateRefused("neither its key nor an authority's is the pinned one")
            _check_name(certificate, self._name)


def _check_name(certificate: Any, name: str) -> None:
    verify = verify_certificate_ip_address if is_address(name) else verify_certificate_hostname
    try:
        verify(certificate, name)
    except VerificationError:
        raise CertificateRefused("the certificate is for another name") from None


def over_tls(
    endpoint: IStreamClientEndpoint, expected: Tls, authorities: str | None = None
) -> IStreamClientEndpoint:
    """`endpoint`, and TLS inside what it connects to. Raises ConfigError for the file."""
    return wrapClientTLS(ClientTls(expected, authorities), endpoint)
