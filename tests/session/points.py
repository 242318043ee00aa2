"""The X25519 public keys whose shared secret is all zero, whatever the private key."""

P = 2**255 - 19

#: u-coordinates of small order on the curve or its twist, and their unreduced encodings
#: (0, 1, two of order 8, -1, then the first two plus p; cr.yp.to/ecdh.html#validate).
_COORDINATES = [
    0,
    1,
    325606250916557431795983626356110631294008115727848805560023387167927233504,
    39382357235489614581723060781553021112529911719440698176882885853963445705823,
    P - 1,
    P,
    P + 1,
]

#: X25519 ignores the top bit, so each has two encodings.
SMALL_ORDER = [
    (coordinate | top_bit << 255).to_bytes(32, "little")
    for coordinate in _COORDINATES
    for top_bit in (0, 1)
]
