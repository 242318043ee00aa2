"""Capture real and covered traffic, ask the judges, and print what they say."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from obfsfte.covers import Catalogue
from tests.e2e.waiting import free_port
from tests.inspection.judges import judge
from tests.inspection.page import renewed, side_by_side
from tests.inspection.subjects import (
    WEB_KINDS,
    baseline,
    captured_tor,
    captured_tunnel,
    fteproxy,
    in_cover,
    obfs4proxy,
    web_covers,
)
from tests.inspection.table import Row, markdown

_CONNECTIONS = 200


def _say(what: str) -> None:
    print(f"  {what} ...", file=sys.stderr, flush=True)


def _rows(directory: Path, port: int, with_tor: bool) -> Iterator[Row]:
    _say("nginx and curl, websockets")
    real = baseline(directory, port)
    yield Row("nginx and curl", real.http, real.http.risks)
    yield Row("websockets", real.websocket, real.websocket.risks)
    for name in web_covers():
        _say(f"obfsfte, {name}")
        usual = real.of(Catalogue().get(name).kind).risks
        file = directory / f"{name}.pcapng"
        wire = captured_tunnel(lambda name=name: in_cover(name, port), file, _CONNECTIONS)
        yield Row(f"obfsfte, {name}", judge(file, wire), usual)
        if with_tor:
            _say(f"tor over obfsfte, {name}")
            file = directory / f"tor-{name}.pcapng"
            yield Row(f"tor over obfsfte, {name}", judge(file, captured_tor(name, file)), usual)
    for name, start in (("obfs4proxy", obfs4proxy), ("fteproxy 0.3.2", fteproxy)):
        _say(name)
        file = directory / f"{name}.pcapng"
        wire = captured_tunnel(start, file, _CONNECTIONS // 4)
        yield Row(name, judge(file, wire), real.http.risks)


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.inspection", description=__doc__)
    parser.add_argument("--tor", action="store_true", help="tor's own traffic as well: minutes")
    parser.add_argument(
        "--page",
        type=Path,
        metavar="FILE",
        help="renew the table and the bytes in docs/inspection.md",
    )
    options = parser.parse_args()
    with TemporaryDirectory() as name:
        directory = Path(name)
        port = free_port()
        try:
            rows = list(_rows(directory, port, options.tor))
        except (pytest.skip.Exception, pytest.fail.Exception) as missing:
            sys.exit(f"inspect: {missing}")
        print(markdown(rows))
        if options.page is not None:
            parts = {"table": markdown(rows)}
            for kind in WEB_KINDS:
                real, covered = directory / f"real-{kind}.pcapng", directory / f"{kind}.pcapng"
                parts[kind] = side_by_side(real, covered, port)
            options.page.write_text(renewed(options.page.read_text(), parts))


if __name__ == "__main__":
    main()
