"""Whether every string of a language passes the firewall that blocks fully encrypted traffic.

Wu et al., "How the Great Firewall of China Detects and Blocks Fully Encrypted Traffic"
(USENIX Security 2023), Algorithm 1: a connection goes on if the first TCP payload that its
client sends meets one of five exemptions; else it may be blocked.

    Ex1  bits set per byte, on average: <= 3.4 or >= 4.6
    Ex2  the first six bytes are printable (0x20-0x7e)
    Ex3  more than 50 % of the bytes are printable
    Ex4  more than 20 contiguous bytes are printable
    Ex5  it begins like TLS, [\\x16-\\x17]\\x03[\\x00-\\x09], or like HTTP: GET, PUT, POST or
         HEAD in any case, and a space (both section 4.3)

A client's first message must be exempt always, not usually: so this looks not at samples
but at the set of bytes that the strings can have at each position, and accepts only what
holds for every choice from these sets. That is stricter than needed (bytes at different
positions may depend on each other) and never wrong.

The firewall looks at a packet, and TCP may cut the message: the exemption must also hold for
what of it is certainly in the first segment.
"""

from __future__ import annotations

from collections.abc import Sequence
from itertools import accumulate

from obfsfte.regular import Language

#: No TCP segment but a message's last is shorter: the default of RFC 9293, 3.7.1.
FIRST_SEGMENT = 536

PRINTABLE = frozenset(range(0x20, 0x7F))

_TLS = [{0x16, 0x17}, {0x03}, set(range(0x0A))]
_HTTP = [
    [{byte, byte | 0x20} for byte in method] for method in (b"GET ", b"PUT ", b"POST ", b"HEAD ")
]


def exemption(language: Language) -> str | None:
    """Why every string of the language is exempt, or None if that is not certain."""
    return exemption_of([language.bytes_at(position) for position in range(language.length)])


def exemption_of(positions: Sequence[frozenset[int]]) -> str | None:
    """As `exemption`, for the set of possible bytes at each position of a first message."""
    shortest = min(len(positions), FIRST_SEGMENT)
    printable = [possible <= PRINTABLE for possible in positions]
    if shortest >= 6 and all(printable[:6]):
        return "Ex2: the first six bytes are always printable"
    if any(_begins(positions, prefix) for prefix in (_TLS, *_HTTP)):
        return "Ex5: the first bytes are always those of TLS or HTTP"
    if _longest_run(printable[:shortest]) > 20:
        return "Ex4: more than 20 contiguous bytes are always printable"

    # What depends on the share of something must hold wherever TCP cuts the message.
    def always_over(counts: Sequence[int], share: float) -> bool:
        sums = list(accumulate(counts))
        return all(sums[n - 1] > share * n for n in range(shortest, len(sums) + 1))

    if always_over(printable, 0.5):
        return "Ex3: more than half of the bytes are always printable"
    most = [max(byte.bit_count() for byte in possible) for possible in positions]
    least = [min(byte.bit_count() for byte in possible) for possible in positions]
    if always_over([-bits for bits in most], -3.4) or always_over(least, 4.6):
        return "Ex1: the bits set per byte are always <= 3.4 or >= 4.6"
    return None


def _begins(positions: Sequence[frozenset[int]], prefix: Sequence[set[int]]) -> bool:
    """Whether every string begins with one byte of each of the prefix's sets."""
    return len(positions) >= len(prefix) and all(
        possible <= wanted for possible, wanted in zip(positions, prefix, strict=False)
    )


def _longest_run(flags: Sequence[bool]) -> int:
    longest = run = 0
    for flag in flags:
        run = run + 1 if flag else 0
        longest = max(longest, run)
    return longest
