"""`obfsfte decode`: covertext of `obfsfte encode`, or of `fte`, -> what it carries."""

from __future__ import annotations

from obfsfte.classic import CellDecoder
from obfsfte.commands.coding import CodingOptions, standard_streams
from obfsfte.errors import ConfigError, WireError


class Options(CodingOptions):
    synopsis = "Usage: obfsfte decode (--format NAME | --pattern RE --length N) [--key-file FILE]"
    longdesc = "Turns the covertext on standard input back; nothing that was altered comes out."


def run(options: Options) -> int:
    decoder = options.make(CellDecoder)
    source, sink = standard_streams()
    position = 0
    while data := source.read(1 << 16):
        decoder.feed(data)
        try:
            while (cell := decoder.next_cell()) is not None:
                sink.write(cell)
        except WireError as error:
            raise ConfigError(
                f"the input is not covertext of this language and key, or was altered, "
                f"between bytes {position} and {position + len(data)}: {error}"
            ) from None
        position += len(data)
    if not decoder.between_cells:
        raise ConfigError(f"the input ends inside a message, after {position} bytes")
    return 0
