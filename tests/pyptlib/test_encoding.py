"""The escapes, each against a decoder that has nothing in common with ours."""

import ast
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from obfsfte.pyptlib.encoding import (
    c_string,
    is_keyword,
    is_transport_name,
    is_word,
    one_line,
    parse_items,
    smethod_args,
    status_value,
)

any_text = st.text()
any_python_text = st.text(
    st.characters()
)  # with lone surrogates, as os.environ has for undecodable bytes
words = st.text(st.characters(min_codepoint=0x21, max_codepoint=0x7E))
tricky_words = st.text(st.sampled_from("ab=:;,\\\"'"))
unit = settings(deadline=None, max_examples=200)


@unit
@given(any_python_text)
def test_one_line_is_one_line_of_printable_ascii(text: str) -> None:
    assert all(" " <= char <= "~" for char in one_line(text))


def test_one_line_leaves_what_can_stay() -> None:
    assert one_line(r'plain "text" \ here') == r'plain "text" \ here'
    assert one_line("a\nb\tc\0d\x1be\x7ff") == r"a\nb\tc\x00d\x1be\x7ff"
    assert one_line("ü€\udc80") == r"\xfc\u20ac\udc80"


@unit
@given(any_text)
def test_c_string_is_what_c_says(text: str) -> None:
    """Python's bytes literals have the escapes of C, and those alone that we write."""
    quoted = c_string(text)
    assert re.fullmatch(r'"(?:[ !#-\[\]-~]|\\["\\nrt]|\\[0-3][0-7][0-7])*"', quoted)
    assert ast.literal_eval("b" + quoted).decode("utf-8") == text.replace("\0", r"\0")


def test_c_string_examples() -> None:
    assert c_string("Connected to bridge A") == '"Connected to bridge A"'
    assert c_string('he said "no"\n\tC:\\') == r'"he said \"no\"\n\tC:\\"'
    assert c_string("ü1") == r'"\303\2741"'
    assert c_string("\udc80") == r'"\134\165\144\143\070\060"'


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("Success", "Success"),
        ("198.51.100.123:1234", "198.51.100.123:1234"),
        ("[2001:db8::1]:443", "[2001:db8::1]:443"),
        ("a=b", "a=b"),
        ("", '""'),
        ("Connection refused", '"Connection refused"'),
        ("it's", '"it\'s"'),
        ('"', r'"\""'),
        ("a\\b", r'"a\\b"'),
        ("a\nb", r'"a\nb"'),
        ("ü", r'"\303\274"'),
    ],
)
def test_status_values_are_quoted_when_they_must_be(value: str, written: str) -> None:
    assert status_value(value) == written


def oracle_split(text: str, separator: str) -> list[str]:
    """Split at bare separators, with a regular expression."""
    return re.findall(rf"(?:^|{separator})((?:\\.|[^\\{separator}])*)", text, re.DOTALL)


def oracle_unescape(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text, flags=re.DOTALL)


@unit
@given(st.dictionaries(words.filter(bool) | tricky_words.filter(bool), words | tricky_words))
def test_smethod_args_read_back(args: dict[str, str]) -> None:
    written = smethod_args(args)
    assert is_word(written or "-")
    pairs = [oracle_split(pair, "=") for pair in oracle_split(written, ",")] if written else []
    assert all(len(pair) == 2 for pair in pairs)
    assert {oracle_unescape(key): oracle_unescape(value) for key, value in pairs} == args


def test_smethod_args_example() -> None:
    args = {"cert": "ab=", "path": "a,b\\c", "empty": ""}
    assert smethod_args(args) == r"cert=ab\=,path=a\,b\\c,empty="
    assert smethod_args({}) == ""


@pytest.mark.parametrize(
    "args", [{"": "v"}, {"k": "a b"}, {"k": "a\nSMETHOD x"}, {"k b": "v"}, {"k": "ü"}, {"k": "\0"}]
)
def test_smethod_args_refuse_what_the_line_cannot_carry(args: dict[str, str]) -> None:
    with pytest.raises(ValueError, match="SMETHOD argument") as refusal:
        smethod_args(args)
    assert one_line(str(refusal.value)) == str(refusal.value)


@unit
@given(
    st.lists(st.tuples(any_text.filter(bool), any_text.filter(bool), any_text), min_size=1),
    st.sampled_from([r"[\\:;=]", r"[\\:;=a-z]", r"[\s\S]"]),
)
def test_items_read_back_however_much_was_escaped(
    items: list[tuple[str, str, str]], escaped: str
) -> None:
    def escape(text: str) -> str:
        return re.sub(f"({escaped})", r"\\\1", text)

    written = ";".join(
        f"{escape(name)}:{escape(key)}={escape(value)}" for name, key, value in items
    )
    assert parse_items(written, ":=", "shape") == items


@unit
@given(st.text(st.sampled_from("ab=:;\\")))
def test_items_agree_with_a_regular_expression(text: str) -> None:
    part = r"((?:\\.|[^\\:;=])+)"
    item = re.compile(rf"{part}:{part}=((?:\\.|[^\\;])*)")
    expected: list[tuple[str, ...]] | None = []
    position = 0
    while text:
        match = item.match(text, position)
        if match is None:
            expected = None
            break
        expected.append(tuple(oracle_unescape(group) for group in match.groups()))
        if match.end() == len(text):
            break
        if text[match.end()] != ";":
            expected = None
            break
        position = match.end() + 1
    if expected is None:
        with pytest.raises(ValueError, match=r"of the form|last backslash"):
            parse_items(text, ":=", "a:b=c")
    else:
        assert parse_items(text, ":=", "a:b=c") == expected


def test_errors_tell_the_place_and_not_the_text() -> None:
    with pytest.raises(ValueError, match="item 2 is not of the form a=b") as error:
        parse_items("key=SECRET;SECRET2", "=", "a=b")
    assert "SECRET" not in str(error.value)
    with pytest.raises(ValueError, match="nothing follows the last backslash"):
        parse_items("key=SECRET\\", "=", "a=b")


@pytest.mark.parametrize("name", ["fte", "_", "obfs4", "A_b9"])
def test_c_identifiers(name: str) -> None:
    assert is_transport_name(name)


@pytest.mark.parametrize("name", ["", "9a", "a-b", "a b", "a\n", "fté", "a.b", "*"])
def test_what_is_no_c_identifier(name: str) -> None:
    assert not is_transport_name(name)


def test_keywords() -> None:
    assert all(map(is_keyword, ["ADDRESS", "ENV-ERROR", "a_1"]))
    assert not any(map(is_keyword, ["", "a b", "a=b", "ü", "a\n", "٣"]))
