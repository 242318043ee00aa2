"""The C form compiled with the sanitizers of addresses and of undefined behaviour.

Everything that tests it runs again under them, and strings and numbers at random for a while.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
from pathlib import Path

import pytest

from tests.e2e.tools import tool, unavailable

pytestmark = pytest.mark.e2e

REPOSITORY = Path(__file__).resolve().parents[2]
STRICT = ["-std=c11", "-Wall", "-Wextra", "-Werror", "-Wshadow", "-Wvla", "-Wstrict-prototypes"]
SANITIZED = ["-O1", "-g", "-fsanitize=address,undefined", "-fno-sanitize-recover=all"]

FUZZ = """
import random, sys
from obfsfte.regular import Language, NotInLanguage, forms, kernel, ranking
from tests.regular.test_kernel import mutated, outcome
assert forms.NAME == "C"
source = random.Random(int(sys.argv[1]))
for pattern, length in [
    (rb"([a-z]+ )+[a-z]+", 256),
    (rb"(?s)SSH-2\\\\.0.*", 300),
    (rb"(?:[a-z]{1,20}\\\\.){1,5}(?:com|org|net)", 60),
    (rb"(?:[A-Za-z0-9+/]{76}\\r\\n)+", 312),
    (rb"(?:[0-9]{5}(?: [0-9]{5}){9}\\n)+", 360),
    (rb"[+-9A-z]*=[^a-z]*", 200),
    (rb"[a-z]*(?:[0-9][a-f])*", 700),
    (rb"(?:[A-Za-z0-9_-]{4})*(?:[A-Za-z0-9_-][AQgw])?=[0-9]{30}", 205),
]:
    language = Language(pattern, length)
    table = kernel.lay_out({length: language.root})[length]
    string = language.unrank(0)
    for _ in range(600):
        if source.random() < 0.3:
            string = table.unrank(source.randrange(language.size))
        string = mutated(string, source)
        found = outcome(table.rank, string)
        assert found == outcome(lambda data: ranking.rank(language.root, data), string)
        if isinstance(found, int):
            assert table.unrank(found) == string
    for _ in range(200):
        garbage = source.randbytes(source.choice([0, 1, length - 1, length, length + 1, 5000]))
        outcome(table.rank, garbage)
"""


def compile_extension(directory: Path, name: str, flags: list[str]) -> None:
    """Compile an extension whose source is there."""
    include = sysconfig.get_path("include")
    if not (Path(include) / "Python.h").exists():
        unavailable("Python's headers are not installed")
    command = [tool("gcc"), *STRICT, *flags, "-shared", "-fPIC", f"-I{include}"]
    command += ["-o", str(directory / f"{name}.abi3.so"), str(directory / f"{name}.c")]
    result = subprocess.run(command, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr


def run(where: Path, *arguments: str) -> None:
    library = subprocess.run(
        [tool("gcc"), "-print-file-name=libasan.so"], capture_output=True, text=True, check=True
    )
    result = subprocess.run(
        [sys.executable, *arguments],
        cwd=where,
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if not name.startswith("OBFSFTE_")}
        | {
            "LD_PRELOAD": library.stdout.strip(),
            # The interpreter keeps memory until the end, which is no leak of ours.
            "ASAN_OPTIONS": "detect_leaks=0",
            # Every block gets its own guards, instead of a place in an arena.
            "PYTHONMALLOC": "malloc",
            "PYTHONPATH": str(where),
        },
    )
    assert result.returncode == 0, result.stdout[-3000:] + result.stderr[-3000:]


@pytest.fixture(params=["int128", "halves"])
def sanitized(tmp_path: Path, request: pytest.FixtureRequest) -> Path:
    """A copy of the code with the sanitized extension; both ways to multiply."""
    for package in ("obfsfte", "tests"):
        shutil.copytree(
            REPOSITORY / package,
            tmp_path / package,
            ignore=shutil.ignore_patterns("__pycache__", "*.so"),
        )
    shutil.copy(REPOSITORY / "setup.cfg", tmp_path)
    halves = ["-U__SIZEOF_INT128__"] if request.param == "halves" else []
    compile_extension(tmp_path / "obfsfte" / "regular", "_kernel", SANITIZED + halves)
    return tmp_path


def test_the_kernel_under_the_sanitizers(sanitized: Path) -> None:
    run(sanitized, "-m", "pytest", "-q", "-p", "no:cacheprovider", "tests/regular/test_kernel.py",
        "--deselect", "tests/regular/test_kernel.py::test_nothing_is_leaked")  # fmt: skip
    run(sanitized, "-c", FUZZ, "1")


def test_a_plain_build_has_no_warnings(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "obfsfte" / "regular" / "_kernel.c", tmp_path)
    compile_extension(tmp_path, "_kernel", ["-O2"])
    compile_extension(tmp_path, "_kernel", ["-O3", "-Wconversion", "-Wno-sign-conversion"])
