"""What both sides say on standard output (pt-spec 3.3), and the one place that says it.

    VERSION 1                                       or VERSION-ERROR, ENV-ERROR
    PROXY DONE                                      or PROXY-ERROR; clients with a proxy
    CMETHOD fte socks5 127.0.0.1:40123              or CMETHOD-ERROR; servers: SMETHOD
    CMETHODS DONE
    LOG SEVERITY=notice MESSAGE="..."               any time
    STATUS TRANSPORT=fte ADDRESS=192.0.2.1:443      any time
    STATUS TYPE=version IMPLEMENTATION=... VERSION=...

tor shows its user the reason in an ENV-ERROR only before VERSION and the reason in a
PROXY-ERROR only after it, which both fit the specification, so that is the order here.
"""

from __future__ import annotations

import io
import sys
from collections.abc import Iterable, Mapping

from .config import SUPPORTED_TRANSPORT_VERSIONS, Config, EnvError, ProxyError, get_env
from .encoding import c_string, is_keyword, is_transport_name, is_word, one_line, status_value

TYPE_CHECKING = False  # the idiom for it without importing typing, which is slow
if TYPE_CHECKING:
    from typing import IO, Any

LOG_SEVERITIES = ("error", "warning", "notice", "info", "debug")


class TransportPlugin:
    """A managed transport. Use ClientTransportPlugin or ServerTransportPlugin.

    :var Config config: what tor wants. `init` reads it from the environment if it is None.
    :var stdout: the stream for tor, binary or text.
    :var str served_version: the version of pt-spec in use, None before `init`.
    :var list served_transports: the transports to launch, None before `init`.
    """

    configType: type[Config]
    methodName: str
    config: Config

    def __init__(
        self, config: Config | None = None, stdout: IO[bytes] | IO[str] | None = None
    ) -> None:
        self.config = config  # type: ignore[assignment]  # None until `init`
        self.stdout = sys.stdout if stdout is None else stdout
        self.served_version: str | None = None
        self.served_transports: list[str] | None = None

    def init(self, supported_transports: Iterable[str]) -> None:
        """Read the environment and tell tor which version we speak.

        Then launch each of `getTransports`, call `reportMethodSuccess` or
        `reportMethodError` for each, and `reportMethodsEnd` at last.

        :param supported_transports: the names of all transports that the program has.
        :raises EnvError: the environment is not usable. tor has been told; exit.
        """
        try:
            if self.config is None:
                offered = get_env("TOR_PT_MANAGED_TRANSPORT_VER").split(",")
            else:
                offered = self.config.managedTransportVer
            common = [version for version in SUPPORTED_TRANSPORT_VERSIONS if version in offered]
            self.served_version = common[0] if common else None
            if self.config is None and self.served_version:
                self.config = self.configType.fromEnv()
        except ProxyError as error:
            self.emit(f"VERSION {self.served_version}")
            self.emit(f"PROXY-ERROR {error}")
            raise EnvError(str(error), error) from error
        except EnvError as error:
            self.emit(f"ENV-ERROR {error}")
            raise
        if self.served_version is None:
            self.emit("VERSION-ERROR no-version")
            raise EnvError(f"tor offers no version of {SUPPORTED_TRANSPORT_VERSIONS}: {offered}")
        self.emit(f"VERSION {self.served_version}")
        self.served_transports = [
            name
            for name in supported_transports
            if self.config.allTransportsEnabled or name in self.config.transports
        ]

    def getTransports(self) -> list[str]:
        """:returns: the names to launch, those that tor wants and the program has.
        :raises ValueError: `init` was not called.
        """
        if self.served_transports is None:
            raise ValueError("init was not called yet")
        return self.served_transports

    def reportMethodError(self, name: str, message: str) -> None:
        """Tell tor that a transport could not be launched.

        :param str name: of the transport.
        :param str message: why, for the operator.
        """
        self.emit(f"{self.methodName}-ERROR {_transport(name)} {message}")

    def reportMethodsEnd(self) -> None:
        """Tell tor that all transports were launched, or failed to be."""
        self.emit(f"{self.methodName}S DONE")

    def reportLog(self, severity: str, message: str) -> None:
        """Have tor log `message` for its operator.

        :param str severity: "error", "warning", "notice", "info" or "debug".
        :raises ValueError: it is none of these.
        """
        if severity not in LOG_SEVERITIES:
            raise ValueError(f"severity must be one of {LOG_SEVERITIES}")
        self.emit(f"LOG SEVERITY={severity} MESSAGE={c_string(message)}")

    def reportStatus(self, transport: str, values: Mapping[str, str]) -> None:
        """Pass facts to whoever watches tor's control port.

        :param str transport: a hint at who says so, by custom the transport's name.
        :param values: at least one, such as {"ADDRESS": "192.0.2.1:443"}.
        :raises ValueError: there is none, or a key has more than letters, digits, - and _.
        """
        if not values:
            raise ValueError("a STATUS line needs at least one value")
        for key in values:
            if not is_keyword(key):
                raise ValueError(f"{key!r} cannot be the key of a status value")
        self._emitStatus({"TRANSPORT": transport, **values})

    def reportVersion(self, implementation: str, version: str) -> None:
        """Tell tor which program this is: a bridge publishes it in its extra-info document.

        :param str implementation: the program's name.
        :param str version: of the program.
        """
        facts = {"TYPE": "version", "IMPLEMENTATION": implementation, "VERSION": version}
        self._emitStatus(facts)

    def getDebugData(self) -> dict[str, object]:
        """:returns: our innards in no particular form, to look at and not to process."""
        data: dict[str, object] = dict(self.__dict__)
        data["config"] = dict(self.config.__dict__) if self.config else None
        data["__class__"] = self.__class__
        return data

    def emit(self, msg: str) -> None:
        """Write one line, at once. Everything that tor is told goes through here.

        Whatever `msg` is, the line is printable ASCII and ends where it should: other
        characters are written as escapes.
        """
        line = one_line(msg) + "\n"
        stream: Any = getattr(self.stdout, "buffer", self.stdout)
        if isinstance(stream, io.RawIOBase | io.BufferedIOBase):
            stream.write(line.encode("ascii"))
        else:
            stream.write(line)
        stream.flush()

    def _emitStatus(self, facts: Mapping[str, str]) -> None:
        self.emit("STATUS " + " ".join(f"{k}={status_value(v)}" for k, v in facts.items()))

    def _emitMethod(self, name: str, *fields: str) -> None:
        """Write a CMETHOD or SMETHOD line, whose fields blanks divide."""
        if not all(map(is_word, fields)):
            raise ValueError(f"{self.methodName} arguments: only printable ASCII without blanks")
        self.emit(" ".join((self.methodName, _transport(name), *fields)))


def _transport(name: str) -> str:
    if not is_transport_name(name):
        raise ValueError(f"{name!r} is not a transport's name: it must be a C identifier")
    return name
