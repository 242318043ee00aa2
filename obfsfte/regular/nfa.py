"""Nondeterministic automata with guards.

States are integers, sets of bytes are integers too (bit b for byte b). A state either reads a
byte and goes on, or goes on without one: to any of several states, or to one under a guard. A
guard is a zero-width assertion about the bytes on either side of a place: an anchor of a
pattern, or a word boundary.
"""

from __future__ import annotations

from collections.abc import Iterable
from enum import Enum, auto


class TooManyStates(Exception):
    """An automaton grew over its limit."""


def byte_set(members: Iterable[int]) -> int:
    """The set of these bytes, as an integer."""
    return sum(1 << byte for byte in set(members))


def members_of(byte_set: int) -> bytes:
    """The bytes of a set, in order."""
    return bytes(byte for byte in range(256) if byte_set >> byte & 1)


ALL_BYTES = (1 << 256) - 1
NEWLINE = byte_set(b"\n")
WORD = byte_set(b"0123456789_ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


class Side(Enum):
    """What stands on one side of a place in a string, as far as guards can tell."""

    OUTSIDE = auto()  # the string begins, or ends, here
    NEWLINE = auto()
    LAST_NEWLINE = auto()  # a newline and then the end
    WORD = auto()
    OTHER = auto()


class Guard(Enum):
    """The zero-width assertions of `re`."""

    BEGINNING = auto()  # \A, and ^ without the flag m
    BEGINNING_OF_LINE = auto()  # ^ with it
    END = auto()  # $ without the flag m: also before a newline that ends the string
    END_OF_LINE = auto()  # $ with it
    END_OF_STRING = auto()  # \Z
    BOUNDARY = auto()  # \b
    NO_BOUNDARY = auto()  # \B

    def holds(self, before: Side, after: Side) -> bool:
        match self:
            case Guard.BEGINNING:
                return before is Side.OUTSIDE
            case Guard.BEGINNING_OF_LINE:
                return before in (Side.OUTSIDE, Side.NEWLINE)
            case Guard.END:
                return after in (Side.OUTSIDE, Side.LAST_NEWLINE)
            case Guard.END_OF_LINE:
                return after in (Side.OUTSIDE, Side.NEWLINE, Side.LAST_NEWLINE)
            case Guard.END_OF_STRING:
                return after is Side.OUTSIDE
            case Guard.BOUNDARY:
                return (before is Side.WORD) is not (after is Side.WORD)
            case Guard.NO_BOUNDARY:
                # Not in the empty string: re before Python 3.14.
                if before is Side.OUTSIDE and after is Side.OUTSIDE:
                    return False
                return (before is Side.WORD) is (after is Side.WORD)


class Nfa:
    """An automaton under construction, from its accepting state back to the start."""

    def __init__(self) -> None:
        self.accept = 0
        self.guarded = False
        self.work = 0  # steps of all closures
        self._reads: list[tuple[int, int] | None] = [None]
        self._choices: list[list[tuple[Guard | None, int]]] = [[]]
        self._closures: dict[tuple[int, Side, Side], tuple[bool, list[tuple[int, int]]]] = {}

    def _add(self, read: tuple[int, int] | None, choices: list[tuple[Guard | None, int]]) -> int:
        self._reads.append(read)
        self._choices.append(choices)
        return len(self._reads) - 1

    def read(self, byte_set: int, target: int) -> int:
        """A state that reads one byte of the set."""
        return self._add((byte_set, target), [])

    def choose(self, *targets: int) -> int:
        """A state that goes on to any of the targets."""
        return self._add(None, [(None, target) for target in targets])

    def add_choices(self, state: int, *targets: int) -> None:
        """More targets for a state made by `choose`."""
        self._choices[state] += [(None, target) for target in targets]

    def check(self, guard: Guard, target: int) -> int:
        """A state that goes on to the target where the guard holds."""
        self.guarded = True
        return self._add(None, [(guard, target)])

    def closure(self, state: int, before: Side, after: Side) -> tuple[bool, list[tuple[int, int]]]:
        """What `state` comes to without a byte, at a place between `before` and `after`.

        Returns whether it accepts, and the (set of bytes, target) that it may read.
        """
        key = (state, before, after)
        found = self._closures.get(key)
        if found is None:
            seen = {state}
            stack = [state]
            reads = []
            while stack:
                here = stack.pop()
                read = self._reads[here]
                if read is not None:
                    reads.append(read)
                for guard, target in self._choices[here]:
                    if target not in seen and (guard is None or guard.holds(before, after)):
                        seen.add(target)
                        stack.append(target)
            self.work += len(seen)
            found = self._closures[key] = (self.accept in seen, reads)
        return found
