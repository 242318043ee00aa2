"""What a client is told in the environment (pt-spec 3.2.2): transports, and a proxy."""

from __future__ import annotations

import os

from .config import Config, ProxyError, env_has_text, get_env
from .util import FIELD_LIMIT, parse_addr_spec

TYPE_CHECKING = False  # the idiom for it without importing typing, which is slow
if TYPE_CHECKING:
    from urllib.parse import SplitResult

SUPPORTED_PROXY_SCHEMES = ["http", "socks4a", "socks5"]


class ClientConfig(Config):
    """The settings of a client.

    :var SplitResult proxy: the proxy that *every* outgoing connection must use, None if
        there is none. Whoever cannot use it must say so and exit, never connect directly.
    """

    def __init__(
        self,
        stateLocation: str,
        managedTransportVer: list[str] | None = None,
        transports: list[str] | None = None,
        proxy: SplitResult | None = None,
    ) -> None:
        super().__init__(stateLocation, managedTransportVer, transports)
        self.proxy = proxy

    @classmethod
    def fromEnv(cls) -> ClientConfig:
        """Build one from the TOR_PT_* variables.

        :raises EnvError: they are incomplete or malformed.
        :raises ProxyError: all is well but TOR_PT_PROXY.
        """
        config = cls(
            stateLocation=get_env("TOR_PT_STATE_LOCATION", env_has_text),
            managedTransportVer=get_env("TOR_PT_MANAGED_TRANSPORT_VER").split(","),
            transports=get_env("TOR_PT_CLIENT_TRANSPORTS", env_has_text).split(","),
        )
        config._readCommonEnv()
        config.proxy = get_env(
            "TOR_PT_PROXY", lambda _, uri: None if uri is None else parseProxyURI(uri)
        )
        return config

    def getProxy(self) -> SplitResult | None:
        """:returns: `proxy`; of interest are its scheme ("http", "socks4a" or "socks5"),
        hostname (an IP address), port, and for the login `getProxyCredentials`."""
        return self.proxy

    def getProxyCredentials(self) -> tuple[bytes, bytes] | None:
        """The proxy's user name and password, percent-decoded; None for no login."""
        return None if self.proxy is None else _credentials(self.proxy)


def parseProxyURI(uri_str: str) -> SplitResult:
    """Parse and check a proxy's URI: scheme://[user[:password]@]address:port.

    tor writes the user name and password as they are in torrc. So '/', '?', '#', ':' and
    '@' are allowed in the password, as RFC 3986 would not; percent escapes are decoded,
    as RFC 3986 says.

    :raises ProxyError: its message, which tor may log, quotes nothing of the URI.
    """
    from urllib.parse import SplitResult  # only here: few clients have a proxy

    scheme, separator, netloc = uri_str.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in SUPPORTED_PROXY_SCHEMES:
        raise ProxyError(f"the proxy's URI must begin with one of {SUPPORTED_PROXY_SCHEMES}")
    if any(char <= " " or char == "\x7f" for char in netloc):
        raise ProxyError("the proxy's URI contains blanks or control characters")
    proxy = SplitResult(scheme, netloc, "", "", "")
    try:
        _, port = parse_addr_spec(netloc.rpartition("@")[2])
    except ValueError:
        raise ProxyError("the proxy's URI must end in address:port, with an IP address") from None
    if port == 0:
        raise ProxyError("the proxy's port cannot be 0")
    try:
        credentials = _credentials(proxy)
    except UnicodeEncodeError:
        raise ProxyError("the proxy's user name or password is not text") from None
    if credentials is not None:
        _check_credentials(scheme, *credentials)
    return proxy


def _credentials(proxy: SplitResult) -> tuple[bytes, bytes] | None:
    from urllib.parse import unquote_to_bytes

    if proxy.username is None:
        return None
    # fsencode gives back the very bytes of the environment, in whatever encoding.
    username, password = proxy.username, proxy.password or ""
    return unquote_to_bytes(os.fsencode(username)), unquote_to_bytes(os.fsencode(password))


def _check_credentials(scheme: str, username: bytes, password: bytes) -> None:
    if b"\0" in username + password:
        raise ProxyError("the proxy's user name or password contains NUL")
    if scheme == "socks4a" and password:
        raise ProxyError("SOCKS4a has a user name but no password")
    if scheme == "socks5":
        if not username or not password:
            raise ProxyError("SOCKS5 needs both a user name and a password, or neither")
        if max(len(username), len(password)) > FIELD_LIMIT:
            raise ProxyError(f"SOCKS5 allows {FIELD_LIMIT} bytes of user name and of password")
