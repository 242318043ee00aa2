"""Digits: the slots of a big integer against positional notation, one digit at a time."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.regular.digits import digits_of, number_of


def spelled_out(number: int, radix: int, count: int) -> bytes:
    digits = bytearray(count)
    for place in reversed(range(count)):
        number, digits[place] = divmod(number, radix)
    assert number == 0
    return bytes(digits)


@pytest.mark.parametrize("radix", range(2, 257))
def test_both_ends_of_every_radix(radix: int) -> None:
    for count in (1, 2, 3, 8, 63, 64, 65, 130):
        top = radix**count - 1
        for number in (0, 1, radix - 1, top // 2, top - 1, top):
            digits = spelled_out(number, radix, count)
            assert digits_of(number, radix, count) == digits
            assert number_of(digits, radix) == number


@settings(deadline=None, max_examples=300)
@given(st.integers(2, 256), st.integers(1, 700), st.data())
def test_any_number(radix: int, count: int, data: st.DataObject) -> None:
    number = data.draw(st.integers(0, radix**count - 1))
    digits = digits_of(number, radix, count)
    assert digits == spelled_out(number, radix, count)
    assert number_of(digits, radix) == number
