"""The functions of pyptlib before 0.0.4, which 0.0.6 still has."""

import sys

import pyptlib
import pyptlib.client
import pyptlib.server
import pyptlib.util

if __name__ == "__main__":
    try:
        if pyptlib.util.checkClientMode():
            info = pyptlib.client.init(["fish"])
            for transport in info["transports"]:
                pyptlib.client.reportSuccess(transport, 4, ("127.0.0.1", 1080), None, None)
            pyptlib.client.reportEnd()
        else:
            info = pyptlib.server.init(["fish"])
            for transport, address in info["transports"].items():
                pyptlib.server.reportSuccess(transport, address, None)
            pyptlib.server.reportEnd()
    except pyptlib.config.EnvError:
        sys.exit(1)
