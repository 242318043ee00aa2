"""The session: a stream of application bytes as records that are uniform random bytes.

Everything here is a function of its arguments: no sockets, files, clocks or random
source of its own. In the order in which a connection meets them:

    keys        what a bridge is, and what its clients are told of it (`cert=`)
    noise       Noise_NKpsk0_25519_AESGCM_SHA256, nothing else of Noise
    handshake   the two hellos: Noise's messages, masked and padded
    replay      which hellos a server has answered before
    records     application bytes, sealed and opened

docs/protocol.md describes the same, byte by byte, for other implementations.
"""
