"""Records in a language: any `size` bytes <-> one string.

With N strings in the language and M = 256**size, the record, read as a big-endian
integer below M, can be put at several ranks, and its *place* says which:

```
 rank  0          M          2M         3M              N
       |----------|----------|----------|--- ... ---|---|
       ^ record   ^ place 1  ^ place 2                ^ not whole: place only for small records
         at place 0

       rank = record + place * M  <  N
```

A record at place 0 always would leave the upper part of the language unused, and its
strings would all begin with the language's smallest bytes. With uniform places all strings
occur. `size` leaves at least one byte of the capacity to the place, so that there are at
least 256: then no string is more likely than another by more than one part in 256.

The place carries nothing, but it is not free either: both ends compute it from a number that
the schedule draws, so an altered string that unwraps to the same record is still noticed.
"""

from __future__ import annotations

from obfsfte.errors import WireError
from obfsfte.regular import Language, NotInLanguage


def size_for(strings: int) -> int:
    """Bytes of the records that so many strings can carry."""
    capacity = strings.bit_length() - 1
    return max(0, capacity // 8 - 1)


class Embedding:
    """A language as a carrier of records of `size` bytes; 0 when it is too small for any."""

    def __init__(self, language: Language) -> None:
        self.language = language
        self.size = size_for(language.size)
        self._modulus = 1 << (8 * self.size)
        self._places, self._more = divmod(language.size, self._modulus)

    def place(self, record: bytes, draw: int) -> int:
        """The place that a drawn number >= 0 gives to the record."""
        return draw % (self._places + (int.from_bytes(record, "big") < self._more))

    def embed(self, record: bytes, draw: int) -> bytes:
        """The string that carries the record at the place that `draw` gives it.

        Raises ValueError unless the record has `size` bytes.
        """
        if len(record) != self.size:
            raise ValueError(f"a record of {self.size} bytes is needed, not {len(record)}")
        value = int.from_bytes(record, "big")
        return self.language.unrank(value + self.place(record, draw) * self._modulus)

    def extract(self, string: bytes) -> tuple[bytes, int]:
        """The record that the string carries, and its place.

        Raises WireError when the string is not in the language.
        """
        try:
            rank = self.language.rank(string)
        except NotInLanguage as error:
            raise WireError("a message is not in the cover's language") from error
        place, value = divmod(rank, self._modulus)
        return value.to_bytes(self.size, "big"), place
