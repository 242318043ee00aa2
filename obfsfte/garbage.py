"""What Python's garbage collector need not look at.

Connections make garbage, and from time to time the collector looks through all objects there
are. Most of those are modules and the tables of languages, which stay: 50,000 objects, and 10
to 20 ms in which every connection of the process stands still.
"""

from __future__ import annotations

import gc


def exempt_what_is_loaded() -> None:
    """Leave what there is now out of later collections. For a process that is ready to serve."""
    gc.collect()  # or what is garbage already would stay
    gc.freeze()
