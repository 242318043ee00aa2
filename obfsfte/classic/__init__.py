"""The wire of fteproxy 0.3, spoken for compatibility. docs/classic.md describes every byte.

`releases` has the languages, `keys` the shared key, `cells` the record layer,
`negotiation` the first message, `channels` the codec of a connection and `opening`
how a server recognises one.
"""

from obfsfte.classic.cells import CellCipher, CellDecoder, CellEncoder
from obfsfte.classic.channels import ClassicChannel, ClassicClient
from obfsfte.classic.keys import DEFAULT_KEY, ClassicKey
from obfsfte.classic.opening import ClassicOpening
from obfsfte.classic.releases import DEFAULT_RELEASE, RELEASES, Format, Release, find_release

__all__ = [
    "DEFAULT_KEY",
    "DEFAULT_RELEASE",
    "RELEASES",
    "CellCipher",
    "CellDecoder",
    "CellEncoder",
    "ClassicChannel",
    "ClassicClient",
    "ClassicKey",
    "ClassicOpening",
    "Format",
    "Release",
    "find_release",
]
