"""How a server recognises a classic client: by the first cell, in one of many languages.

The client names the format that it speaks only inside its first cell, so the server tries the
request language of every format that it has enabled. A string of one may well be a string
of another (of `hex`, `alphanumeric`, `base64` and `dummy`, say), and only a cell that
authenticates decides: each candidate lives and fails by itself.

To a stranger the server owes little work: a candidate costs one step of an automaton per
byte until its slice is complete, and the bytes end most of them at once. Only a whole
string of the language is ranked, once, and the header in it tells a stranger's.
"""

from __future__ import annotations

import functools
import os
from collections.abc import Iterable, Mapping, Sequence

from obfsfte.classic.cells import CellCipher, CellDecoder, CellEncoder, Random
from obfsfte.classic.channels import ClassicChannel
from obfsfte.classic.keys import ClassicKey
from obfsfte.classic.negotiation import NEGOTIATION_LENGTH, Negotiation
from obfsfte.classic.releases import Format, Release
from obfsfte.errors import NotOurs, WireError
from obfsfte.regular import Language, Prefix

#: What a first cell of one language may name, and the language to answer in.
Answers = Mapping[str, Format]


@functools.cache
def _request_languages(releases: tuple[Release, ...]) -> Mapping[Language, Answers]:
    """The distinct request languages of the releases. A name means the same in each release."""
    languages: dict[Language, dict[str, Format]] = {}
    for release in releases:
        for request in release.requests():
            answers = languages.setdefault(request.language(), {})
            answers[request.pair_name] = release.response_to(request)
    return languages


class _Candidate:
    """One language that the connection may have opened with, and the bytes so far in it."""

    def __init__(self, language: Language, answers: Answers, cipher: CellCipher) -> None:
        self._answers = answers
        self._matcher = language.matcher()
        self._unmatched = language.length
        self.decoder = CellDecoder(language, cipher)

    def feed(self, data: bytes) -> Format | None:
        """The format to answer in, once the first cell is whole. Raises WireError."""
        if self._unmatched:
            head = data[: self._unmatched]
            self._unmatched -= len(head)
            if self._matcher.feed(head) is Prefix.IMPOSSIBLE:
                raise NotOurs("not of the language")
        self.decoder.feed(data)
        cell = self.decoder.next_cell(at_most=NEGOTIATION_LENGTH)
        if cell is None:
            return None
        try:
            return self._answers[Negotiation.from_bytes(cell).name]
        except KeyError:
            raise NotOurs("the client names another format than it speaks") from None


class ClassicOpening:
    """An `obfsfte.channel.Opening`: one connection's first bytes, tried in every format.

    The first opening of a process compiles the languages of its releases, which takes
    longer than a connection should wait: make one when the server starts.
    """

    def __init__(
        self, releases: Sequence[Release], key: ClassicKey, *, random: Random = os.urandom
    ) -> None:
        self._cipher = CellCipher(key)
        self._random = random
        # Made as they are tried: most fail at the first byte, and many connections send none.
        self._candidates: Iterable[_Candidate] = (
            _Candidate(language, answers, self._cipher)
            for language, answers in _request_languages(tuple(releases)).items()
        )

    def feed(self, data: bytes) -> ClassicChannel | None:
        """Take the connection's next bytes; the channel, once a first cell authenticates.

        Raises NotOurs when no enabled format is left that could start like this. Until then
        it holds less than one slice and one negotiation for each candidate left.
        """
        alive = []
        for candidate in self._candidates:
            try:
                answer = candidate.feed(data)
            except WireError:
                continue
            if answer is not None:
                encoder = CellEncoder(answer.language(), self._cipher, self._random)
                return ClassicChannel(encoder, candidate.decoder)
            alive.append(candidate)
        self._candidates = alive
        if not alive:
            raise NotOurs("no first cell of any enabled classic format")
        return None
