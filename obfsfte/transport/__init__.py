"""The Twisted layer: everything that owns a socket or a timer.

One connection is one `relay.Relay`: the wire side speaks a channel's bytes, the plain
side the application's. `client` and `server` are the two ways to get one.
"""
