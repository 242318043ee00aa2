"""Definitions of kind http: what is refused, with file, key and reason; what is shown."""

from __future__ import annotations

import math
from collections import Counter
from functools import partial
from random import Random

import pytest

from obfsfte.covers import Catalogue, Definition, load_definition
from obfsfte.errors import NotOurs
from tests.covers.definitions import COMMON, KEYS, LENGTHS, NOW, fault_in, fingerprint_of

TEXT = f"""
kind = "http"
{COMMON}
[tickets.number]
pattern = '[0-9a-f]+'
lengths = [32]
[tickets.word]
pattern = '[a-z]+'
lengths = [30]
[fields.sid]
pattern = '[0-9]+'
lengths = [14]
per = "session"
[fields.tag]
pattern = '[0-9]+'
lengths = [4]
per = "message"
[requests.one]
first = '''
GET {{path}}/login?access_token={{token}} HTTP/1.1
Host: {{host}}
'''
poll = '''
GET {{path}}?n={{number}} HTTP/1.1
Host: {{host}}
Cookie: sid={{sid}}; tag={{tag}}
'''
send = '''
POST {{path}}?n={{number}} HTTP/1.1
Host: {{host}}
Cookie: sid={{sid}}
Content-Length: {{length}}
'''
[responses.plain]
first = '''
HTTP/1.1 200 OK
Date: {{date}}
Content-Length: {{length}}
Set-Cookie: sid={{sid}}
'''
next = '''
HTTP/1.1 200 OK
Date: {{date}}
Content-Length: {{length}}
ETag: {{tag}}
'''
"""
DEFINITION = load_definition(TEXT, "x.toml")
COVERS = ["http", "http-api"]


class Talk:
    """Both ends of a conversation."""

    def __init__(self, definition: Definition, seed: str = "", keys=KEYS, random=None) -> None:  # type: ignore[no-untyped-def]
        self.random = random or Random(3)
        self.definition = definition
        self.parameters = {"seed": seed}
        greeting = definition.look(self.parameters).greeting(self.random)
        hello = self.random.randbytes(greeting.record_size(0))
        self.client = greeting.begin(hello, *keys)
        self.request = b"".join(self.client.data_to_send())
        [found] = self.opening(self.request).hellos
        assert found.record == hello
        self.server = found.accept(*keys, 0)

    def opening(self, request: bytes):  # type: ignore[no-untyped-def]
        opening = self.definition.look(self.parameters).opening(self.random)
        opening.hellos = opening.feed(request)  # type: ignore[attr-defined]
        return opening

    def answer(self, size: int = 100) -> bytes:
        self.server.unwrap(b"")
        response = b"".join(self.server.say([bytes(size)], NOW))  # type: ignore[union-attr]
        assert self.client.unwrap(response) == [bytes(size)]
        return response

    def ask(self, *records: bytes) -> bytes:
        request = b"".join(self.client.say(list(records), NOW))  # type: ignore[union-attr]
        opening = self.opening(request)
        assert {*opening.tickets()} & {*self.server.next_tickets()}  # type: ignore[union-attr]
        self.server.resume(opening)  # type: ignore[union-attr]
        return request


def test_a_conversation_shows_what_the_definition_says() -> None:
    talk = Talk(DEFINITION)
    first = talk.answer()
    assert b"\r\nDate: Fri, 15 Jan 2027 08:00:00 GMT\r\n" in first
    sid = first.partition(b"Set-Cookie: ")[2].partition(b"\r\n")[0]
    poll = talk.ask()
    assert b"\r\nCookie: " + sid + b"; tag=" in poll
    second = talk.answer()
    assert b"Set-Cookie" not in second
    send = talk.ask(bytes(70))
    assert send.startswith(b"POST /")
    assert b"\r\nCookie: " + sid + b"\r\n" in send
    assert b"\r\nContent-Length: 73\r\n" in send
    third = talk.answer()
    assert second.partition(b"ETag: ")[2][:4] != third.partition(b"ETag: ")[2][:4]


def test_a_later_request_can_show_the_hello_again() -> None:
    """A browser's cookie comes with each request."""
    cookie = "Cookie: sid={sid}; access_token={token}\n"
    text = TEXT.replace("/login?access_token={token} HTTP/1.1\n", "/login HTTP/1.1\n" + cookie)
    text = text.replace("\nCookie: sid={sid}\n", "\n" + cookie)
    text = text.replace("Cookie: sid={sid}; tag={tag}\n", cookie)
    assert text.count("{token}") == 3
    talk = Talk(load_definition(text, "y.toml"))
    requests = [talk.request]
    for records in ([], [bytes(70)], []):
        talk.answer()
        requests.append(talk.ask(*records))
    lines = [line for each in requests for line in each.split(b"\r\n") if b"Cookie: " in line]
    assert len(lines) == 4
    assert len({*lines}) == 1


def test_the_session_has_other_strings_with_other_keys() -> None:
    polls = set()
    for number in range(10):
        talk = Talk(DEFINITION, keys=(bytes([number]) * 32, KEYS[1]))
        talk.answer()
        polls.add(talk.ask())
    assert len({poll.partition(b"sid=")[2][:14] for poll in polls}) == 10
    assert len({poll.partition(b"n=")[2][:32] for poll in polls}) == 10


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("lengths = [32]", "lengths = [23]", "tickets.number.lengths: 23 is too short: a ticket"),
        ("'[0-9a-f]+'", "'[0-9a-f;]+'", "tickets.number.pattern: ';' cannot be used here"),
        ('per = "session"', 'per = "day"', 'fields.sid.per: must be "bridge" or "session" or'),
        ("fields.sid", "fields.date", "fields.date: this name has another meaning in templates"),
        ("fields.sid", "fields.word", "fields.word: this name has another meaning in templates"),
        ("GET {path}/login", "POST {path}", "requests.one.first: must begin with GET {path} HTTP"),
        ("GET {path}?n", "POST {path}?n", "requests.one.poll: must begin with GET {path} HTTP/1.1"),
        ("POST {path}", "PUT {path}", "requests.one.send: must begin with POST {path} HTTP/1.1"),
        ("={token}", "=1", "requests.one.first: must have one of token in braces, at the end of"),
        ("?n={number}", "?n=1", "requests.one.poll: must have one of number, word in braces"),
        ("?n={number}", "?n={word}", "requests.one.poll: must have the ticket of send, {number}"),
        ("?n={number}", "?n={number}&w={word}", "requests.one.poll: must have one of number, wor"),
        ("Host: {host}", "Content-Length: 0", "requests.one.first: must have no line that frames"),
        (
            "Content-Length: {length}\n'''\n[resp",
            "'''\n[resp",
            "requests.one.send: must have one line",
        ),
        ("Content-Length: {length}\nSet", "Set", "responses.plain.first: must have one line"),
        ("200 OK", "404 OK", "responses.plain.first: must begin with HTTP/1.1 200 OK"),
        ("Date: {date}", "Date: {day}", "responses.plain.first: {day} is not known; known here"),
        ("next = ", "then = ", "responses.plain.next: missing"),
        (
            "Host: {host}\nCookie",
            "Host: {host}" + "x" * 7000 + "\nCookie",
            "requests.one.poll: has",
        ),
        (str(LENGTHS), "[120, 124]", "requests.one.first: 50% of its requests have the same len"),
        ("[responses.plain]", "[responses]\n[other]", "responses: must have one or more"),
        ("[requests.one]", "[requests]\n[other]", "requests: must have one or more"),
        ("[requests.one]", "[requests.one]\nx = 1", "requests.one.x: unknown key"),
        ("[tickets.word]", "[tickets.word]\nx = 1", "tickets.word.x: unknown key"),
        ("[carriers.token]", "[other]\n[carriers.token]", "other: unknown key"),
    ],
)
def test_faults(old: str, new: str, message: str) -> None:
    assert fault_in(TEXT, old, new).startswith(f"x.toml: {message}")


def test_the_fingerprint_is_of_what_both_ends_must_know() -> None:
    same = DEFINITION.fingerprint({})
    assert len(same) == 32
    assert DEFINITION.fingerprint({"host": "x.org", "path": "/y", "seed": "z"}) == same

    changed = partial(fingerprint_of, TEXT)
    assert changed("ETag", "X-Id") == same
    assert changed("for tests", "of tests") == same
    assert changed("access_token", "token") != same
    assert changed("?n=", "?m=") != same
    assert changed("'[0-9a-f]+'", "'[0-9a-z]+'") != same
    assert changed("lengths = [32]", "lengths = [34]") != same
    assert changed("120, 121", "119, 121") != same


def test_a_server_that_has_a_path_refuses_others() -> None:
    talk = Talk(DEFINITION)
    for path, mine in (("/", True), ("/x", False)):
        opening = DEFINITION.look({"path": path}).opening(Random(1))
        if mine:
            assert opening.feed(talk.request)
            continue
        with pytest.raises(NotOurs):
            opening.feed(talk.request)
    own = talk.request.split(b" ")[1].split(b"/login")[0].decode()
    assert DEFINITION.look({"path": own}).opening(Random(1)).feed(talk.request)
    with pytest.raises(NotOurs):
        DEFINITION.look({"path": own[:-1]}).opening(Random(1)).feed(talk.request)


@pytest.mark.parametrize("cover", COVERS)
def test_no_line_is_common_to_all_bridges(cover: str) -> None:
    """Nor a length; only what HTTP itself has in every message."""
    heads = []
    definition = Catalogue().get(cover)
    for seed in range(40):
        talk = Talk(definition, str(seed), random=Random(seed))
        first = talk.answer(100 + seed)
        heads.append((talk.request, talk.ask(bytes(200 + seed)), first))
    for messages in zip(*heads, strict=True):
        assert len({len(message) for message in messages}) > 25
        lines = Counter(
            line
            for message in messages
            for line in {*message.partition(b"\r\n\r\n")[0].split(b"\r\n")}
        )
        often = {line for line, count in lines.items() if count > 30}
        allowed = {b"HTTP/1.1 200 OK", b"Date: Fri, 15 Jan 2027 08:00:00 GMT", b"Accept: */*"}
        assert often <= allowed | {b"Connection: keep-alive", b"Accept-Encoding: gzip, deflate"}


@pytest.mark.parametrize("cover", [*COVERS, "websocket", "websocket-api"])
def test_uris_pass_the_test_of_ccs_2015(cover: str) -> None:
    """Wang et al.: a URI of 239 bytes, or with an entropy of 5.5 bits a byte or more."""
    definition = Catalogue().get(cover)
    for seed in range(150):
        random = Random(seed)
        greeting = definition.look({"seed": str(seed)}).greeting(random)
        hello = random.randbytes(greeting.record_size(0))
        client = greeting.begin(hello, random.randbytes(32), random.randbytes(32))
        requests = [b"".join(client.data_to_send())]
        if definition.takes_turns:
            talk = Talk(definition, str(seed), random=random)
            talk.answer()
            requests += [talk.request, talk.ask(bytes(100))]
        for request in requests:
            uri = request.split(b" ")[1]
            counts = Counter(uri).values()
            entropy = sum(n / len(uri) * math.log2(len(uri) / n) for n in counts)
            assert len(uri) < 120
            assert entropy < 5.2


@pytest.mark.parametrize("cover", COVERS)
def test_no_length_of_first_messages_is_frequent(cover: str) -> None:
    definition = Catalogue().get(cover)
    for seed in ("a", "b", "c", "d", "e"):
        random = Random(seed)
        lengths = Counter()
        for _ in range(400):
            greeting = definition.look({"seed": seed}).greeting(random)
            hello = random.randbytes(greeting.record_size(0))
            client = greeting.begin(hello, random.randbytes(32), random.randbytes(32))
            lengths[len(b"".join(client.data_to_send()))] += 1
        assert max(lengths.values()) < 40
