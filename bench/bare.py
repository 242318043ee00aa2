"""A half of a pair on a bare Twisted: what halves in Twisted that do no more can reach.

Run `python bench/bare.py STEP HALF LISTEN_PORT CONNECT_PORT`, all on loopback. The steps:

    copy     what is received is written as it is, as Twisted does that
    direct   and written at once, by `obfsfte.transport.outlet`, in larger reads
    sealed   and sealed by AES-GCM between the halves, whose keys are agreed on with X25519:
             on each connection two ephemeral keys and four agreements, and nothing else

HALF is client or server. Nothing is hidden, checked or timed: it is a bound, and no transport.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

from cryptography.hazmat.primitives.asymmetric.x25519 import X25519PrivateKey, X25519PublicKey
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from twisted.internet import reactor as _reactor
from twisted.internet.protocol import ClientFactory, Factory, Protocol

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from obfsfte.transport.outlet import READ_SIZE, Outlet

reactor: Any = _reactor

KEY_SIZE = 32
SERVER_KEY = X25519PrivateKey.from_private_bytes(bytes(KEY_SIZE))

Convert = Callable[[bytes], list[bytes]]


def same(data: bytes) -> list[bytes]:
    return [data]


def public_bytes(key: X25519PrivateKey) -> bytes:
    return key.public_key().public_bytes(Encoding.Raw, PublicFormat.Raw)


class Seal:
    """A message for each read: its length in four bytes, then AES-GCM's output."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._number = 0

    def __call__(self, data: bytes) -> list[bytes]:
        sealed = self._aead.encrypt(self._number.to_bytes(12, "big"), data, None)
        self._number += 1
        return [len(sealed).to_bytes(4, "big"), sealed]


class Open:
    """The inverse."""

    def __init__(self, key: bytes) -> None:
        self._aead = AESGCM(key)
        self._number = 0
        self._received = bytearray()

    def __call__(self, data: bytes) -> list[bytes]:
        self._received += data
        opened, at = [], 0
        with memoryview(self._received) as view:
            while at + 4 <= len(view):
                end = at + 4 + int.from_bytes(view[at : at + 4], "big")
                if end > len(view):
                    break
                nonce = self._number.to_bytes(12, "big")
                with view[at + 4 : end] as sealed:
                    opened.append(self._aead.decrypt(nonce, sealed, None))
                self._number += 1
                at = end
        del self._received[:at]
        return opened


class Side(Protocol):
    """One side; what it receives is converted, and written to the other."""

    transport: Any
    other: Side
    outlet: Outlet | None = None
    convert: Convert = staticmethod(same)
    #: What takes the other half's key, while that has not come.
    agree: Callable[[bytes], None] | None = None

    def connectionMade(self) -> None:
        self.transport.setTcpNoDelay(True)
        if STEP != "copy":
            self.transport.bufferSize = READ_SIZE
            self.outlet = Outlet(self.transport)

    def dataReceived(self, data: bytes) -> None:
        if self.agree is not None:
            agree, self.agree = self.agree, None
            agree(data[:KEY_SIZE])
            data = data[KEY_SIZE:]
            if not data:
                return
        self.other.write(self.convert(data))

    def write(self, pieces: list[bytes]) -> None:
        if self.outlet is None:
            self.transport.writeSequence(pieces)
        else:
            self.outlet.write(pieces)

    def take_from(self, other: Side) -> None:
        self.other = other
        if self.outlet is None:
            self.transport.registerProducer(other.transport, True)
        else:
            self.outlet.take_from(other.transport)

    def use(self, wire: Side, secret: bytes) -> None:
        """From now on seal what comes here, and open what comes on the wire."""
        upward, downward = (hashlib.sha256(name + secret).digest() for name in (b"up", b"down"))
        sends, receives = (upward, downward) if HALF == "client" else (downward, upward)
        self.convert = Seal(sends)
        wire.convert = Open(receives)

    def connectionLost(self, reason: object = None) -> None:
        if hasattr(self, "other"):
            self.other.transport.loseConnection()


class Accepted(Side):
    def connectionMade(self) -> None:
        super().connectionMade()
        self.secret = b""
        if STEP == "sealed" and HALF == "server":
            self.agree = self.answer
        else:
            self.dial()

    def answer(self, public: bytes) -> None:
        key, theirs = X25519PrivateKey.generate(), X25519PublicKey.from_public_bytes(public)
        self.secret = SERVER_KEY.exchange(theirs) + key.exchange(theirs)
        self.write([public_bytes(key)])
        self.dial()

    def dial(self) -> None:
        self.transport.pauseProducing()
        reactor.connectTCP("127.0.0.1", CONNECT_PORT, Dialler(self))


class Dialled(Side):
    accepted: Accepted

    def connectionMade(self) -> None:
        super().connectionMade()
        if STEP == "sealed" and HALF == "client":
            self.key = X25519PrivateKey.generate()
            self.write([public_bytes(self.key)])
            self.agree = self.agreed
            return
        if STEP == "sealed":
            self.use(self.accepted, self.accepted.secret)
        self.join()

    def agreed(self, public: bytes) -> None:
        theirs = X25519PublicKey.from_public_bytes(public)
        secret = self.key.exchange(SERVER_KEY.public_key()) + self.key.exchange(theirs)
        self.accepted.use(self, secret)
        self.join()

    def join(self) -> None:
        self.take_from(self.accepted)
        self.accepted.take_from(self)
        self.accepted.transport.resumeProducing()


class Dialler(ClientFactory):
    noisy = False

    def __init__(self, accepted: Accepted) -> None:
        self._accepted = accepted

    def buildProtocol(self, addr: object) -> Dialled:
        dialled = Dialled()
        dialled.accepted = self._accepted
        return dialled


if __name__ == "__main__":
    STEP, HALF = sys.argv[1:3]
    LISTEN_PORT, CONNECT_PORT = map(int, sys.argv[3:])
    # Once so large a block was given back, glibc's malloc keeps others (mallopt(3)). Without it,
    # a heap that ends in a read's block is cut, and fetched from the kernel again, for each read.
    bytes(1 << 22)
    reactor.listenTCP(LISTEN_PORT, Factory.forProtocol(Accepted), 4096, "127.0.0.1")
    reactor.run()
