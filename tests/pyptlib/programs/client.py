"""A client: two transports, one of which cannot be launched."""

import socket
import sys

from pyptlib.client import ClientTransportPlugin
from pyptlib.config import EnvError


class LaunchError(Exception):
    pass


def launch(transport):
    if transport != "blackfish":
        raise LaunchError("no water")
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return "socks5", listener.getsockname()


if __name__ == "__main__":
    client = ClientTransportPlugin()
    try:
        client.init(["blackfish", "bluefish"])
    except EnvError as err:
        print(f"pyptlib could not bootstrap ('{err}').", file=sys.stderr)
        sys.exit(1)

    if client.config.getProxy():
        client.reportProxySuccess()

    for transport in client.getTransports():
        try:
            socks_version, bind_addrport = launch(transport)
        except LaunchError as err:
            client.reportMethodError(transport, f"Failed to launch ('{err}').")
            continue
        client.reportMethodSuccess(transport, socks_version, bind_addrport, None, None)

    client.reportMethodsEnd()
