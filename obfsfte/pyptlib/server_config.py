"""What a server is told in the environment (pt-spec 3.2.3): where to listen and deliver."""

from __future__ import annotations

from .config import Config, EnvError, env_has_text, get_env
from .encoding import parse_items
from .util import parse_addr_spec

Address = tuple[str, int]

#: Where a transport listens that has no bind address of its own: what tor says for the
#: same case, every IPv4 interface and a port that the system picks.
UNSPECIFIED_BIND_ADDRESS = ("0.0.0.0", 0)  # noqa: S104


class ServerConfig(Config):
    """The settings of a server. At least one of the two ORPorts is set.

    :var tuple ORPort: (address, port) that takes plain application bytes, or None.
    :var tuple extendedORPort: (address, port) that speaks the Extended ORPort protocol, or None.
    :var dict serverBindAddr: {transport: (address, port)}, where to listen. Port 0 means
        any; report the real one.
    :var str authCookieFile: the path of the Extended ORPort's cookie, None without one. tor
        may rewrite the file, so read it anew for each connection.
    :var dict serverTransportOptions: {transport: {key: value}}, None if there are none.
    """

    def __init__(
        self,
        stateLocation: str,
        managedTransportVer: list[str] | None = None,
        transports: list[str] | None = None,
        serverBindAddr: dict[str, Address] | None = None,
        ORPort: Address | None = None,
        extendedORPort: Address | None = None,
        authCookieFile: str | None = None,
        serverTransportOptions: dict[str, dict[str, str]] | None = None,
    ) -> None:
        super().__init__(stateLocation, managedTransportVer, transports)
        self.serverBindAddr = serverBindAddr or {}
        self.ORPort = ORPort
        self.extendedORPort = extendedORPort
        self.authCookieFile = authCookieFile
        self.serverTransportOptions = serverTransportOptions

    @classmethod
    def fromEnv(cls) -> ServerConfig:
        """Build one from the TOR_PT_* variables.

        :raises EnvError: they are incomplete or malformed.
        """
        transports = get_env("TOR_PT_SERVER_TRANSPORTS", env_has_text).split(",")
        config = cls(
            stateLocation=get_env("TOR_PT_STATE_LOCATION", env_has_text),
            managedTransportVer=get_env("TOR_PT_MANAGED_TRANSPORT_VER").split(","),
            transports=transports,
            serverBindAddr=get_env(
                "TOR_PT_SERVER_BINDADDR", lambda _, text: _parse_bind_addresses(text, transports)
            ),
            ORPort=get_env("TOR_PT_ORPORT", _parse_destination),
            extendedORPort=get_env("TOR_PT_EXTENDED_SERVER_PORT", _parse_destination),
            authCookieFile=get_env("TOR_PT_AUTH_COOKIE_FILE", lambda _, path: path or None),
            serverTransportOptions=get_env(
                "TOR_PT_SERVER_TRANSPORT_OPTIONS",
                lambda _, text: None if text is None else get_transport_options_impl(text),
            ),
        )
        if config.ORPort is None and config.extendedORPort is None:
            raise EnvError("TOR_PT_ORPORT or TOR_PT_EXTENDED_SERVER_PORT must be set")
        if config.extendedORPort is not None and config.authCookieFile is None:
            raise EnvError("TOR_PT_EXTENDED_SERVER_PORT is set without TOR_PT_AUTH_COOKIE_FILE")
        if config.extendedORPort is None and config.authCookieFile is not None:
            raise EnvError("TOR_PT_AUTH_COOKIE_FILE is set without TOR_PT_EXTENDED_SERVER_PORT")
        config._readCommonEnv()
        return config

    def getExtendedORPort(self) -> Address | None:
        """:returns: `extendedORPort`"""
        return self.extendedORPort

    def getORPort(self) -> Address | None:
        """:returns: `ORPort`"""
        return self.ORPort

    def getAuthCookieFile(self) -> str | None:
        """:returns: `authCookieFile`"""
        return self.authCookieFile

    def getServerTransportOptions(self) -> dict[str, dict[str, str]] | None:
        """:returns: `serverTransportOptions`"""
        return self.serverTransportOptions


def get_transport_options_impl(string: str) -> dict[str, dict[str, str]]:
    r"""Parse the text of TOR_PT_SERVER_TRANSPORT_OPTIONS. Of a repeated key the last counts.

    >>> get_transport_options_impl(r"fte:path=/a\;b;fte:key=c2U=;obfs3:k=v")
    {'fte': {'path': '/a;b', 'key': 'c2U='}, 'obfs3': {'k': 'v'}}

    :raises ValueError: it is malformed. The message does not quote it.
    """
    options: dict[str, dict[str, str]] = {}
    for name, key, value in parse_items(string, ":=", "transport:key=value"):
        options.setdefault(name, {})[key] = value
    return options


def _parse_destination(_: str, text: str | None) -> Address | None:
    """An ORPort. Unset means the same as empty: some parents leave out what they lack."""
    if not text:
        return None
    host, port = parse_addr_spec(text)
    if port == 0:
        raise ValueError("the port cannot be 0")
    return host, port


def _parse_bind_addresses(text: str | None, transports: list[str]) -> dict[str, Address]:
    """ "name-address:port,..." -> an address for each of `transports`, given or not."""
    given: dict[str, Address] = {}
    for entry in text.split(",") if text else []:
        name, dash, addrport = entry.partition("-")
        if not dash:
            raise ValueError(f"{entry!r} is not transport-address:port")
        if name in given:
            raise ValueError(f"{name!r} has two addresses")
        if name not in transports:
            raise ValueError(f"{name!r} is not in TOR_PT_SERVER_TRANSPORTS")
        given[name] = parse_addr_spec(addrport)
    return {name: given.get(name, UNSPECIFIED_BIND_ADDRESS) for name in transports if name != "*"}
