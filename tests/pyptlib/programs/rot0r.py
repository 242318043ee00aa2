"""Client or server, whichever tor wants, after pyptlib's API overview."""

import sys

from pyptlib.client import ClientTransportPlugin
from pyptlib.config import EnvError, checkClientMode
from pyptlib.server import ServerTransportPlugin


def be_client():
    client = ClientTransportPlugin()
    client.init(supported_transports=["rot13", "rot26"])
    print("state in", client.config.getStateLocation(), file=sys.stderr)
    if "rot13" in client.getTransports():
        client.reportMethodSuccess("rot13", "socks5", ("127.0.0.1", 42042))
    if "rot26" in client.getTransports():
        client.reportMethodError("rot26", "Could not bind to 127.0.0.1:666")
    client.reportMethodsEnd()


def be_server():
    server = ServerTransportPlugin()
    server.init(supported_transports=["rot13", "rot26"])
    transports = server.getBindAddresses()
    print("deliver to", server.config.getORPort(), file=sys.stderr)
    if "rot13" in transports:
        server.reportMethodSuccess("rot13", transports["rot13"])
    if "rot26" in transports:
        server.reportMethodError("rot26", "Could not bind to 127.0.0.1:666")
    server.reportMethodsEnd()


if __name__ == "__main__":
    try:
        if checkClientMode():
            be_client()
        else:
            be_server()
    except EnvError as err:
        print(f"pyptlib could not bootstrap ('{err}').", file=sys.stderr)
        sys.exit(1)
