"""What both sides are told in the environment (pt-spec 3.2.1)."""

from __future__ import annotations

import ipaddress
import os
from collections.abc import Callable

TYPE_CHECKING = False  # the idiom for it without importing typing, which is slow
if TYPE_CHECKING:
    from typing import TypeVar

    T = TypeVar("T")

#: The versions of pt-spec that this package speaks, in order of preference.
SUPPORTED_TRANSPORT_VERSIONS = ["1"]


class _Error(Exception):
    def __init__(self, message: str | None = None, cause: BaseException | None = None) -> None:
        super().__init__(message, cause)
        self.message = message
        self.cause = cause

    def __str__(self) -> str:
        return self.message or str(self.cause)


class EnvError(_Error):
    """The environment is incomplete or malformed: `message` says where. `cause` may be None."""


class ProxyError(_Error):
    """TOR_PT_PROXY is malformed or cannot be used. `cause` may be None."""


def env_has_k(k: str, v: str | None) -> str:
    """The default validator of `get_env`: the variable must be set, be it empty.

    :raises ValueError: it is not.
    """
    if v is None:
        raise ValueError("is not set")
    return v


def env_has_text(k: str, v: str | None) -> str:
    """A validator for `get_env`: the variable must be set and not empty.

    :raises ValueError: it is not.
    """
    if not v:
        raise ValueError("is not set" if v is None else "is empty")
    return v


def get_env(key: str, validate: Callable[[str, str | None], T] = env_has_k) -> T:  # type: ignore[assignment]
    """The value of the environment variable `key`, as `validate` returns it.

    :param validate: called with the key and the value, None when it is not set; returns
        the value, which it may transform, or raises.
    :raises EnvError: `validate` raised anything but ProxyError, which passes through.
    """
    try:
        return validate(key, os.environ.get(key))
    except ProxyError:
        raise
    except Exception as error:
        raise EnvError(f"{key}: {error}", error) from error


def checkClientMode() -> bool:
    """Whether tor wants a client of us (True) or a server (False).

    :raises EnvError: neither; this process was not started by tor.
    """
    if "TOR_PT_CLIENT_TRANSPORTS" in os.environ:
        return True
    if "TOR_PT_SERVER_TRANSPORTS" in os.environ:
        return False
    raise EnvError("neither TOR_PT_CLIENT_TRANSPORTS nor TOR_PT_SERVER_TRANSPORTS is set")


class Config:
    """The settings that clients and servers have in common.

    :var str stateLocation: the directory that we may keep state in; it need not exist yet.
    :var list managedTransportVer: the versions of pt-spec that tor offers.
    :var list transports: the names of the transports that tor wants, without "*".
    :var bool allTransportsEnabled: tor asked for "*", all transports that we have.
    :var bool exitOnStdinClose: the end of our standard input means: exit.
    :var str outboundBindAddressV4: the source for outgoing IPv4 connections, or None.
    :var str outboundBindAddressV6: the source for outgoing IPv6 connections, or None.
    """

    exitOnStdinClose = False
    outboundBindAddressV4: str | None = None
    outboundBindAddressV6: str | None = None

    def __init__(
        self,
        stateLocation: str,
        managedTransportVer: list[str] | None = None,
        transports: list[str] | None = None,
    ) -> None:
        self.stateLocation = stateLocation
        self.managedTransportVer = managedTransportVer or SUPPORTED_TRANSPORT_VERSIONS
        self.transports = [name for name in transports or [] if name != "*"]
        self.allTransportsEnabled = "*" in (transports or [])

    @classmethod
    def fromEnv(cls) -> Config:
        """Build one from the TOR_PT_* variables. Each side has its own.

        :raises EnvError: they are incomplete or malformed.
        """
        raise NotImplementedError

    def _readCommonEnv(self) -> None:
        """Set what came after pyptlib 0.0.6, so that its constructors stay as they were."""
        self.exitOnStdinClose = os.environ.get("TOR_PT_EXIT_ON_STDIN_CLOSE") == "1"
        self.outboundBindAddressV4 = get_env(
            "TOR_PT_OUTBOUND_BIND_ADDRESS_V4",
            lambda _, text: str(ipaddress.IPv4Address(text)) if text else None,
        )
        self.outboundBindAddressV6 = get_env(
            "TOR_PT_OUTBOUND_BIND_ADDRESS_V6",
            lambda _, text: str(ipaddress.IPv6Address(_unbracketed(text))) if text else None,
        )

    def getStateLocation(self) -> str:
        """:returns: `stateLocation`"""
        return self.stateLocation

    def getManagedTransportVersions(self) -> list[str]:
        """:returns: `managedTransportVer`"""
        return self.managedTransportVer

    def getAllTransportsEnabled(self) -> bool:
        """:returns: `allTransportsEnabled`"""
        return self.allTransportsEnabled

    def getExitOnStdinClose(self) -> bool:
        """:returns: `exitOnStdinClose`"""
        return self.exitOnStdinClose

    def getOutboundBindAddress(self, host: str) -> str | None:
        """The source address for a connection to `host`; None leaves it to the system.

        :param str host: an IP address. Loopback is always left to the system.
        :raises ValueError: `host` is a name.
        """
        address = ipaddress.ip_address(host)
        if address.is_loopback:
            return None
        return self.outboundBindAddressV4 if address.version == 4 else self.outboundBindAddressV6


def _unbracketed(text: str) -> str:
    return text[1:-1] if text.startswith("[") and text.endswith("]") else text
