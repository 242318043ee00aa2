"""Settings of the whole suite."""

from __future__ import annotations

import os

from hypothesis import settings

# The same examples every time: a failure can be repeated, and a run proves what the last did.
settings.register_profile("obfsfte", derandomize=True, deadline=None)
settings.load_profile("obfsfte")

# Commands are to say in time what they say, also where nobody's environment helps them.
os.environ.pop("PYTHONUNBUFFERED", None)
