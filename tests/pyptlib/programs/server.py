"""A server: it listens where tor wants it."""

import socket
import sys

from pyptlib.config import EnvError
from pyptlib.server import ServerTransportPlugin

if __name__ == "__main__":
    server = ServerTransportPlugin()
    try:
        server.init(["blackfish", "bluefish"])
    except EnvError as err:
        print(f"pyptlib could not bootstrap ('{err}').", file=sys.stderr)
        sys.exit(1)

    for transport, transport_bindaddr in server.getBindAddresses().items():
        family = socket.AF_INET6 if ":" in transport_bindaddr[0] else socket.AF_INET
        try:
            with socket.create_server(transport_bindaddr, family=family) as listener:
                bind_addrport = listener.getsockname()[:2]
        except OSError as err:
            server.reportMethodError(transport, f"Failed to launch ('{err}').")
            continue
        server.reportMethodSuccess(transport, bind_addrport, None)

    server.reportMethodsEnd()
