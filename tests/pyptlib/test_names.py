"""pyptlib 0.0.6's public names, each callable as its documentation calls it."""

import importlib
import inspect
import subprocess
import sys

import pytest

# Module -> name -> the parameters of its signature there, in order; None: not a callable.
# A class stands for its constructor, "Class.method" for a method.
NAMES: dict[str, dict[str, list[str] | None]] = {
    "client": {
        "ClientTransportPlugin": ["config", "stdout"],
        "ClientTransportPlugin.configType": None,
        "ClientTransportPlugin.methodName": None,
        "ClientTransportPlugin.reportedProxy": None,
        "ClientTransportPlugin.init": ["self", "supported_transports"],
        "ClientTransportPlugin.getTransports": ["self"],
        "ClientTransportPlugin.reportMethodSuccess": [
            "self",
            "name",
            "protocol",
            "addrport",
            "args",
            "optArgs",
        ],
        "ClientTransportPlugin.reportMethodError": ["self", "name", "message"],
        "ClientTransportPlugin.reportMethodsEnd": ["self"],
        "ClientTransportPlugin.reportProxySuccess": ["self"],
        "ClientTransportPlugin.reportProxyError": ["self", "msg"],
        "ClientTransportPlugin.getDebugData": ["self"],
        "ClientTransportPlugin.emit": ["self", "msg"],
        "init": ["supported_transports"],
        "reportSuccess": ["name", "socksVersion", "addrport", "args", "optArgs"],
        "reportFailure": ["name", "message"],
        "reportEnd": [],
    },
    "server": {
        "ServerTransportPlugin": ["config", "stdout"],
        "ServerTransportPlugin.configType": None,
        "ServerTransportPlugin.methodName": None,
        "ServerTransportPlugin.init": ["self", "supported_transports"],
        "ServerTransportPlugin.getTransports": ["self"],
        "ServerTransportPlugin.getBindAddresses": ["self"],
        "ServerTransportPlugin.reportMethodSuccess": ["self", "name", "addrport", "options"],
        "ServerTransportPlugin.reportMethodError": ["self", "name", "message"],
        "ServerTransportPlugin.reportMethodsEnd": ["self"],
        "ServerTransportPlugin.getDebugData": ["self"],
        "ServerTransportPlugin.emit": ["self", "msg"],
        "init": ["supported_transports"],
        "reportSuccess": ["name", "addrport", "options"],
        "reportFailure": ["name", "message"],
        "reportEnd": [],
    },
    "config": {
        "SUPPORTED_TRANSPORT_VERSIONS": None,
        "Config": ["stateLocation", "managedTransportVer", "transports"],
        "Config.getStateLocation": ["self"],
        "Config.getManagedTransportVersions": ["self"],
        "Config.getAllTransportsEnabled": ["self"],
        "EnvError": ["message", "cause"],
        "ProxyError": ["message", "cause"],
        "checkClientMode": [],
        "env_has_k": ["k", "v"],
        "get_env": ["key", "validate"],
    },
    "client_config": {
        "SUPPORTED_PROXY_SCHEMES": None,
        "ClientConfig": ["stateLocation", "managedTransportVer", "transports", "proxy"],
        "ClientConfig.fromEnv": [],
        "ClientConfig.getProxy": ["self"],
        "parseProxyURI": ["uri_str"],
    },
    "server_config": {
        "ServerConfig": [
            "stateLocation",
            "managedTransportVer",
            "transports",
            "serverBindAddr",
            "ORPort",
            "extendedORPort",
            "authCookieFile",
            "serverTransportOptions",
        ],
        "ServerConfig.fromEnv": [],
        "ServerConfig.getORPort": ["self"],
        "ServerConfig.getExtendedORPort": ["self"],
        "ServerConfig.getAuthCookieFile": ["self"],
        "ServerConfig.getServerTransportOptions": ["self"],
        "get_transport_options_impl": ["string"],
    },
    "core": {
        "TransportPlugin": ["config", "stdout"],
        "TransportPlugin.init": ["self", "supported_transports"],
        "SUPPORTED_TRANSPORT_VERSIONS": None,
    },
    "util": {
        "parse_addr_spec": ["spec", "defhost", "defport", "resolve"],
        "checkClientMode": [],
    },
}


@pytest.mark.parametrize(
    ("module", "name", "parameters"),
    [(module, name, p) for module, names in NAMES.items() for name, p in names.items()],
)
def test_name(module: str, name: str, parameters: list[str] | None) -> None:
    found: object = importlib.import_module(f"obfsfte.pyptlib.{module}")
    for part in name.split("."):
        found = getattr(found, part)
    if parameters is not None:
        assert callable(found)
        signature = inspect.signature(found)
        assert list(signature.parameters) == parameters
        assert not any(
            p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_ONLY) for p in signature.parameters.values()
        )


def test_nothing_slow_or_foreign_is_imported() -> None:
    """tor waits for us to start. And the package could be released alone."""
    program = """
import sys
before = set(sys.modules)
import obfsfte.pyptlib.client, obfsfte.pyptlib.server
print(*sorted(set(sys.modules) - before))
"""
    run = subprocess.run(
        [sys.executable, "-S", "-c", program],
        check=True,
        capture_output=True,
        text=True,
        env={"PYTHONPATH": ":".join(filter(None, sys.path))},
    )
    imported = run.stdout.split()
    ours = [name for name in imported if name.startswith("obfsfte")]
    assert {name for name in ours if not name.startswith("obfsfte.pyptlib")} == {
        "obfsfte",
        "obfsfte._version",
    }
    for slow in ("asyncio", "logging", "re", "signal", "socket", "subprocess", "twisted", "typing"):
        assert slow not in imported
    assert "urllib.parse" not in imported
