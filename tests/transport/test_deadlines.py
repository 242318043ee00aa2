"""One timer for all deadlines."""

from __future__ import annotations

from twisted.internet.task import Clock

from obfsfte.transport.deadlines import SWEEP_SECONDS, Deadlines

from .fakes import is_at_rest


def test_expires_within_one_sweep_of_its_time() -> None:
    clock, expired = Clock(), []
    Deadlines(clock).add(10.0, lambda: expired.append(clock.seconds()))
    clock.pump([0.5] * 40)
    assert len(expired) == 1
    assert 10.0 <= expired[0] <= 10.0 + SWEEP_SECONDS


def test_extending_counts_anew() -> None:
    clock, expired = Clock(), []
    deadline = Deadlines(clock).add(10.0, lambda: expired.append(True))
    clock.pump([1.0] * 9)
    deadline.extend(10.0)
    clock.pump([1.0] * 9)
    assert not expired
    clock.pump([1.0] * 3)
    assert expired == [True]


def test_many_deadlines_share_one_call_and_none_needs_none() -> None:
    clock = Clock()
    deadlines = Deadlines(clock)
    pending = [deadlines.add(10.0, lambda: None) for _ in range(1000)]
    assert len(clock.getDelayedCalls()) == 1
    for deadline in pending:
        deadline.cancel()
        deadline.cancel()
    assert is_at_rest(clock)
    deadlines.add(10.0, lambda: None)
    assert len(clock.getDelayedCalls()) == 1


def test_expiring_may_cancel_and_add() -> None:
    clock, expired = Clock(), []
    deadlines = Deadlines(clock)

    def expire() -> None:
        expired.append(clock.seconds())
        second.cancel()
        deadlines.add(5.0, lambda: expired.append(clock.seconds()))

    deadlines.add(1.0, expire)
    second = deadlines.add(3.0, lambda: expired.append(-1.0))
    clock.pump([1.0] * 20)
    assert len(expired) == 2
    assert -1.0 not in expired
    assert is_at_rest(clock)


def test_one_that_expires_can_cancel_another_of_the_same_sweep() -> None:
    clock, expired = Clock(), []
    deadlines = Deadlines(clock)
    pair = []

    def expire(own: int) -> None:
        expired.append(own)
        pair[1 - own].cancel()

    pair += [deadlines.add(1.0, lambda own=own: expire(own)) for own in (0, 1)]
    clock.pump([1.0] * 5)
    assert len(expired) == 1
