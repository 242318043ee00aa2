"""Both forms of rank and unrank are tested alike."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from obfsfte.regular import forms
from tests.e2e.tools import unavailable


@pytest.fixture(scope="module", params=["Python", "C"])
def form(request: pytest.FixtureRequest) -> Iterator[str]:
    """Has the languages that are made in a test walked in this form."""
    name: str = request.param
    if name not in forms.available():
        unavailable("the C extension is not built")
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(forms, "NAME", name)
        patch.setattr(forms, "make_walks", forms.available()[name])
        yield name
