"""obfsfte: TCP streams disguised by Format-Transforming Encryption.

A Tor pluggable transport named ``fte``, and a plain TCP tunnel. The layers, from the
bottom: ``regular`` (languages), ``covers``, ``session`` and ``classic`` (wires), ``channel``
(the codec a protocol holds), ``transport`` (Twisted), ``service``, ``cli``.
docs/architecture.md is the map.
"""

from obfsfte._version import __version__

__all__ = ["__version__"]
