"""Strings over one alphabet as numbers: positional notation, most significant digit first.

Both ways work on all digits of a number at once. A Python integer is a row of slots of one
width, and one operation on it acts on every slot; each pass joins neighbouring slots (or parts
them), so that n digits take log2(n) passes:

```
 slot       | d0 | d1 | d2 | d3 |      one digit to a byte
 join by r  | d0*r + d1 | d2*r + d3 |  one number below r**2 to two bytes
 by r**2    | (d0*r + d1)*r**2 + ..  | one number below r**4 to four bytes
```

Joining works for every radix, parting only where the slots' boundaries in the number are whole
bits: for another radix the number is halved by division, again all its parts in each pass.
"""

from __future__ import annotations

from functools import lru_cache
from itertools import chain, repeat


@lru_cache(maxsize=256)
def _passes(radix: int, height: int) -> tuple[tuple[int, int, int], ...]:
    """For each of `height` passes, from single digits upward: (shift, mask, factor).

    After pass j a slot of 8 << (j + 1) bits holds a number below radix**(2 << j). `mask` selects
    the lower half of every slot, and `factor` is what a unit of the upper half loses when its
    place value falls from 2**shift to radix**(1 << j).
    """
    passes = []
    for j in range(height):
        shift = 8 << j
        ones = ((1 << (8 << height)) - 1) // ((1 << 2 * shift) - 1)  # 1 in every slot
        mask = ones * ((1 << shift) - 1)
        passes.append((shift, mask, (1 << shift) - radix ** (1 << j)))
    return tuple(passes)


@lru_cache(maxsize=256)
def _spreads(bits: int, height: int) -> tuple[tuple[int, int, int], ...]:
    """The passes for the radix 2**bits, undone from the top: (shift, mask, factor)."""
    passes = []
    for j in reversed(range(height)):
        shift = bits << j
        ones = ((1 << (8 << height)) - 1) // ((1 << (16 << j)) - 1)
        mask = ones * ((1 << shift) - 1)
        passes.append((shift, mask, (1 << (8 << j)) - (1 << shift)))
    return tuple(passes)


@lru_cache(maxsize=256)
def _powers(radix: int, height: int) -> tuple[tuple[int, int], ...]:
    """The divisors that halve a number of at most 2**height digits: (digits, radix**digits)."""
    return tuple((1 << j, radix ** (1 << j)) for j in reversed(range(height)))


def number_of(digits: bytes, radix: int) -> int:
    """The number whose digits, one to a byte and each below `radix`, are these."""
    number = int.from_bytes(digits, "big")
    if radix < 256:
        for shift, mask, factor in _passes(radix, (len(digits) - 1).bit_length()):
            number -= (number >> shift & mask) * factor
    return number


def digits_of(number: int, radix: int, count: int) -> bytes:
    """The `count` digits of a number below radix**count, one to a byte."""
    height = (count - 1).bit_length()
    if radix & (radix - 1) == 0:
        if radix < 256:
            for shift, mask, factor in _spreads(radix.bit_length() - 1, height):
                number += (number >> shift & mask) * factor
        return number.to_bytes(count, "big")
    parts = [number]
    for width, power in _powers(radix, height):
        parts = list(chain.from_iterable(map(divmod, parts, repeat(power))))
        if (len(parts) - 1) * width >= count:  # the uppermost half lies beyond the string
            del parts[0]
    return bytes(parts)
