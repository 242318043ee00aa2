"""The codec of one classic connection: a cell encoder, a cell decoder, and a stream's ends.

The wire has no record that ends a stream, so TCP's own FIN does, and a receiver can only
tell that it did not fall into the middle of a cell.
"""

from __future__ import annotations

import os
from collections.abc import Sequence

from obfsfte.alarm import Alarm
from obfsfte.classic.cells import CellCipher, CellDecoder, CellEncoder, Random
from obfsfte.classic.keys import ClassicKey
from obfsfte.classic.negotiation import Negotiation
from obfsfte.classic.releases import Format
from obfsfte.errors import ConfigError, Truncated


class ClassicChannel:
    """An `obfsfte.channel.Channel` whose two languages are agreed."""

    ready = True
    ends_with_fin = True
    takes_turns = False
    clock_difference: int | None = None
    forwarded_for: Sequence[bytes] = ()
    alarm: Alarm | None = None

    def __init__(self, encoder: CellEncoder, decoder: CellDecoder) -> None:
        self.peer_closed = False
        self._encoder = encoder
        self._decoder = decoder
        self._outgoing: list[bytes] = []
        self._closed = False

    def wake(self) -> None:
        """Never: it has no alarm."""

    def send(self, data: bytes) -> None:
        """Take application bytes to carry; none make no cell. RuntimeError after `close`."""
        if self._closed:
            raise RuntimeError("send after close")
        self._outgoing += self._encoder.encode(data)

    def receive(self, data: bytes) -> list[bytes]:
        """Take wire bytes; return the plaintext of each cell that they complete.

        Raises AuthenticationFailed; what the same call had decoded before is lost with it.
        """
        self._decoder.feed(data)
        return list(iter(self._decoder.next_cell, None))

    def receive_eof(self) -> None:
        """The wire ended. Raises Truncated inside a cell."""
        if not self._decoder.between_cells:
            raise Truncated("the wire ended inside a cell")
        self.peer_closed = True

    def data_to_send(self) -> list[bytes]:
        """Wire bytes to write now."""
        outgoing, self._outgoing = self._outgoing, []
        return outgoing

    def close(self) -> None:
        """End our stream. On this wire, closing TCP's sending half is what tells the peer."""
        self._closed = True


class ClassicClient(ClassicChannel):
    """The client's end of a connection, with the negotiation ready in `data_to_send`.

    Raises ConfigError if `response` is not what a server answers to `request`.
    """

    def __init__(
        self, request: Format, response: Format, key: ClassicKey, *, random: Random = os.urandom
    ) -> None:
        if not request.is_request:
            raise ConfigError(f"{request.name} is no request format: a client cannot send it")
        if response.is_request or response.pair_name != request.pair_name:
            raise ConfigError(
                f"{response.name} cannot follow {request.name}: "
                f"a server answers that in {request.pair_name}-response"
            )
        cipher = CellCipher(key)
        encoder = CellEncoder(request.language(), cipher, random)
        super().__init__(encoder, CellDecoder(response.language(), cipher))
        self.send(Negotiation(request.release, request.pair_name).to_bytes())
