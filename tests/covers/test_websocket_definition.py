"""Definitions of kind websocket: what is refused, with file, key and reason; parameters."""

from functools import partial
from random import Random

import pytest

from obfsfte.covers import Catalogue, load_definition
from obfsfte.errors import ConfigError
from tests.covers.definitions import COMMON, KEYS, LENGTHS, NOW, fault_in, fingerprint_of

TEXT = f"""
kind = "websocket"
{COMMON}
[fields.id]
pattern = '[0-9]+'
lengths = [4]
per = "connection"
[fields.agent]
pattern = '[12]'
lengths = [1]
per = "bridge"
[fields.brands]
follows = "agent"
values = {{ 1 = '"One"; v="1"', 2 = '"Two"' }}
[requests]
one = '''
GET {{path}}?id={{id}}&access_token={{token}} HTTP/1.1
Host: {{host}}
User-Agent: x/{{agent}}
[https] Brands: {{brands}}
[http] Accept-Encoding: gzip
[https] Accept-Encoding: br
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Key: {{key}}
Sec-WebSocket-Version: 13
Sec-WebSocket-Protocol: mqtt, binary
'''
[responses]
first = '''
HTTP/1.1 101 Switching Protocols
Upgrade: websocket
Connection: Upgrade
Sec-WebSocket-Accept: {{accept}}
X-Request-Id: {{id}}
'''
"""
DEFINITION = load_definition(TEXT, "x.toml")


def test_the_hello_in_a_query_and_a_subprotocol() -> None:
    greeting = DEFINITION.look({}).greeting(Random(1))
    record = Random(2).randbytes(greeting.record_size(0))
    client = greeting.begin(record, *KEYS)
    [hello] = DEFINITION.look({}).opening(Random(1)).feed(b"".join(client.data_to_send()))
    assert hello.record == record
    head = b"".join(hello.accept(*KEYS, NOW).data_to_send())
    assert head.endswith(b"\r\nSec-WebSocket-Protocol: mqtt\r\n\r\n")
    assert client.unwrap(head) == []
    assert client.at_boundary


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("'[A-Za-z0-9]+'", "'[A-Za-z0-9 ]+'", "carriers.token.pattern: ' ' cannot be used here"),
        ("'[A-Za-z0-9]+'", "'[A-Za-z0-9;]+'", "carriers.token.pattern: ';' cannot be used here"),
        ("'[A-Za-z0-9]+'", "'[0-9]+'", "carriers.token.lengths: 120 is too short: it must carry"),
        ("'[A-Za-z0-9]+'", "'('", "carriers.token.pattern: "),
        ("'[A-Za-z0-9]+'", "'(?:ab)+'", "carriers.token.lengths: "),
        (str(LENGTHS), "[120, 124]", "requests.one: 50% of its requests have the same length, and"),
        (str(LENGTHS), "[]", "carriers.token.lengths: needs 1 to 64 lengths, not 0"),
        ("[12, 14]", "[12, 12]", "fields.host.lengths: 12 is there twice"),
        ("[12, 14]", "[0]", "fields.host.lengths: 0 is not from 1 to 4096"),
        ("'[0-9]+'", "'[0-9\\n]+'", "fields.id.pattern: '\\n' cannot be used here"),
        ('per = "connection"', 'per = "day"', 'fields.id.per: must be "bridge" or "connection"'),
        ('per = "connection"', "", "fields.id.per: missing"),
        (
            'follows = "agent"',
            'follows = "id"',
            "fields.brands.follows: must be the name of a field",
        ),
        ('follows = "agent"', 'follows = "brands"', "fields.brands.follows: must be the name of "),
        (
            'follows = "agent"',
            'follows = "agent"\nper = "bridge"',
            "fields.brands.per: unknown",
        ),
        ("2 = '\"Two\"'", "3 = '4'", "fields.brands.values.2: missing: agent can be that"),
        ("'\"Two\"'", "' '", "fields.brands.values.2: must be printable ASCII, without blanks"),
        (
            "[https] Brands",
            "[ftp] Brands",
            "requests.one: '[ftp] Brands: {brands}': only [http] ",
        ),
        ("[https] Brands", "[https]Brands", "requests.one: '[https]Brands: {brands}': only [http]"),
        (
            "[https] Brands: {brands}",
            "Brands: {brand}",
            "requests.one: {brand} is not known; known",
        ),
        ("Sec-WebSocket-Version", "[https] Sec-WebSocket-Version", "requests.one: does not open a"),
        ("Sec-WebSocket-Version", "[http] Sec-WebSocket-Version", "requests.one: does not open a"),
        ("fields.host", "fields.hast", "fields.host: missing"),
        ("fields.id", "fields.key", "fields.key: this name has another meaning in templates"),
        ("fields.id", "fields.token", "fields.token: this name has another meaning"),
        (
            "id={id}",
            "id={ip}",
            "requests.one: {ip} is not known; known here: agent, brands, ",
        ),
        ("GET {path}", "GET /x", "requests.one: must begin with GET {path} HTTP/1.1"),
        ("GET {path}", "PUT {path}", "requests.one: must begin with GET {path} HTTP/1.1"),
        ("={token}", "=1", "requests.one: must have one of token in braces, at the end of"),
        ("={token}", "={token}{token}", "requests.one: must have one of token"),
        ("={token}", "={token}x", "requests.one: must have one of token"),
        ("={token}", "={id}{token}", "requests.one: must have one of token"),
        ("mqtt", "m\u00f6", "requests.one: must be lines of printable ASCII"),
        ("Host: {host}\n", "Host: {host}\n\n", "requests.one: must be lines of printable ASCII"),
        ("Host: {host}", "Host: {host}" + "x" * 7000, "requests.one: has up to "),
        ("Upgrade: websocket\nConnection: Upgrade\nSec-WebSocket-Key: {key}", "X: y", "requests."),
        ("101 Switching", "200 Switching", "responses.first: must begin with HTTP/1.1 101"),
        ("{accept}", "{host}", "requests.one: does not open a WebSocket with the response first: "),
        ("{accept}", "{key}", "responses.first: {key} is not known"),
        ("Version: 13", "Version: 12", "requests.one: does not open a WebSocket with the response"),
        ("[responses]\nfirst", "[responses]\n[other]\nfirst", "responses: must have one or more"),
        ("[requests]\none", "[requests]\n[other]\none", "requests: must have one or more"),
        ("[carriers.token]", "[carriers.token]\nx = 1", "carriers.token.x: unknown key"),
        ("[requests]", "x = 1\n[requests]", "fields.brands.x: unknown key"),
        ("[carriers.token]", "[other]\n[carriers.token]", "other: unknown key"),
    ],
)
def test_faults(old: str, new: str, message: str) -> None:
    assert fault_in(TEXT, old, new).startswith(f"x.toml: {message}")


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("host", "a b"),
        ("host", ""),
        ("host", "a\r\nX: y"),
        ("host", "example.org:"),
        ("path", "ws"),
        ("path", "/a?b=c"),
        ("path", "/a#b"),
        ("path", "/a b"),
        ("path", "/ä"),
        ("sni", "x"),
    ],
)
def test_parameters_that_cannot_be_used(key: str, value: str) -> None:
    for use in (DEFINITION.fingerprint, DEFINITION.look):
        with pytest.raises(ConfigError, match=f"^{key}="):
            use({key: value})


def test_the_scheme_chooses_lines_and_a_field_follows_another() -> None:
    heads = {}
    for scheme in ("http", "https"):
        for seed in "abcdefgh":
            parameters = {"scheme": scheme, "seed": seed}
            greeting = DEFINITION.look(parameters).greeting(Random(1))
            cover = greeting.begin(bytes(greeting.record_size(0)), *KEYS)
            head = b"".join(cover.data_to_send())
            heads[scheme, head.partition(b"User-Agent: ")[2].split(b"\r\n")[0]] = head
    assert heads.keys() == {(a, b) for a in ("http", "https") for b in (b"x/1", b"x/2")}
    for (scheme, agent), head in heads.items():
        expected = [b"User-Agent: " + agent, b"Accept-Encoding: gzip"]
        if scheme == "https":
            brands = b'Brands: "One"; v="1"' if agent == b"x/1" else b'Brands: "Two"'
            expected = [expected[0], brands, b"Accept-Encoding: br"]
        assert b"\r\n".join([*expected, b"Upgrade: websocket"]) in head


def test_any_text_is_a_seed() -> None:
    requests = set()
    for seed in ("", "a", "ä b", "\udc80", "x" * 10_000):
        greeting = DEFINITION.look({"seed": seed}).greeting(Random(1))
        cover = greeting.begin(bytes(greeting.record_size(0)), *KEYS)
        requests.add(b"".join(cover.data_to_send()))
    assert len(requests) == 5


@pytest.mark.parametrize("host", ["example.org", "10.0.0.1:81", "[::1]:8080"])
def test_hosts(host: str) -> None:
    greeting = DEFINITION.look({"host": host}).greeting(Random(1))
    cover = greeting.begin(bytes(greeting.record_size(0)), *KEYS)
    assert f"Host: {host}\r\n".encode() in b"".join(cover.data_to_send())


def test_the_fingerprint_is_of_what_both_ends_must_know() -> None:
    """What is only shown may differ: browsers change, and parameters are the client's."""
    same = DEFINITION.fingerprint({})
    assert len(same) == 32
    assert DEFINITION.fingerprint({"host": "x.org", "path": "/y", "seed": "z"}) == same

    changed = partial(fingerprint_of, TEXT)
    assert changed("mqtt, binary", "soap") == same
    assert changed("X-Request-Id", "X-Id") == same
    assert changed("for tests", "of tests") == same
    assert changed("access_token", "token") != same
    assert changed("'[A-Za-z0-9]+'", "'[A-Za-z0-8]+'") != same
    assert changed("120, 121", "119, 121") != same


def test_facts() -> None:
    text = "\n".join(DEFINITION.facts())
    assert "hello in query, access_token=...: 24 lengths, 120 to 143 bytes, for 88 to 105" in text
    assert "Ex5" in text


def test_the_built_in_ones_understand_no_other() -> None:
    catalogue = Catalogue()
    assert catalogue.get("websocket").fingerprint({}) != catalogue.get("websocket-api").fingerprint(
        {}
    )
