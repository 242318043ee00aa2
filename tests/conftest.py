"""Settings of the whole suite."""

from __future__ import annotations

from hypothesis import settings

# The same examples every time: a failure can be repeated, and a run proves what the last did.
settings.register_profile("obfsfte", derandomize=True, deadline=None)
settings.load_profile("obfsfte")
