"""The sparse form: what a language costs in nodes and in memory."""

import re
import tracemalloc
from collections import defaultdict

import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from obfsfte.covers import Catalogue
from obfsfte.covers.http_definition import HttpDefinition
from obfsfte.covers.websocket_definition import WebSocketDefinition
from obfsfte.regular import EmptyLanguage, Language, Pattern, PatternError
from obfsfte.regular.table import Node
from tests.regular.patterns import spelled_patterns

# Three fields of any length among 400 bytes of literal text.
REQUEST = (
    rb"GET /[a-z0-9/]+ HTTP/1\.1\r\nHost: www\.example\.com\r\nX-Padding: %b\r\n"
    rb"Cookie: id=[a-zA-Z0-9]+\r\nX-Padding: %b\r\nUser-Agent: [!-~]+\r\n\r\n"
) % (b"x" * 150, b"y" * 159)


def nodes_of(language: Language) -> list[Node]:
    seen = {id(language.root): language.root}
    for node in (queue := [language.root]):
        for *_, target in node.arcs:
            if id(target) not in seen:
                seen[id(target)] = target
                queue.append(target)
    return queue


def test_literal_text_costs_no_nodes() -> None:
    literal = sum(
        len(moves) == 1 and moves[0][0].bit_count() == 1
        for moves in Pattern(REQUEST).automaton.moves
    )
    assert literal == 400
    language = Language(REQUEST, 700)
    # At most a node for each of the three fields and each length that may be left of them; with
    # every state at every length it were 400 times as many as there are lengths.
    assert len(nodes_of(language)) <= 3 * 300 + 2


def test_a_large_request_takes_little_memory() -> None:
    tracemalloc.start()
    try:
        language = Language(REQUEST, 700)
        _, peak = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert peak < 20 << 20
    string = language.unrank(language.size // 2)
    assert re.fullmatch(REQUEST, string)


@pytest.mark.parametrize(
    ("pattern", "length", "nodes"),
    [
        (b"", 0, 1),
        (b"GET / HTTP/1.0", 14, 2),
        (b"[a-z]*", 5000, 2),
        (b"([a-z][0-9])*", 64, 2),
        # One field whose length follows from the whole: there is no choice anywhere.
        (rb"GET /[a-z]+ HTTP/1\.1", 256, 2),
        # A choice where 30, 20 and 10 bytes are left.
        (rb"X*(?:[a-z]{9}\n)*", 30, 4),
        (b"[a-z]{3,200}", 100, 2),
        # A choice where 99 to 3 bytes are left.
        (b"[0-9]+:[0-9]+", 100, 1 + 97 + 1),
        # A choice of the padding, and none before it.
        (rb"(?:[A-Za-z0-9+/]{4})*(?:[A-Za-z0-9+/]{2}==|[A-Za-z0-9+/]{3}=)?", 240, 3),
        # A box ends where it would have more than 256 sets in turn.
        (b"(?:[a-z][0-9])*", 1000, 5),
    ],
)
def test_nodes_without_a_choice_are_joined(pattern: bytes, length: int, nodes: int) -> None:
    assert len(nodes_of(Language(pattern, length))) == nodes


@pytest.mark.parametrize(
    ("pattern", "length", "arcs"),
    [
        (b"xa(?:bc)*|yabc", 4, 1),
        (b"x[0-9](?:[0-9]{2})*|y[0-9]{3}", 4, 1),
        (b"x(?:ab|ba)c*|y(?:ab|ba)(?:cc)*", 5, 1 + 2),
    ],
)
def test_what_only_longer_strings_tell_apart_is_one(pattern: bytes, length: int, arcs: int) -> None:
    assert sum(len(node.arcs) for node in nodes_of(Language(pattern, length))) == arcs


@pytest.mark.parametrize("cover", ["websocket", "websocket-api", "http", "http-api"])
def test_base64_of_one_length_is_one_box(cover: str) -> None:
    definition = Catalogue().get(cover)
    assert isinstance(definition, HttpDefinition | WebSocketDefinition)
    for carrier in definition.carriers.values():
        for embedding in carrier.embeddings:
            ((*_, box, target),) = embedding.language.root.arcs
            assert box.size == embedding.language.size
            assert target.arcs == []


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from([b"(?:%b)*(?:%b)*", b"a(?:%b)b*|(?:%b)b(?:bb)*"]),
    spelled_patterns,
    spelled_patterns,
    st.integers(1, 6),
)
def test_there_are_no_more_choices_than_there_must_be(
    form: bytes, one: bytes, other: bytes, length: int
) -> None:
    """Nodes with a choice are the places from which strings go on in different ways."""
    pattern = form % (one, other)
    try:
        language = Language(pattern, length)
    except (EmptyLanguage, PatternError):  # such as two groups of one name
        assume(False)
    strings = [language.unrank(number) for number in range(language.size)]
    endings: defaultdict[bytes, set[bytes]] = defaultdict(set)
    for string in strings:
        for at in range(length + 1):
            endings[string[:at]].add(string[at:])
    followed = {prefix: frozenset(rest) for prefix, rest in endings.items()}
    after: defaultdict[frozenset[bytes], set[frozenset[bytes]]] = defaultdict(set)
    for prefix, rest in followed.items():
        if prefix:
            after[followed[prefix[:-1]]].add(rest)
    choices = [node for node in nodes_of(language) if len(node.arcs) > 1]
    assert len(choices) == sum(len(ways) > 1 for ways in after.values())


def test_every_node_lies_on_some_string() -> None:
    for node in nodes_of(Language(rb"(?:[a-z]{1,5}\.){1,3}(?:com|org)", 17)):
        assert node.count > 0
        assert node.count == sum(weight * box.size for _, weight, _, box, _ in node.arcs) or (
            not node.arcs and node.count == 1
        )


def test_dropping_a_long_language_does_not_exhaust_the_stack() -> None:
    language = Language(rb"([a-z]+ )+[a-z]+", 3000)
    assert language.size > 0
    del language
