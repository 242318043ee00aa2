"""Certificates for a test's servers: of an authority, or of their own making."""

from __future__ import annotations

import datetime
import ssl
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from obfsfte.pins import read_pin

DAY = datetime.timedelta(days=1)


class Issued:
    """A certificate, its key, and the file `chain` that a web server reads, both in it."""

    def __init__(
        self,
        directory: Path,
        name: str,
        *,
        issuer: Issued | None = None,
        is_authority: bool = False,
        days: tuple[float, float] = (-1, 2),
        server: bool = True,
    ) -> None:
        """For the host `name`, valid between so many days from now; without issuer, self-signed.

        `server`: not only for a client's use.
        """
        self.key = ec.generate_private_key(ec.SECP256R1())
        subject = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, name)])
        self.subject = subject
        now = datetime.datetime.now(datetime.UTC).replace(tzinfo=None, microsecond=0)
        purpose = x509.ExtendedKeyUsageOID
        builder = (
            x509.CertificateBuilder()
            .subject_name(subject)
            .issuer_name(subject if issuer is None else issuer.subject)
            .public_key(self.key.public_key())
            .serial_number(x509.random_serial_number())
            .not_valid_before(now + days[0] * DAY)
            .not_valid_after(now + days[1] * DAY)
            .add_extension(x509.BasicConstraints(is_authority, None), critical=True)
            .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        )
        if not is_authority:
            use = purpose.SERVER_AUTH if server else purpose.CLIENT_AUTH
            builder = builder.add_extension(x509.ExtendedKeyUsage([use]), critical=False)
        signer = self.key if issuer is None else issuer.key
        pem = builder.sign(signer, hashes.SHA256()).public_bytes(Encoding.PEM)
        above = b"" if issuer is None else issuer.certificates
        self.certificates: bytes = pem + above
        self.chain = directory / f"{len(list(directory.iterdir()))}.pem"
        self.chain.write_bytes(
            self.certificates
            + self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        )

    @property
    def pin(self) -> str:
        return read_pin(str(self.chain))

    def context(self) -> ssl.SSLContext:
        """For a server that has it."""
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(self.chain)
        return context
