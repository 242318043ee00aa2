"""Strings over one alphabet as numbers: positional notation, most significant digit first.

A Python integer is a row of slots here, and one operation on it acts on all of them. A pass
joins the numbers of 2**j digits in every two neighbouring slots to one of 2**(j+1) digits, or
parts it into them again, so that n digits take log2(n) passes of a few operations each:

```
 |  d0  |  d1  |  d2  |  d3  |   - join ->   |   d0*r + d1   |   d2*r + d3   |
                                 <- part -
```
"""

from __future__ import annotations

from functools import lru_cache

# Longer numbers are halved by division first: parting takes the square of the length.
_LONGEST_PARTED = 64


def _in_every(width: int, value: int, total: int) -> int:
    """`value` in each of the slots of `width` bits that `total` bits are made of."""
    return ((1 << total) - 1) // ((1 << width) - 1) * value


@lru_cache(maxsize=256)
def _joins(radix: int, height: int) -> tuple[tuple[int, int, int], ...]:
    """The passes that join 2**height digits of a byte each: (shift, mask, excess).

    `mask` selects the half of a slot that `shift` brings down. In the row that half counts
    2**shift; as digits it counts less, by `excess`.
    """
    passes = []
    for width, power in _halves(8, radix, height):
        mask = _in_every(2 * width, (1 << width) - 1, 8 << height)
        passes.append((width, mask, (1 << width) - power))
    return tuple(passes)


@lru_cache(maxsize=256)
def _parts(radix: int, height: int) -> tuple[tuple[int, int, int, int], ...]:
    """The passes that part a number of 2**height digits: (factor, shift, mask, gap).

    (v * factor) >> shift is v // power for every v below power**2, and all of the product stays
    inside v's slot: that is why a digit has two bytes here. `gap` is the way of the quotient
    from where it counts `power` to the upper half of its slot.
    """
    passes = []
    for width, power in reversed(_halves(16, radix, height)):
        shift = (power**3).bit_length()
        factor = (1 << shift) // power + 1
        mask = _in_every(2 * width, (1 << (power - 1).bit_length()) - 1, 16 << height)
        passes.append((factor, shift, mask, (1 << width) - power))
    return tuple(passes)


@lru_cache(maxsize=256)
def _power(radix: int, exponent: int) -> int:
    return int(radix**exponent)


def _halves(digit_width: int, radix: int, height: int) -> list[tuple[int, int]]:
    """(bits, place value) of half a slot in each pass, the single digits first."""
    return [(digit_width << j, radix ** (1 << j)) for j in range(height)]


def number_of(digits: bytes, radix: int) -> int:
    """The number whose digits, one to a byte and each below `radix`, are these."""
    number = int.from_bytes(digits, "big")
    if radix < 256:
        for shift, mask, excess in _joins(radix, (len(digits) - 1).bit_length()):
            number -= (number >> shift & mask) * excess
    return number


def digits_of(number: int, radix: int, count: int) -> bytes:
    """The `count` digits of a number below radix**count, one to a byte."""
    if radix == 256:
        return number.to_bytes(count, "big")
    height = (count - 1).bit_length()
    if count > _LONGEST_PARTED:
        half = 1 << height - 1
        upper, lower = divmod(number, _power(radix, half))
        return digits_of(upper, radix, count - half) + digits_of(lower, radix, half)
    for factor, shift, mask, gap in _parts(radix, height):
        number += (number * factor >> shift & mask) * gap
    return number.to_bytes(2 << height, "big")[1::2][-count:]
