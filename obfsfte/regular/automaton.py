"""Deterministic automata: the subset construction, minimised and trimmed.

A move is a pair (set of bytes, target). The moves of one state have disjoint sets, and no string
goes on with a byte that is in none of them. Every state lies on a way to acceptance, but for the
start of an automaton that accepts nothing.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Mapping, Sequence, Set

import attrs

from obfsfte.regular.nfa import ALL_BYTES, NEWLINE, WORD, Nfa, Side, TooManyStates

Move = tuple[int, int]

# A byte as the guards see it: the set it is of, what it is in front of a place, and behind it.
_CONTEXTS = (
    (NEWLINE, Side.NEWLINE, (Side.NEWLINE, Side.LAST_NEWLINE)),
    (WORD, Side.WORD, (Side.WORD,)),
    (ALL_BYTES & ~WORD & ~NEWLINE, Side.OTHER, (Side.OTHER,)),
)
_UNGUARDED = ((ALL_BYTES, Side.OTHER, (Side.OTHER,)),)

# How much a state may cost on average, in steps of the subset construction. The subsets of a
# hostile pattern grow with their number, so that a limit on the states alone allows its square.
_WORK_PER_STATE = 50


@attrs.frozen(eq=False, repr=False)
class Automaton:
    """A minimal, trimmed deterministic automaton. State 0 is the start."""

    moves: Sequence[Collection[Move]]
    finals: Set[int]


def determinise(nfa: Nfa, start: int, limit: int) -> Automaton:
    """The minimal automaton of what `nfa` accepts from `start`.

    Raises TooManyStates if the subset construction makes more than `limit` states, or more
    work than so many states are worth.
    """
    # A subset has states of the NFA, and complements of states: those are good only if the
    # string ends here, because the newline before them was read as its last byte.
    contexts = _CONTEXTS if nfa.guarded else _UNGUARDED
    first = (frozenset([start]), Side.OUTSIDE if nfa.guarded else Side.OTHER)
    subsets = [first]
    numbers = {first: 0}
    moves: list[dict[int, int]] = []  # target -> set of bytes
    finals: set[int] = set()
    work = 0
    for members, before in subsets:
        if any(nfa.closure(max(member, ~member), before, Side.OUTSIDE)[0] for member in members):
            finals.add(len(moves))
        row: defaultdict[int, int] = defaultdict(int)
        for context, behind, in_front in contexts:
            targets_by_set: defaultdict[int, set[int]] = defaultdict(set)
            for after in in_front:
                for member in members:
                    if member < 0:
                        continue
                    if nfa.work > limit * _WORK_PER_STATE:
                        raise TooManyStates
                    reads = nfa.closure(member, before, after)[1]
                    work += len(reads)
                    for byte_set, target in reads:
                        if readable := byte_set & context:
                            last = after is Side.LAST_NEWLINE
                            targets_by_set[readable].add(~target if last else target)
            parts = _disjoint(targets_by_set)
            work += len(parts) * len(targets_by_set)
            for byte_set, targets in parts:
                key = (targets, behind)
                if key not in numbers:
                    numbers[key] = len(subsets)
                    subsets.append(key)
                row[numbers[key]] |= byte_set
        moves.append(row)
        if len(subsets) > limit or work > limit * _WORK_PER_STATE:
            raise TooManyStates
    return _minimise(*_trim(moves, finals))


def nearest_lengths(automaton: Automaton, length: int) -> list[int]:
    """The lengths next to `length`, one on either side, of which strings are accepted.

    Gives up, with fewer, when the search is long.
    """
    shorter: list[int] = []
    states = {0}
    work = 0
    # Of the strings longer than `length`, the shortest repeats no state after it.
    for candidate in range(length + len(automaton.moves) + 1):
        if not states.isdisjoint(automaton.finals):
            if candidate > length:
                return [*shorter, candidate]
            shorter = [candidate]
        states = {target for state in states for _, target in automaton.moves[state]}
        work += len(states)
        if not states or work > 1_000_000:
            break
    return shorter


def _disjoint(targets_by_set: Mapping[int, Set[int]]) -> list[tuple[int, frozenset[int]]]:
    """The same moves with sets of bytes that do not overlap, each with all its targets."""
    parts: list[tuple[int, frozenset[int]]] = []
    for byte_set, targets in targets_by_set.items():
        rest = byte_set
        split = []
        for part, others in parts:
            if common := part & rest:
                split.append((common, others | targets))
                rest ^= common
            if alone := part ^ common:
                split.append((alone, others))
        if rest:
            split.append((rest, frozenset(targets)))
        parts = split
    return parts


def _trim(
    moves: Sequence[Mapping[int, int]], finals: Set[int]
) -> tuple[list[dict[int, int]], set[int]]:
    """Without the states, the start excepted, from which no string is accepted."""
    sources: list[list[int]] = [[] for _ in moves]
    for state, row in enumerate(moves):
        for target in row:
            sources[target].append(state)
    alive = set(finals)
    stack = list(finals)
    while stack:
        for state in sources[stack.pop()]:
            if state not in alive:
                alive.add(state)
                stack.append(state)
    kept = sorted(alive | {0})
    numbers = {state: number for number, state in enumerate(kept)}
    return (
        [
            {numbers[target]: part for target, part in moves[state].items() if target in alive}
            for state in kept
        ],
        {numbers[state] for state in finals},
    )


def _minimise(moves: Sequence[Mapping[int, int]], finals: Set[int]) -> Automaton:
    """Hopcroft's algorithm, as Valmari and Lehtinen adapt it to partial automata (STACS 2008)."""
    letters = _letters({byte_set for row in moves for byte_set in row.values()})
    arrivals: list[list[tuple[int, int]]] = [[] for _ in moves]
    for state, row in enumerate(moves):
        for target, byte_set in row.items():
            arrivals[target] += [(letter, state) for letter in letters[byte_set]]

    blocks = [block for block in (set(range(len(moves))) - finals, set(finals)) if block]
    block_of = [0] * len(moves)
    for number, block in enumerate(blocks):
        for state in block:
            block_of[state] = number
    pending = set(range(len(blocks)))
    while pending:
        comers = defaultdict(list)  # letter -> the states that it takes into this block
        for target in blocks[pending.pop()]:
            for letter, state in arrivals[target]:
                comers[letter].append(state)
        for states in comers.values():
            touched = defaultdict(list)
            for state in states:
                touched[block_of[state]].append(state)
            for number, part in touched.items():
                block = blocks[number]
                if len(part) == len(block):
                    continue
                block.difference_update(part)
                for state in part:
                    block_of[state] = len(blocks)
                # Both halves of a block that is still to be looked at, else the smaller one.
                old_one = number not in pending and len(block) < len(part)
                pending.add(number if old_one else len(blocks))
                blocks.append(set(part))
    return _quotient(moves, finals, blocks, block_of)


def _letters(byte_sets: Set[int]) -> dict[int, list[int]]:
    """Number the classes of bytes that no set tells apart; the classes that each set is made of."""
    parts = _disjoint({byte_set: {byte_set} for byte_set in byte_sets})
    letters: dict[int, list[int]] = {byte_set: [] for byte_set in byte_sets}
    for letter, (_, owners) in enumerate(parts):
        for byte_set in owners:
            letters[byte_set].append(letter)
    return letters


def _quotient(
    moves: Sequence[Mapping[int, int]],
    finals: Set[int],
    blocks: Sequence[Set[int]],
    block_of: Sequence[int],
) -> Automaton:
    """One state for each block, numbered from the start in the order that strings meet them."""
    order = [block_of[0]]
    numbers = {block_of[0]: 0}
    quotient = []
    for number in order:
        row: defaultdict[int, int] = defaultdict(int)
        for target, byte_set in moves[next(iter(blocks[number]))].items():
            block = block_of[target]
            if block not in numbers:
                numbers[block] = len(order)
                order.append(block)
            row[numbers[block]] |= byte_set
        quotient.append(tuple((byte_set, target) for target, byte_set in row.items()))
    return Automaton(quotient, frozenset(numbers[block_of[state]] for state in finals))
