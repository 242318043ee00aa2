"""The walk through the nodes of a language that gives a string its number, and a number its string.

A string takes one arc from each node that it meets (see table.py). Its rank is the sum of what
each arc adds: the strings through the arcs before it, and for every string of its box that comes
before the part that is read there, the strings that go on from it. Unranking takes the sum apart
again, from its largest term.
"""

from __future__ import annotations

from bisect import bisect_right

from obfsfte.regular.boxes import NotInBox
from obfsfte.regular.table import Node


class NotInLanguage(ValueError):
    """A string that is asked for its rank is not one of the language."""


def unrank(root: Node, number: int) -> bytes:
    """The string that comes after `number` others, of which there are fewer than root.count."""
    texts = []
    node = root
    while node.arcs:
        arc = node.arcs[bisect_right(node.bounds, number)]
        offset, weight, letters, box, node = arc
        place, number = divmod(number - offset, weight)
        texts.append(letters[place] if letters else box.unrank(place))
    return b"".join(texts)


def rank(root: Node, data: bytes) -> int:
    """How many strings come before this one, which has as many bytes as they.

    Raises NotInLanguage, after one pass at most, and tells the first byte with which no string of
    the language goes on.
    """
    terms = []
    node = root
    at = 0
    try:
        while node.arcs:
            which, place = node.first[data[at]]
            offset, weight, letters, box, node = node.arcs[which]
            if letters:
                at += 1
            else:
                end = at + box.length
                place = box.rank(data[at:end])
                at = end
            terms.append(offset + place * weight)
    except KeyError:
        raise _left_at(at) from None
    except NotInBox:
        raise _left_at(at + box.mismatch(data[at:end])) from None
    # From the last, which are the smallest: so the sums stay short for longest.
    return sum(reversed(terms))


def _left_at(at: int) -> NotInLanguage:
    return NotInLanguage(f"no string goes on so at byte {at}")
