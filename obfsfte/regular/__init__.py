"""Regular languages as number systems: pattern -> automaton -> counts -> rank and unrank.

A `Language` is the strings of one exact length that match a `Pattern`. They are in
lexicographic order, by byte, and `rank` and `unrank` are the bijection between them and the
integers 0..size-1. The way of a pattern through the modules:

```
pattern.py     bytes of a regular expression -> syntax tree -> NFA
automaton.py   NFA -> minimal DFA, trimmed
boxes.py       minimal DFA -> hubs joined by boxes: its unbranched paths taken as one step
table.py       hubs x remaining length -> the nodes that lie on some string, and their counts
language.py    the walk through those nodes: rank, unrank, and what is known of a prefix
digits.py      strings over one alphabet <-> numbers: what rank and unrank do in a box
```

No cryptography, no I/O, no state beyond the objects themselves.
"""

from obfsfte.regular.language import (
    EmptyLanguage,
    Language,
    Matcher,
    NotInLanguage,
    Prefix,
    RankOutOfRange,
)
from obfsfte.regular.pattern import Pattern, PatternError

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
