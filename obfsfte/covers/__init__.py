"""Covers: what the traffic looks like. Sans-I/O objects that turn records into covertext and back.

`cover` is the interface that the session's channel uses, `catalogue` finds a cover's
definition by its name, and each kind of cover has a module of its own (`stream`, ...).
docs/covers.md teaches how to write a definition.
"""

from obfsfte.covers.catalogue import Catalogue, load_definition
from obfsfte.covers.cover import Cover, Definition, Greeting, Hello, Look, Opening

__all__ = [
    "Catalogue",
    "Cover",
    "Definition",
    "Greeting",
    "Hello",
    "Look",
    "Opening",
    "load_definition",
]
