"""The judges' findings as a table, one row for each who was looked at."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import attrs

from tests.inspection.judges import Findings

HEADER = (
    "connections",
    "nDPI",
    "nfstream",
    "risks",
    "malformed",
    "warnings",
    "undissected",
    "unmatched",
    "blocked",
    "flagged",
    "commonest first length",
)


#: Of fewer connections the commonest length says nothing.
_FEW = 16


@attrs.frozen
class Row:
    """Who was looked at, what was found, and the risks that the real thing has as well."""

    name: str
    findings: Findings
    usual_risks: frozenset[str] = frozenset()

    def cells(self) -> list[str]:
        found = self.findings
        return [
            self.name,
            str(found.connections),
            _labels(found.ndpi),
            _labels(found.nfstream),
            ", ".join(sorted(found.risks - self.usual_risks)) or "none",
            str(found.malformed),
            str(len(found.warnings)),
            str(found.undissected),
            str(found.unmatched),
            str(found.blocked),
            str(found.flagged),
            "-" if found.connections < _FEW else f"{100 * found.commonest_first_length:.0f} %",
        ]


def _labels(counts: Mapping[str, int]) -> str:
    total = sum(counts.values())
    shares = [f"{label} {100 * n / total:.0f} %" for label, n in sorted(counts.items())]
    return ", ".join(shares)


def markdown(rows: Sequence[Row]) -> str:
    """A table in Markdown, aligned so that it can be read as it is."""
    cells = [["traffic", *HEADER], *(row.cells() for row in rows)]
    widths = [max(len(line[column]) for line in cells) for column in range(len(cells[0]))]
    lines = [f"| {' | '.join(map(str.ljust, line, widths))} |" for line in cells]
    rule = "|" + "|".join("-" * (width + 2) for width in widths) + "|"
    return "\n".join([lines[0], rule, *lines[1:]])
