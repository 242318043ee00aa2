"""Heads with gaps, and how they are filled."""

from __future__ import annotations

from random import Random

from obfsfte.covers.template_fields import Field, Strings
from obfsfte.covers.templates import Head, Template
from obfsfte.regular import Language

TEMPLATE = Template("one", "GET {a}?x={b}&y={a} HTTP/1.1\nHost: 100%s\nETag: {b}{c}\n")
A, C = b"1", b"{c}"
B = Field("b", Strings(Language.several("[a-z]+", [8, 12])), "message")


def test_gaps_are_filled_in_any_order() -> None:
    head = Head.of(TEMPLATE)
    expected = b"GET 1?x=2&y=1 HTTP/1.1\r\nHost: 100%s\r\nETag: 2{c}\r\n\r\n"
    strings = {"a": A, "b": b"2", "c": C}
    assert head.render(Random(), strings) == expected
    for name in strings:
        rest = {key: value for key, value in strings.items() if key != name}
        part = head.filled({name: strings[name], "other": b"?"})
        assert name not in part.gaps
        assert part.render(Random(), rest) == expected
        assert part.filled(rest).render(Random(), {}) == expected
    assert head.gaps == ("a", "b", "a", "b", "c")


def test_each_message_has_its_own() -> None:
    head = Head.of(TEMPLATE, [B]).filled({"a": A, "c": C})
    random = Random(1)
    seen = set()
    for _ in range(50):
        text = head.render(random, {}).decode()
        value = text.partition("?x=")[2].partition("&")[0]
        assert text == f"GET 1?x={value}&y=1 HTTP/1.1\r\nHost: 100%s\r\nETag: {value}{{c}}\r\n\r\n"
        seen.add(value)
    assert len(seen) == 50
    assert {*map(len, seen)} == {8, 12}
