"""What a censor who reads the heads of a session could hold against each other.

Each check is one that real clients and servers pass always, for some tens of bridges of each of the
built-in covers that show HTTP, on sites with TLS and without.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from random import Random
from urllib.parse import unquote_to_bytes, urlsplit

import attrs
import pytest

from obfsfte.covers import Catalogue
from obfsfte.covers.http_fields import http_date
from obfsfte.covers.turns import LONGEST_PAUSE
from tests.covers.definitions import KEYS, NOW

BRIDGES = 60
COVERS = ["http", "http-api", "websocket", "websocket-api"]
CATALOGUE = Catalogue()


@attrs.frozen
class Head:
    """A message's first line and its fields, by their names in lower case."""

    line: str
    fields: Mapping[str, str]

    @classmethod
    def of(cls, message: bytes) -> Head:
        line, *fields = message.partition(b"\r\n\r\n")[0].decode("ascii").split("\r\n")
        pairs = [(name.lower(), value) for name, _, value in (f.partition(": ") for f in fields)]
        assert len(dict(pairs)) == len(pairs), "a field is there twice"
        return cls(line, dict(pairs))

    @property
    def cookies(self) -> set[str]:
        return {*self.fields.get("cookie", "").split("; ")} - {""}


@attrs.frozen
class Session:
    """Its requests and its responses, in turns."""

    scheme: str
    requests: list[Head]
    responses: list[Head]


def held(cover: str, scheme: str, seed: int) -> Session:
    """A session of a bridge, with data and without."""
    definition, random = CATALOGUE.get(cover), Random(seed)
    parameters = {"seed": str(seed), "scheme": scheme}
    keys = [random.randbytes(len(key)) for key in KEYS]
    greeting = definition.look(parameters).greeting(random)
    client = greeting.begin(random.randbytes(greeting.record_size(74)), *keys)
    requests = [b"".join(client.data_to_send())]
    [hello] = definition.look(parameters).opening(random).feed(requests[0])
    server = hello.accept(*keys, NOW)
    if not definition.takes_turns:
        responses = [b"".join(server.data_to_send())]
    else:
        responses = []
        server.unwrap(b"")
        for size in (0, 5000, 0, 300):
            responses.append(b"".join(server.say([random.randbytes(700)], NOW)))  # type: ignore[union-attr]
            client.unwrap(responses[-1])
            size = size or (70 if client.needs_record else 0)  # type: ignore[union-attr]
            records = [random.randbytes(size)] if size else []
            requests.append(b"".join(client.say(records, NOW)))  # type: ignore[union-attr]
            opening = definition.look(parameters).opening(random)
            opening.feed(requests[-1])
            server.resume(opening)  # type: ignore[union-attr,arg-type]
            server.unwrap(b"")
        responses.append(b"".join(server.say([random.randbytes(70)], NOW)))  # type: ignore[union-attr]
    return Session(scheme, [*map(Head.of, requests)], [*map(Head.of, responses)])


@cache
def sessions(cover: str) -> list[Session]:
    return [
        held(cover, scheme, seed) for scheme in ("http", "https") for seed in range(BRIDGES // 2)
    ]


@pytest.fixture(params=COVERS)
def those(request: pytest.FixtureRequest) -> list[Session]:
    return sessions(request.param)


def heads(those: list[Session]) -> Iterator[Head]:
    for session in those:
        yield from session.requests + session.responses


def test_a_session_is_of_one_client_and_one_server(those: list[Session]) -> None:
    for session in those:
        for of, names in (
            (session.requests, ("host", "user-agent", "accept-language", "accept-encoding")),
            (session.responses, ("server", "via", "content-type", "cache-control")),
        ):
            for name in names:
                assert len({head.fields.get(name) for head in of}) == 1, name
            # The same client sends its fields in the same order each time.
            for one in of:
                for other in of:
                    common = [name for name in one.fields if name in other.fields]
                    if one.line.split()[0] == other.line.split()[0]:
                        assert common == [name for name in other.fields if name in one.fields]


def test_cookies_stay(those: list[Session]) -> None:
    """No server of ours sets or deletes any: what the first request has is all, and in each."""
    for session in those:
        first = session.requests[0].cookies
        for head in session.requests:
            assert head.cookies == first
        for head in session.responses:
            assert "set-cookie" not in head.fields


def test_origin_and_referer_are_of_the_site(those: list[Session]) -> None:
    for session in those:
        for head in session.requests:
            site = f"{session.scheme}://{head.fields['host']}"
            assert head.fields.get("origin", site) == site
            assert head.fields.get("referer", f"{site}/").startswith(f"{site}/")
            if head.line.startswith("POST ") and "referer" in head.fields:
                assert "origin" in head.fields


def test_browsers_say_more_with_tls_alone(those: list[Session]) -> None:
    for session in those:
        for head in session.requests:
            is_browser = "Mozilla" in head.fields.get("user-agent", "")
            secure = session.scheme == "https"
            if is_browser:
                assert ("zstd" in head.fields["accept-encoding"]) == secure
            told = {name for name in head.fields if re.match("sec-(fetch|ch)-", name)}
            assert secure or not told
            if is_browser and secure and "upgrade" not in head.fields:
                assert {"sec-fetch-dest", "sec-fetch-mode", "sec-fetch-site"} <= told


def test_nothing_is_claimed_of_a_body_that_it_is_not(those: list[Session]) -> None:
    """Bodies are random bytes: of a type that nobody knows, not compressed, for no cache."""
    for head in heads(those):
        assert re.fullmatch(
            r"application/vnd\.[a-z0-9.+]+", head.fields.get("content-type", "application/vnd.x")
        )
        assert head.fields.keys().isdisjoint(
            {"content-encoding", "etag", "last-modified", "expires"}
        )
        assert not [name for name in head.fields if name.startswith("if-")]


def test_a_type_that_is_asked_for_is_the_one_that_comes(those: list[Session]) -> None:
    for session in those:
        for head in session.requests:
            accepted = head.fields.get("accept", "*/*")
            assert accepted in ("*/*", session.responses[0].fields.get("content-type"))


def test_percent_signs_and_times_make_sense(those: list[Session]) -> None:
    for head in heads(those):
        text = " ".join([head.line, *head.fields.values()])
        for sequence in re.findall("%.{0,2}", text):
            assert unquote_to_bytes(sequence) != sequence.encode(), sequence
        # Ten digits that begin so are seconds since 1970.
        assert not re.search(r"(?<![0-9a-f])1[78][0-9]{8}(?![0-9a-f])", text)
        assert head.fields.get("date", http_date(NOW).decode()) == http_date(NOW).decode()


def test_connections_are_kept_for_as_long_as_is_said(those: list[Session]) -> None:
    for head in heads(those):
        for seconds in re.findall(r"timeout=(\d+)", head.fields.get("keep-alive", "")):
            assert int(seconds) > LONGEST_PAUSE[1]


def test_targets_are_below_the_path(those: list[Session]) -> None:
    for session in those:
        paths = [urlsplit(head.line.split(" ")[1]).path for head in session.requests]
        assert len({path.split("/")[1] for path in paths}) == 1
