"""A client that knows only what docs/ says of the wire, at a bridge with the page's own example."""

from __future__ import annotations

import http.client
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from random import Random

import pytest

from tests.e2e.halves import Target, is_reset, receive, receive_to_end
from tests.e2e.independent_http import DATA, DEFINITION, END, HOLD, PADDING, Client
from tests.e2e.nginx import nginx
from tests.e2e.sessions import bridge_line, server
from tests.e2e.waiting import LOOPBACK

pytestmark = pytest.mark.e2e


class Bridge:
    """Where it is, what its clients know, and what is behind it."""

    def __init__(self, port: int, line: str, target: Target, site: int) -> None:
        self.port = port
        self.target = target
        self.site = site
        self._arguments = dict(word.partition("=")[::2] for word in line.split())

    @contextmanager
    def session(self) -> Iterator[tuple[Client, socket.socket]]:
        """A client that has shaken hands, and the target's end."""
        with closing(Client(self.port, self._arguments["cert"])) as client:
            assert {kind for kind, _ in client.greet()} <= {PADDING}
            with self.target.accept() as service:
                yield client, service


@pytest.fixture(scope="module")
def bridge(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Bridge]:
    directory = tmp_path_factory.mktemp("bridge")
    file = directory / "tides.toml"
    file.write_text(DEFINITION)
    state = directory / "state"
    options: tuple[object, ...] = ("--cover-file", file, "--cover", "tides")
    with (
        Target() as target,
        nginx() as site,
        server(target, state, *options, "--fallback", f"tcp:{LOOPBACK}:{site}") as process,
    ):
        yield Bridge(process.port, bridge_line(process, state), target, site)


def data_in(records: list[tuple[int, bytes]]) -> bytes:
    return b"".join(payload for kind, payload in records if kind == DATA)


def test_a_session_from_its_hello_to_both_ends(bridge: Bridge) -> None:
    with bridge.session() as (client, service):
        up, down = Random(1).randbytes(500_000), Random(2).randbytes(1_500_000)
        service.sendall(down)
        taken = b""
        for start in range(0, len(up), 50_000):
            pieces = [up[start + n : start + n + 10_000] for n in range(0, 50_000, 10_000)]
            taken += data_in(client.ask(*[(DATA, piece) for piece in pieces], (PADDING, b"")))
            client.close()  # another connection for each request
            client.reconnect()
        assert receive(service, len(up)) == up
        while len(taken) < len(down):
            taken += data_in(client.ask())
        assert taken == down
        client.ask((END, b""))
        assert receive_to_end(service) == b""
        service.sendall(b"the rest")
        service.close()
        records: list[tuple[int, bytes]] = []
        while (END, b"") not in records:
            records += client.ask()
        assert data_in(records) == b"the rest"
    assert bridge.target.is_untouched()


def test_who_asks_to_hold_gets_no_data(bridge: Bridge) -> None:
    with bridge.session() as (client, service):
        client.ask((HOLD, b""))
        service.sendall(b"later")
        for _ in range(5):
            assert data_in(client.ask((HOLD, b""), (DATA, b"up"))) == b""
        assert receive(service, 10) == b"up" * 5
        taken = b""
        while len(taken) < 5:
            taken += data_in(client.ask())
        assert taken == b"later"


def test_a_wrong_ticket_is_a_strangers_and_the_session_goes_on(bridge: Bridge) -> None:
    """Of the request before, of later ones, and of none."""
    with bridge.session() as (client, service):
        client.ask((DATA, b"one"))
        for number in (0, 2, 3, 100):
            assert same_answers(bridge, client.target(number))
        assert same_answers(bridge, "/changes?since=" + "0" * 32)
        assert receive(service, 3) == b"one"
        client.ask((DATA, b"two"))
        assert receive(service, 3) == b"two"


def same_answers(bridge: Bridge, target: str) -> bool:
    """Whether the bridge and its site say the same to this request."""
    answers = []
    for port in (bridge.port, bridge.site):
        connection = http.client.HTTPConnection(LOOPBACK, port, timeout=30)
        connection.request("GET", target, headers={"Host": "tides.example"})
        answer = connection.getresponse()
        headers = [(name, text) for name, text in answer.getheaders() if name != "Date"]
        answers.append((answer.status, headers, answer.read()))
        connection.close()
    return answers[0] == answers[1]


@pytest.mark.parametrize(
    "content",
    [
        [(DATA, b"one"), (END, b""), (DATA, b"two")],
        [(END, b""), (END, b"")],
        [(9, b"")],
        [(PADDING, b"x")],
    ],
    ids=["data after the end", "two ends", "no such type", "padding with a payload"],
)
def test_records_that_may_not_be_end_the_session(
    bridge: Bridge, content: list[tuple[int, bytes]]
) -> None:
    with bridge.session() as (client, service):
        with pytest.raises((ConnectionError, http.client.HTTPException)):
            client.ask(*content)
        client.close()
        assert is_reset(service)
