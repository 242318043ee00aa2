"""Regular languages as number systems: pattern -> automaton -> counts -> rank and unrank.

A `Language` is the strings of one exact length that match a `Pattern`. They are in
lexicographic order, by byte, and `rank` and `unrank` are the bijection between them and the
integers 0..size-1. The way of a pattern through the modules:

```
pattern.py     bytes of a regular expression -> syntax tree -> nfa.py
automaton.py   nondeterministic automaton -> the minimal deterministic one
boxes.py       automaton -> hubs joined by boxes: its unbranched paths taken as one step
table.py       hubs x remaining length -> the nodes that lie on some string, and their counts
ranking.py     the walks through those nodes that are rank and unrank
prefix.py      the walk that follows a string as it comes in
kernel.py      the same walks in C (_kernel.c), and the layout of the nodes for them
forms.py       which of the two forms runs
digits.py      what rank and unrank do within a box: text over one alphabet <-> number
language.py    all of that behind one object
```

No cryptography, no I/O, no state beyond the objects themselves.
"""

from obfsfte.regular.language import EmptyLanguage, Language, RankOutOfRange
from obfsfte.regular.pattern import Pattern, PatternError
from obfsfte.regular.prefix import Matcher, Prefix
from obfsfte.regular.ranking import NotInLanguage

__all__ = [
    "EmptyLanguage",
    "Language",
    "Matcher",
    "NotInLanguage",
    "Pattern",
    "PatternError",
    "Prefix",
    "RankOutOfRange",
]
