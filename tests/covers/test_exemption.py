"""The static exemption check: never says yes for a set of messages of which one is blocked."""

from random import Random

from hypothesis import given
from hypothesis import strategies as st

from obfsfte.covers.exemption import FIRST_SEGMENT, exemption, exemption_of
from obfsfte.regular import Language

from .firewall import exemptions

DENSE = b"\x8b\xe4\xd1\xb8"  # four bits each, none printable


def test_the_algorithm_itself() -> None:
    random_like = DENSE * 100
    assert exemptions(random_like) == []
    assert exemptions(bytes(400)) == ["Ex1"]
    assert exemptions(b"\xff" * 400) == ["Ex1"]
    assert exemptions(b"abcdef" + random_like) == ["Ex2"]
    assert exemptions(b"abcde" + random_like) == []
    assert exemptions(b"\xe4" + b"k.u3" * 101 + random_like) == ["Ex3", "Ex4"]
    assert exemptions(random_like + b"k" * 20 + random_like) == []
    assert exemptions(random_like + b"k" * 21 + random_like) == ["Ex4"]
    assert exemptions(b"\x17\x03\x09" + random_like) == ["Ex5"]
    assert exemptions(b"\x17\x03\x0a" + random_like) == []
    assert exemptions(b"gEt " + random_like) == ["Ex5"]
    assert exemptions(b"gEt\t" + random_like) == []


def sets(*strings: bytes) -> list[frozenset[int]]:
    """What each position can be, for strings of one length."""
    return [frozenset(column) for column in zip(*strings, strict=True)]


def test_each_exemption_is_found_and_named() -> None:
    long = DENSE * 300
    cases = {
        "Ex1": sets(b"\x00" * 900, b"\x01" * 900),
        "Ex2": sets(b"abcdef" + long, b"ABCDEF" + long),
        "Ex3": sets(b"\xe4k.u" * 300),
        "Ex4": sets(long[:500] + b"k" * 21 + long),
        "Ex5": sets(b"\x16\x03\x01" + long, b"\x17\x03\x03" + long),
    }
    for name, positions in cases.items():
        assert (exemption_of(positions) or "").startswith(name)
    for method in (b"GET ", b"PUT ", b"POST ", b"HEAD "):
        assert (exemption_of(sets(method + long, method.lower() + long)) or "").startswith("Ex5")


def test_what_does_not_hold_for_all_strings_is_refused() -> None:
    long = DENSE * 300
    refused = [
        sets(long),
        sets(b"abcdef" + long, b"abcde\n" + long),
        sets(b"GET " + long, b"POST" + long),
        sets(b"\x16\x03\x01" + long, b"\x16\x03\x0a" + long),
        # Only whole, but not in a first segment that ends before it:
        sets(long[:FIRST_SEGMENT] + b"k" * 2000),
        sets(long[: FIRST_SEGMENT - 20] + b"k" * 21 + long),
        # 20 contiguous bytes, and half of them, are not enough:
        sets(long[:100] + b"k" * 20 + long),
        sets(b"\xe4k\xd1k" * 300),
    ]
    for positions in refused:
        assert exemption_of(positions) is None


BYTES = st.sampled_from(list(DENSE + b"ak~\x00\x03\x07\x16\xffGET \x7f"))


@given(
    st.lists(st.frozensets(BYTES, min_size=1, max_size=3), min_size=1, max_size=60),
    st.randoms(use_true_random=False),
    st.sampled_from([1, 9, 40]),
)
def test_a_yes_holds_for_every_choice_and_every_cut(
    pattern: list[frozenset[int]], random: Random, repeat: int
) -> None:
    positions = pattern * repeat
    if exemption_of(positions) is None:
        return
    for _ in range(5):
        message = bytes(random.choice(sorted(possible)) for possible in positions)
        for end in {len(message), min(len(message), FIRST_SEGMENT)}:
            assert exemptions(message[:end])


def test_of_a_language() -> None:
    assert exemption(Language(r"[a-z ]{6}[\x80-\xff]*", 400)) is not None
    assert exemption(Language(r"[\x80-\xff]{6}[a-z ]{20}[\x80-\xff]*", 400)) is None
