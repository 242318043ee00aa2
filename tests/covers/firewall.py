"""Algorithm 1 of Wu et al., USENIX Security 2023, as published: what the tests judge by."""

import re

PROTOCOLS = re.compile(rb"[\x16-\x17]\x03[\x00-\x09]|(?i:GET|PUT|POST|HEAD) ")


def printable(byte: int) -> bool:
    return 0x20 <= byte <= 0x7E


def exemptions(packet: bytes) -> list[str]:
    """Which exemptions the first payload of a connection meets; none means blocked."""
    met = []
    ones = sum(bin(byte).count("1") for byte in packet) / len(packet)
    if ones <= 3.4 or ones >= 4.6:
        met.append("Ex1")
    if len(packet) >= 6 and all(printable(byte) for byte in packet[:6]):
        met.append("Ex2")
    if sum(printable(byte) for byte in packet) / len(packet) > 0.5:
        met.append("Ex3")
    if re.search(rb"[\x20-\x7e]{21}", packet):
        met.append("Ex4")
    if PROTOCOLS.match(packet):
        met.append("Ex5")
    return met
