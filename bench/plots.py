"""Pictures of a run's figures, as SVG."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.goals import Figures

COLOURS = {
    "websocket": "#7a2a8c",
    "http": "#c02a6c",
    "obfs4proxy": "#d9822b",
    "fteproxy": "#3a7d44",
    "haproxy": "#2f6db5",
    "twisted": "#888888",
    "direct": "#222222",
}


def draw(
    figures: Figures, directory: Path, streams: Sequence[int], links: Sequence[int]
) -> list[Path]:
    """All plots for which there are figures; where they are."""
    import matplotlib

    matplotlib.use("svg")
    matplotlib.rcParams["svg.hashsalt"] = "obfsfte"  # equal figures, equal files
    from matplotlib import pyplot

    directory.mkdir(parents=True, exist_ok=True)
    made = []

    def plot(name: str, title: str, xlabel: str, ylabel: str) -> Any:
        figure, axes = pyplot.subplots(figsize=(6.4, 4))
        axes.set(title=title, xlabel=xlabel, ylabel=ylabel)
        axes.grid(alpha=0.3)
        made.append((figure, directory / f"{name}.svg"))
        return axes

    for direction in ("down", "up"):
        axes = plot(f"bulk-{direction}", f"Bulk, {direction}", "streams", "MB/s")
        _lines(axes, figures, {count: f"{direction}, {count}" for count in streams})
        axes.set_xscale("log")
        axes.set_xticks(list(streams), [str(count) for count in streams])
    _cpu(plot("cpu", "Processor time, one stream down", "", "CPU s/GB"), figures, streams[0])
    axes = plot("memory", "Idle connections", "connections", "resident MB, one half")
    _memory(axes, figures)
    if links:
        axes = plot(
            "links",
            f"iperf through a link, {max(streams)} streams",
            "rate of the link, Mbit/s",
            "goodput at the receiver, Mbit/s",
        )
        _lines(axes, figures, {rate: f"link {rate} Mbit/s, {max(streams)}" for rate in links})
    paths = []
    for figure, path in made:
        if any(axes.has_data() for axes in figure.axes):
            figure.axes[0].legend()
            figure.tight_layout()
            figure.savefig(path, metadata={"Date": None})
            paths.append(path)
        pyplot.close(figure)
    return paths


def _lines(axes: Any, figures: Figures, measures: dict[int, str]) -> None:
    for pair, colour in COLOURS.items():
        points = {x: figures.median(measure, pair) for x, measure in measures.items()}
        known = {x: y for x, y in points.items() if y is not None}
        if known:
            axes.plot(list(known), list(known.values()), "o-", color=colour, label=pair)
    axes.set_ylim(bottom=0)


def _cpu(axes: Any, figures: Figures, streams: int) -> None:
    pairs = [pair for pair in COLOURS if figures.of(f"CPU down, {streams}, client", pair)]
    for offset, half in ((-0.2, "client"), (0.2, "server")):
        measure = f"CPU down, {streams}, {half}"
        heights = [figures.median(measure, pair) for pair in pairs]
        places = [place + offset for place in range(len(pairs))]
        axes.bar(places, heights, 0.38, label=f"{half} half")
    axes.set_xticks(range(len(pairs)), pairs)


def _memory(axes: Any, figures: Figures) -> None:
    """Straight lines: what was measured is the memory of one connection."""
    for pair, colour in COLOURS.items():
        each = figures.median("idle, KB, server", pair)
        if each is not None:
            held = figures.median("idle, number", pair) or 0
            axes.plot([0, held], [0, each * held / 1e3], "o-", color=colour, label=pair)
