"""What is loaded is looked at no more; what comes after it is."""

from __future__ import annotations

import subprocess
import sys

SCRIPT = """
import gc, obfsfte.wires, weakref
from obfsfte.garbage import exempt_what_is_loaded
class Cycle:
    def __init__(self):
        self.itself = self
before = weakref.ref(Cycle())
exempt_what_is_loaded()
after = weakref.ref(Cycle())
print(before() is None, len(gc.get_objects()) < 1000 < gc.get_freeze_count())
gc.collect()
print(after() is None)
"""


def test_only_what_is_loaded_is_exempt() -> None:
    # In a process of its own: this one's garbage is the business of other tests.
    command = [sys.executable, "-c", SCRIPT]
    said = subprocess.run(command, capture_output=True, text=True, check=True)
    assert said.stdout == "True True\nTrue\n"
