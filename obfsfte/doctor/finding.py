"""What a check found."""

from __future__ import annotations

import attrs


@attrs.frozen
class Finding:
    """One line that says what is wrong, and one with the remedy, to be typed as it is."""

    what: str
    remedy: str
