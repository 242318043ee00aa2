"""How long tor waits for obfsfte: from exec to the end of the handshake.

Run `python bench/startup.py [ROUNDS]` where obfsfte is installed. It prints the best of the
rounds for each side, and how many times as long that is as loading what cannot be done
without: Python, Twisted's reactor and the cipher. Rounds are interleaved, so that whatever
else the machine does hits all alike; the bytecode is written before, as an installed package's is.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from functools import partial
from pathlib import Path

OBFSFTE = Path(sys.executable).with_name("obfsfte")
ROUNDS = 20

#: Says the same at its end, so that all are measured alike.
BARE = """
from twisted.internet import reactor
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
print("METHODS DONE", flush=True)
"""
SIDES = {
    "client": {"TOR_PT_CLIENT_TRANSPORTS": "fte"},
    "server": {
        "TOR_PT_SERVER_TRANSPORTS": "fte",
        "TOR_PT_SERVER_BINDADDR": "fte-127.0.0.1:0",
        "TOR_PT_ORPORT": "127.0.0.1:9",
    },
}


def launch(command: Sequence[object], environment: dict[str, str]) -> float:
    """Seconds from exec to the last line of the handshake."""
    start = time.perf_counter()
    with subprocess.Popen(
        [str(word) for word in command],
        env=environment,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
    ) as process:
        assert process.stdout is not None
        for line in process.stdout:
            if line.endswith(b"METHODS DONE\n"):
                return time.perf_counter() - start
    raise SystemExit(f"{command[0]} did not start")


def main(rounds: int) -> None:
    with tempfile.TemporaryDirectory() as directory:
        # Bytecode is written to a place of our own, whatever the caller wants of his Python.
        common = {name: text for name, text in os.environ.items() if name[:6] != "PYTHON"}
        common |= {
            "PYTHONPYCACHEPREFIX": f"{directory}/bytecode",
            "TOR_PT_MANAGED_TRANSPORT_VER": "1",
            "TOR_PT_STATE_LOCATION": f"{directory}/state",
            "TOR_PT_EXIT_ON_STDIN_CLOSE": "1",
        }
        tasks = {"bare imports": partial(launch, [sys.executable, "-c", BARE], common)}
        for side, special in SIDES.items():
            tasks[side] = partial(launch, [OBFSFTE, "pt"], {**common, **special})
        for task in tasks.values():
            task()
        best = dict.fromkeys(tasks, float("inf"))
        for _ in range(rounds):
            for name, task in tasks.items():
                best[name] = min(best[name], task())
    for name, seconds in best.items():
        ratio = seconds / best["bare imports"]
        print(f"{name:<14}{seconds * 1000:6.0f} ms   {ratio:.2f} times the bare imports")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else ROUNDS)
