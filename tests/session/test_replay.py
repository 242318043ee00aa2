import tracemalloc
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from obfsfte.session.replay import CAPACITY, WINDOW, ReplayFilter

NOW = 1_700_000_000


def nonce(number):
    return (number + 1).to_bytes(16, "big")


def test_each_hello_once():
    seen = ReplayFilter()
    assert seen.check_and_add(nonce(1), NOW, NOW)
    assert not seen.check_and_add(nonce(1), NOW, NOW)
    assert not seen.check_and_add(nonce(1), NOW, NOW + WINDOW)
    assert seen.check_and_add(nonce(2), NOW, NOW)
    assert seen.size == 2


@pytest.mark.parametrize("difference", [0, 1, -1, WINDOW, -WINDOW])
def test_within_the_window(difference):
    assert ReplayFilter().check_and_add(nonce(1), NOW + difference, NOW)


@pytest.mark.parametrize("difference", [WINDOW + 1, -WINDOW - 1, 2**63, -NOW])
def test_outside_the_window(difference):
    seen = ReplayFilter()
    assert not seen.check_and_add(nonce(1), NOW + difference, NOW)
    assert seen.size == 0


def test_what_left_the_window_is_forgotten():
    seen = ReplayFilter(window=600)
    for number in range(1000):
        assert seen.check_and_add(nonce(number), NOW + number * 60, NOW + number * 60)
        assert seen.size <= 11


def test_a_clock_that_is_set_back_revives_nothing():
    seen = ReplayFilter(window=600)
    assert seen.check_and_add(nonce(1), NOW, NOW)
    assert seen.check_and_add(nonce(2), NOW + 1200, NOW + 1200)
    assert seen.size == 1
    assert not seen.check_and_add(nonce(1), NOW, NOW)
    assert seen.check_and_add(nonce(3), NOW + 1199, NOW + 1199)


def test_a_clock_that_was_set_back_for_a_while_leaves_nothing():
    seen = ReplayFilter(window=600)
    back = NOW - 1200
    assert seen.check_and_add(nonce(1), NOW, NOW)
    assert seen.check_and_add(nonce(2), back, back)
    assert seen.check_and_add(nonce(3), NOW, NOW)
    assert seen.size == 2
    assert not seen.check_and_add(nonce(2), back, back)


def test_a_clock_that_was_far_ahead_keeps_nobody_out():
    """As after a start with a wrong clock, which is then set."""
    before = ReplayFilter()
    assert before.check_and_add(nonce(1), NOW, NOW)
    seen = ReplayFilter()
    ahead = NOW + 5 * 365 * 86_400
    seen.restore(before.entries(), ahead)
    assert not seen.check_and_add(nonce(2), NOW + 60, ahead)
    assert not seen.check_and_add(nonce(1), NOW, NOW + 60)
    assert seen.check_and_add(nonce(2), NOW + 60, NOW + 60)


def test_a_clock_that_was_far_behind_forgets_nothing():
    """As after a start without a battery, before the clock is set."""
    before = ReplayFilter()
    assert before.check_and_add(nonce(1), NOW, NOW)
    seen = ReplayFilter()
    seen.restore(before.entries(), 0)
    assert not seen.check_and_add(nonce(1), NOW, NOW)
    assert seen.check_and_add(nonce(2), NOW, NOW)


@pytest.mark.parametrize("sign", [1, -1])
def test_when_full_the_minute_farthest_from_the_present_is_closed(sign):
    seen = ReplayFilter(window=600, capacity=30)
    present = NOW - NOW % 60
    far, near = present + sign * 420, present - sign * 120
    for number in range(30):
        assert seen.check_and_add(nonce(number), (far, near, present)[number // 10], present)
    assert seen.check_and_add(nonce(30), present, present)
    assert seen.size == 21

    restored = ReplayFilter(window=600, capacity=30)
    restored.restore(seen.entries(), present)
    for filter_ in (seen, restored):
        assert not filter_.check_and_add(nonce(0), far, present)
        assert not filter_.check_and_add(nonce(99), far + 59, present)
        assert filter_.check_and_add(nonce(31), far + sign * 60, present)
        assert filter_.check_and_add(nonce(32), near, present)


def test_a_flood_within_one_minute_closes_that_minute_only():
    seen = ReplayFilter(capacity=100)
    present = NOW - NOW % 60
    accepted = [seen.check_and_add(nonce(number), present, present) for number in range(1000)]
    assert accepted == [True] * 101 + [False] * 899
    assert seen.check_and_add(nonce(1000), present + 60, present + 60)


def test_a_flood_of_hellos_ahead_of_time_does_not_keep_others_out():
    seen = ReplayFilter(capacity=100)
    random = Random(1)
    for number in range(20_000):
        seen.check_and_add(nonce(number), NOW + random.randrange(120, WINDOW), NOW)
    assert seen.size <= 100
    assert seen.check_and_add(nonce(20_000), NOW, NOW)


def test_memory_when_full():
    # The module promises 22 MB for the default capacity.
    random = Random(1)
    tracemalloc.start()
    seen = ReplayFilter(capacity=CAPACITY // 8)
    for _ in range(CAPACITY // 8):
        seen.check_and_add(random.randbytes(16), NOW + random.randrange(-WINDOW, WINDOW), NOW)
    used, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert seen.size == CAPACITY // 8
    assert used / seen.size < 22e6 / CAPACITY


class Model(RuleBasedStateMachine):
    """The filter is full most of the time, and it is saved and restored.

    The clock goes both ways, but not back beyond a restart: that revives what had expired.
    """

    WINDOW = 300
    CAPACITY = 12

    def __init__(self):
        super().__init__()
        self.now = self.latest = self.earliest = NOW
        self.seen = self.make()
        self.accepted = set()

    def make(self):
        return ReplayFilter(self.WINDOW, self.CAPACITY)

    @rule(number=st.integers(0, 40), offset=st.integers(-400, 400))
    def check(self, number, offset):
        hello = (nonce(number), self.now + offset)
        accepted = self.seen.check_and_add(*hello, self.now)
        if accepted:
            assert abs(offset) <= self.WINDOW
            assert hello not in self.accepted
            self.accepted.add(hello)

    @rule(data=st.data())
    def replay(self, data):
        if self.accepted:
            hello = data.draw(st.sampled_from(sorted(self.accepted)))
            assert not self.seen.check_and_add(*hello, self.now)

    @rule(seconds=st.integers(-100, 200))
    def pass_time(self, seconds):
        self.now = max(self.now + seconds, self.earliest)
        self.latest = max(self.latest, self.now)

    @rule(times=st.integers(1, 2))
    def restart(self, times):
        self.now = self.earliest = self.latest
        entries = list(self.seen.entries())
        self.seen = self.make()
        for _ in range(times):  # to hear of a hello twice changes nothing
            self.seen.restore(entries, self.now)

    @invariant()
    def memory_is_bounded(self):
        assert self.seen.size <= self.CAPACITY
        assert self.seen.size == sum(any(nonce) for _, nonce in self.seen.entries())


TestModel = Model.TestCase
TestModel.settings = settings(deadline=None, max_examples=60, stateful_step_count=60)


@settings(deadline=None)
@given(st.lists(st.tuples(st.integers(-300, 300), st.integers(0, 30)), max_size=80))
def test_below_capacity_every_new_hello_in_time_is_accepted(hellos):
    seen = ReplayFilter(window=300, capacity=1000)
    expected = set()
    for offset, number in hellos:
        # The same nonce in another minute is another hello, which no honest client makes.
        key = (nonce(number), (NOW + offset) // 60)
        assert seen.check_and_add(nonce(number), NOW + offset, NOW) == (key not in expected)
        expected.add(key)
    assert seen.size == len(expected)
