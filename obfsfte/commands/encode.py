"""`obfsfte encode`: standard input -> covertext, as classic cells.

Messages are made so short that each fits into one string of the language: then every
byte of the output is in it. A language too small for that carries the head of each
message, and the rest follows as raw ciphertext, as on fteproxy's wire.
"""

from __future__ import annotations

import sys

from obfsfte.classic import CellEncoder
from obfsfte.classic.cells import MAX_PLAINTEXT
from obfsfte.commands.coding import CodingOptions, standard_streams


class Options(CodingOptions):
    synopsis = "Usage: obfsfte encode (--format NAME | --pattern RE --length N) [--key-file FILE]"
    longdesc = "Turns standard input into covertext on standard output; decode turns it back."


def run(options: Options) -> int:
    encoder = options.make(CellEncoder)
    size = encoder.whole_plaintext
    if size < 1:
        print(
            "obfsfte: encode: this language holds too little for a message in one string: "
            "raw bytes follow each",
            file=sys.stderr,
        )
        size = MAX_PLAINTEXT
    source, sink = standard_streams()
    while data := source.read(size):
        sink.writelines(encoder.encode(data))
    return 0
