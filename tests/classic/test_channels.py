from __future__ import annotations

import random

import pytest

from obfsfte.classic import (
    RELEASES,
    CellCipher,
    CellDecoder,
    CellEncoder,
    ClassicChannel,
    ClassicClient,
)
from obfsfte.classic.cells import MAX_PLAINTEXT
from obfsfte.errors import AuthenticationFailed, ConfigError, Truncated

from .oracle import ALL, KEY, OTHER_KEY, fte_encoder

RELEASE = RELEASES["20260110"]
REQUEST = RELEASE.format("manual-http-request")
RESPONSE = RELEASE.format("manual-http-response")


def client() -> ClassicClient:
    return ClassicClient(REQUEST, RESPONSE, KEY, random=random.Random(0).randbytes)


def server() -> ClassicChannel:
    cipher = CellCipher(KEY)
    return ClassicChannel(
        CellEncoder(RESPONSE.language(), cipher), CellDecoder(REQUEST.language(), cipher)
    )


def drain(channel: ClassicChannel) -> bytes:
    return b"".join(channel.data_to_send())


@pytest.mark.parametrize(("release", "name"), [pair for pair in ALL if pair[1].endswith("request")])
def test_the_client_opens_with_its_negotiation(release: str, name: str):
    formats = RELEASES[release]
    request = formats.format(name)
    channel = ClassicClient(request, formats.response_to(request), KEY)
    cell, rest = fte_encoder(release, name).decode(drain(channel))
    assert cell == (release + name.removesuffix("-request")).encode().rjust(64, b"\0")
    assert rest == b""


def test_both_ends_carry_data():
    here, there = client(), server()
    here.send(b"question")
    assert there.receive(drain(here))[1:] == [b"question"]
    there.send(b"answer")
    assert here.receive(drain(there)) == [b"answer"]


def test_what_was_written_is_given_once():
    channel = client()
    assert drain(channel) != b""
    assert channel.data_to_send() == []
    channel.send(b"")
    assert channel.data_to_send() == []


def test_more_than_a_cell_is_sent_in_several():
    here, there = client(), server()
    here.send(bytes(2 * MAX_PLAINTEXT + 1))
    sizes = [len(data) for data in there.receive(drain(here))[1:]]
    assert sizes == [MAX_PLAINTEXT, MAX_PLAINTEXT, 1]


def test_the_end_between_two_cells_is_the_end_of_the_stream():
    here, there = client(), server()
    there.send(b"answer")
    assert here.receive(drain(there)) == [b"answer"]
    assert not here.peer_closed
    here.receive_eof()
    assert here.peer_closed


def test_the_end_inside_a_cell_is_a_truncation():
    there = server()
    there.send(bytes(400))
    wire = drain(there)
    for length in range(1, len(wire)):
        here = client()
        assert here.receive(wire[:length]) == []
        with pytest.raises(Truncated):
            here.receive_eof()
        assert not here.peer_closed


def test_nothing_is_sent_after_close():
    channel = client()
    drain(channel)
    channel.close()
    assert channel.data_to_send() == []
    with pytest.raises(RuntimeError):
        channel.send(b"late")


def test_what_was_sent_before_close_still_leaves():
    here, there = client(), server()
    here.send(b"last words")
    here.close()
    assert there.receive(drain(here))[1:] == [b"last words"]


def test_we_hear_the_peer_after_our_close():
    here, there = client(), server()
    here.close()
    there.send(b"answer")
    assert here.receive(drain(there)) == [b"answer"]


def test_a_server_with_another_key_is_refused():
    channel = ClassicClient(REQUEST, RESPONSE, OTHER_KEY)
    there = server()
    there.send(b"answer")
    with pytest.raises(AuthenticationFailed):
        channel.receive(drain(there))


def test_only_tcp_shows_the_end_of_our_stream():
    assert client().ends_with_fin


@pytest.mark.parametrize(
    ("request_name", "response_name", "message"),
    [
        (
            "ssh-response",
            "ssh-response",
            "ssh-response is no request format: a client cannot send it",
        ),
        (
            "words-request",
            "manual-http-response",
            "manual-http-response cannot follow words-request: "
            "a server answers that in words-response",
        ),
        (
            "words-request",
            "words-request",
            "words-request cannot follow words-request: a server answers that in words-response",
        ),
    ],
)
def test_formats_that_are_no_pair_are_explained(
    request_name: str, response_name: str, message: str
):
    with pytest.raises(ConfigError) as caught:
        ClassicClient(RELEASE.format(request_name), RELEASE.format(response_name), KEY)
    assert str(caught.value) == message
