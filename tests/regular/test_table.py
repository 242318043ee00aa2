"""The sparse form: what a language costs in nodes and in memory."""

import re
import tracemalloc

import pytest

from obfsfte.regular import Language, Pattern
from obfsfte.regular.table import Node

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
        # The line before the last two is not joined to them: a second way leads there.
        (rb"X*(?:[a-z]{9}\n)*", 30, 9),
        (b"[a-z]{3,200}", 100, 2),
        (b"[0-9]+:[0-9]+", 100, 1 + 98 + 97 + 1),
    ],
)
def test_nodes_without_a_choice_are_joined(pattern: bytes, length: int, nodes: int) -> None:
    assert len(nodes_of(Language(pattern, length))) == nodes


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
