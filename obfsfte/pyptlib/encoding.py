r"""The escapes of pt-spec. Four grammars, one character set each.

    TOR_PT_SERVER_TRANSPORT_OPTIONS   fte:path=/a\;b;fte:note=x\:y     backslash
    arguments in a SOCKS login        cert=AbC=;path=/a\;b             backslash
    SMETHOD ... ARGS:                 cert=AbC\=,path=/a\,b            backslash
    LOG and STATUS values             MESSAGE="he said \"no\"\n"       C string

Parsing is a little wider than the specification, as tor is when it writes: an '=' or ':'
after the first one stands for itself. Writing escapes all that the specification lists.

Errors never quote a value: options and arguments are where keys travel.
"""

from __future__ import annotations

from collections.abc import Mapping

_C_ESCAPES = {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}


def is_word(text: str) -> bool:
    """Whether `text` can stand between two spaces of a line: printable ASCII, no blank."""
    return bool(text) and all("!" <= char <= "~" for char in text)


def is_keyword(text: str) -> bool:
    """Whether `text` is a Keyword of pt-spec 3.3: ASCII letters, digits, '-' and '_'."""
    return text.isascii() and text.replace("-", "0").replace("_", "0").isalnum()


def is_transport_name(text: str) -> bool:
    """Whether `text` is a C identifier, as pt-spec 3.1 demands of transport names."""
    return text.isascii() and text.isidentifier()


def one_line(text: str) -> str:
    r"""`text` as printable ASCII: anything else becomes \n, \x1b, \u20ac and so on."""
    return "".join(
        char if " " <= char <= "~" else char.encode("unicode_escape").decode("ascii")
        for char in text
    )


def c_string(text: str) -> str:
    r"""`text` as the quoted CString of control-spec section 2.1.1, in UTF-8.

    Octal is the only numeric escape that the specification has. tor drops a whole line
    for one NUL in it, so a NUL is written as the two characters \0.
    """
    escaped = []
    for char in text.replace("\0", "\\0"):
        if char in _C_ESCAPES:
            escaped.append(_C_ESCAPES[char])
        elif " " <= char <= "~":
            escaped.append(char)
        else:
            escaped += (f"\\{byte:03o}" for byte in char.encode("utf-8", "backslashreplace"))
    return f'"{"".join(escaped)}"'


def status_value(text: str) -> str:
    """`text` bare where that is unambiguous, otherwise as a C string."""
    return text if is_word(text) and not set(text) & set("\"'\\") else c_string(text)


def escape(text: str, specials: str) -> str:
    """`text` with a backslash before each backslash and each character of `specials`."""
    return "".join(f"\\{char}" if char == "\\" or char in specials else char for char in text)


def parse_items(text: str, delimiters: str, shape: str) -> list[tuple[str, ...]]:
    """Split ';'-separated items, each at `delimiters` in their order, and unescape the parts.

    `shape` is what an item should look like, for the error. With delimiters ":=",
    "fte:k=v;fte:k2=v2" gives [("fte", "k", "v"), ("fte", "k2", "v2")]. All parts but the
    last must not be empty. Raises ValueError.
    """
    items: list[tuple[str, ...]] = []
    position = 0
    while text:
        parts = []
        for delimiter in delimiters:
            part, position = _until(text, position, delimiters + ";")
            if not part or text[position : position + 1] != delimiter:
                raise ValueError(f"item {len(items) + 1} is not of the form {shape}")
            parts.append(part)
            position += 1
        last, position = _until(text, position, ";")
        items.append((*parts, last))
        if position == len(text):
            break
        position += 1
    return items


def _until(text: str, start: int, stops: str) -> tuple[str, int]:
    """The unescaped text from `start` to the first bare character of `stops`, and its place."""
    unescaped = ""
    while True:
        places = [place for stop in (*stops, "\\") if (place := text.find(stop, start)) >= 0]
        end = min(places, default=len(text))
        unescaped += text[start:end]
        if text[end : end + 1] != "\\":
            return unescaped, end
        if end + 1 == len(text):
            raise ValueError("nothing follows the last backslash")
        unescaped += text[end + 1]
        start = end + 2


def smethod_args(args: Mapping[str, str]) -> str:
    """`args` for the ARGS option of an SMETHOD line: "k=v,k2=v2".

    tor splits that line at blanks and copies the arguments into the bridge's extra-info
    document, so nothing but printable ASCII without blanks can be carried: ValueError.
    """
    pairs = []
    for key, value in args.items():
        if not is_word(key) or not is_word(value or "-"):
            raise ValueError(
                f"SMETHOD argument {one_line(key)!r}: only printable ASCII without blanks"
                " can be written, in a key that is not empty"
            )
        pairs.append(f"{escape(key, '=,')}={escape(value, '=,')}")
    return ",".join(pairs)
