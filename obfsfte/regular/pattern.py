"""Patterns: Python's bytes regular expressions, read by the standard library's own parser.

`re` decides what a pattern means, so `re` parses it; what this module adds is the way from the
parser's tree to a nondeterministic finite automaton. `re.fullmatch` is the reference: a pattern
describes exactly the strings that it matches as a whole. Greedy and lazy repeats are the same
then, groups only group, and anchors and word boundaries hold wherever they stand. What depends
on more than one byte to either side (look-around, back references, conditional groups), or on
the order in which `re` tries things (atomic groups, possessive repeats), is refused.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from re import _constants as sre  # type: ignore[attr-defined]
from re import _parser  # type: ignore[attr-defined]
from typing import Any

import attrs

from obfsfte.errors import ConfigError
from obfsfte.regular.automaton import Automaton, determinise
from obfsfte.regular.nfa import ALL_BYTES, NEWLINE, WORD, Guard, Nfa, TooManyStates, byte_set

#: Enough for a counted repeat of the longest message that anyone sends, and compiled in seconds.
MAX_STATES = 20_000


class PatternError(ConfigError):
    """A pattern that cannot be used: not a regular expression, not regular, or too large."""


# What is refused, by the way it is written. Where one of these stands for itself (in a class, in
# a comment, after a backslash) is for the parser to say: see _first_refused.
_REFUSED = {
    "a look-ahead": rb"\(\?[=!]",
    "a look-behind": rb"\(\?<[=!]",
    "a back reference": rb"\\(?![0-7]{3})[1-9]|\(\?P=",
    "a conditional group": rb"\(\?\(",
    "an atomic group": rb"\(\?>",
    "a possessive repeat": rb"(?:[*+?]|\{[0-9]*,?[0-9]*\})\+",
    "the flag L, which depends on the locale": rb"\(\?[aimsux]*L",
}
_REFUSED_SPELLING = re.compile(b"|".join(b"(%b)" % text for text in _REFUSED.values()))

_GUARDS = {
    sre.AT_BEGINNING: Guard.BEGINNING,
    sre.AT_BEGINNING_STRING: Guard.BEGINNING,
    sre.AT_END: Guard.END,
    sre.AT_END_STRING: Guard.END_OF_STRING,
    sre.AT_BOUNDARY: Guard.BOUNDARY,
    sre.AT_NON_BOUNDARY: Guard.NO_BOUNDARY,
}
_LINE_GUARDS = {
    sre.AT_BEGINNING: Guard.BEGINNING_OF_LINE,
    sre.AT_END: Guard.END_OF_LINE,
}

_ONE_BYTE = frozenset({sre.ANY, sre.IN, sre.LITERAL, sre.NOT_LITERAL})
_REPEATS = frozenset({sre.MAX_REPEAT, sre.MIN_REPEAT})

_DIGIT = byte_set(b"0123456789")
_SPACE = byte_set(b" \t\n\r\f\v")
_CATEGORIES = {
    sre.CATEGORY_DIGIT: _DIGIT,
    sre.CATEGORY_NOT_DIGIT: ALL_BYTES & ~_DIGIT,
    sre.CATEGORY_SPACE: _SPACE,
    sre.CATEGORY_NOT_SPACE: ALL_BYTES & ~_SPACE,
    sre.CATEGORY_WORD: WORD,
    sre.CATEGORY_NOT_WORD: ALL_BYTES & ~WORD,
}
_UPPER = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ"
_LOWER = _UPPER.lower()


def _to_bytes(pattern: bytes | str) -> bytes:
    if not isinstance(pattern, str):
        return bytes(memoryview(pattern))
    try:
        return pattern.encode("ascii")
    except UnicodeEncodeError as error:
        raise PatternError(
            f"the character {pattern[error.start]!r} at position {error.start} of the pattern is "
            r"not ASCII: patterns are of bytes, write \xNN for each"
        ) from None


@attrs.frozen(repr=False)
class Pattern:
    """A bytes regular expression for whole strings, compiled to its minimal automaton.

    `pattern` has the syntax of Python's `re`; a str must be ASCII. Raises PatternError, at once,
    for one that is malformed, not regular, or that needs more than `max_states` states.
    """

    source: bytes = attrs.field(alias="pattern", converter=_to_bytes)
    max_states: int = attrs.field(default=MAX_STATES, kw_only=True, eq=False)
    automaton: Automaton = attrs.field(init=False, eq=False)

    @automaton.default
    def _compile(self) -> Automaton:
        try:
            tree = _parse(self.source)
            if _size(tree) > self.max_states:
                raise TooManyStates
            nfa = Nfa()
            start = _sequence(nfa, tree, tree.state.flags, nfa.accept)
            return determinise(nfa, start, self.max_states)
        except _Refused:
            name, position = _first_refused(self.source)
            raise PatternError(
                f"{name} at position {position} of the pattern is not supported: "
                "write the pattern without it"
            ) from None
        except TooManyStates:
            raise PatternError(
                f"the pattern needs more than {self.max_states} states: "
                "use fewer or smaller counted repeats"
            ) from None
        except RecursionError:
            raise PatternError("the groups of the pattern are nested too deeply") from None
        except (re.error, OverflowError, ValueError) as error:
            raise PatternError(f"the pattern is not a regular expression: {error}") from None

    def __repr__(self) -> str:
        return f"Pattern({self.source!r})"


class _Refused(Exception):
    """The tree has a node that no automaton stands for; the tree does not say where."""


def _parse(source: bytes) -> Any:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about sets that a later Python may read otherwise
        return _parser.parse(source)


def _first_refused(source: bytes) -> tuple[str, int]:
    """What cannot be used first in the pattern, and where.

    The parser's tree has no positions, but its errors have: cut off at a candidate and continued
    with an unknown extension, the pattern fails right there if the parser would have begun a new
    item at that place, and otherwise somewhere else.
    """
    position = 0
    while match := _REFUSED_SPELLING.search(source, position):
        position = match.start()
        try:
            _parse(source[:position] + b"(?\0")
        except re.error as error:
            if error.pos == position + 1 and match.lastindex:
                return list(_REFUSED)[match.lastindex - 1], position
        position += 1
    return "a construct that this version does not know", 0


def _size(nodes: Iterable[Any]) -> int:
    """The number of states that `_sequence` will make of these nodes, or a little more."""
    size = 0
    for op, av in nodes:
        if op in _REPEATS:
            low, high, body = av
            copy = max(1, _size(body))  # copies of nothing take time too
            if high is sre.MAXREPEAT:
                size += max(1, low) * copy + 1
            else:
                size += low * copy + (high - low) * (copy + 1)
        elif op is sre.BRANCH:
            size += 1 + sum(map(_size, av[1]))
        elif op is sre.SUBPATTERN:
            size += _size(av[-1])
        else:
            size += 1
    return size


def _sequence(nfa: Nfa, nodes: Iterable[Any], flags: int, target: int) -> int:
    """Add states that read `nodes` and then go on to `target`; return the first of them."""
    for op, av in reversed(list(nodes)):
        target = _item(nfa, op, av, flags, target)
    return target


def _item(nfa: Nfa, op: Any, av: Any, flags: int, target: int) -> int:
    if flags & re.LOCALE:
        raise _Refused
    if op in _ONE_BYTE:
        return nfa.read(_members(op, av, flags), target)
    if op in _REPEATS:
        low, high, body = av
        return _repeat(nfa, low, high, body, flags, target)
    if op is sre.SUBPATTERN:
        _, added, removed, body = av
        return _sequence(nfa, body, (flags | added) & ~removed, target)
    if op is sre.BRANCH:
        return nfa.choose(*(_sequence(nfa, body, flags, target) for body in av[1]))
    if op is sre.AT:
        guards = _GUARDS | _LINE_GUARDS if flags & re.MULTILINE else _GUARDS
        return nfa.check(guards[av], target)
    raise _Refused


def _repeat(nfa: Nfa, low: int, high: Any, body: Any, flags: int, target: int) -> int:
    if high is sre.MAXREPEAT:
        again = nfa.choose()
        start = _sequence(nfa, body, flags, again)
        nfa.add_choices(again, start, target)
        if low == 0:
            return again
        low -= 1
    else:
        start = target
        for _ in range(high - low):
            start = nfa.choose(_sequence(nfa, body, flags, start), target)
    for _ in range(low):
        start = _sequence(nfa, body, flags, start)
    return start


def _members(op: Any, av: Any, flags: int) -> int:
    """The set of bytes that one item of a pattern matches."""
    if op is sre.ANY:
        return ALL_BYTES if flags & re.DOTALL else ALL_BYTES & ~NEWLINE
    negated = op is sre.NOT_LITERAL
    members = 0
    for kind, value in av if op is sre.IN else [(sre.LITERAL, av)]:
        if kind is sre.NEGATE:
            negated = True
        elif kind is sre.RANGE:
            members |= byte_set(range(value[0], value[1] + 1))
        elif kind is sre.CATEGORY:
            members |= _CATEGORIES[value]
        else:
            members |= 1 << value
    if flags & re.IGNORECASE:
        for upper, lower in zip(_UPPER, _LOWER, strict=True):
            if members >> upper & 1 or members >> lower & 1:
                members |= 1 << upper | 1 << lower
    return ALL_BYTES & ~members if negated else members
