"""The schedule: the same at both ends, fixed by its key, uniform."""

import hashlib
import hmac
from collections import Counter
from itertools import islice

import pytest

from obfsfte.covers.schedule import schedule

KEY = bytes(range(32))


def test_is_what_the_module_documents() -> None:
    for number, (choice, place) in enumerate(islice(schedule("abc", KEY), 300)):
        digest = hmac.new(KEY, number.to_bytes(8, "big"), hashlib.sha256).digest()
        assert choice == "abc"[int.from_bytes(digest[:16], "big") % 3]
        assert place == int.from_bytes(digest[16:], "big")


def test_depends_on_the_key() -> None:
    first = list(islice(schedule(range(10), KEY), 50))
    other = list(islice(schedule(range(10), KEY[::-1]), 50))
    assert [choice for choice, _ in first] != [choice for choice, _ in other]
    assert not {place for _, place in first} & {place for _, place in other}


def test_uses_every_choice_alike() -> None:
    seen = Counter(choice for choice, _ in islice(schedule(range(7), KEY), 7000))
    assert len(seen) == 7
    # Chi-square with 6 degrees of freedom; 22.46 is its 0.999 quantile. The key is fixed.
    assert sum((count - 1000) ** 2 / 1000 for count in seen.values()) < 22.46


@pytest.mark.parametrize("size", [0, 16, 31, 33])
def test_refuses_keys_of_another_size_at_once(size: int) -> None:
    with pytest.raises(ValueError, match="32 bytes"):
        schedule("abc", bytes(size))
