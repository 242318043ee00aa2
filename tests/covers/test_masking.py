"""Both forms of masking, against what RFC 6455 says; the one in C under the sanitizers too."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from obfsfte.covers import masking
from tests.e2e.tools import unavailable
from tests.regular.test_kernel_asan import SANITIZED, compile_extension, run

REPOSITORY = Path(__file__).resolve().parents[2]
BLOCK = 1 << 13
KEY = b"\x8a\x01\xff\x40"

FUZZ = """
from random import Random
from obfsfte.covers.masking import available, python_mask
mask = available()["C"]
random = Random(1)
for _ in range(3000):
    data, key = random.randbytes(random.choice([0, 1, 7, 8, 9, 100, 70000])), random.randbytes(4)
    start = random.randrange(len(data) + 1)
    view = memoryview(data)[start:]
    assert mask(view, memoryview(key)) == python_mask(view, key)
"""


@pytest.fixture(params=["Python", "C"])
def mask(request: pytest.FixtureRequest) -> masking.Mask:
    forms = masking.available()
    if request.param not in forms:
        unavailable("the C extension is not built")
    return forms[request.param]


def expected(data: bytes, key: bytes) -> bytes:
    """RFC 6455, section 5.3, to the letter."""
    return bytes(byte ^ key[index % 4] for index, byte in enumerate(data))


@pytest.mark.parametrize(
    "size", [0, 1, 3, 4, 5, 7, 8, 9, 1000, BLOCK - 1, BLOCK, BLOCK + 1, 2 * BLOCK, 65537]
)
def test_the_mask_is_that_of_the_rfc(mask: masking.Mask, size: int) -> None:
    data = Random(size).randbytes(size)
    masked = mask(data, KEY)
    assert masked == expected(data, KEY)
    assert mask(masked, KEY) == data


@given(data=st.binary(max_size=300), key=st.binary(min_size=4, max_size=4), start=st.integers(0))
def test_the_forms_are_alike_wherever_the_bytes_are(data: bytes, key: bytes, start: int) -> None:
    view = memoryview(data)[start % (len(data) + 1) :]
    for mask in masking.available().values():
        for form in (view, bytes(view), bytearray(view), memoryview(bytearray(view))):
            masked = mask(form, memoryview(key))
            assert type(masked) is bytes
            assert masked == expected(bytes(view), key)


@pytest.mark.parametrize("size", [0, 1, 3, 5, 8])
def test_a_key_has_four_bytes(mask: masking.Mask, size: int) -> None:
    with pytest.raises(ValueError, match="four bytes"):
        mask(b"data", bytes(size))


def test_what_is_no_bytes_is_refused(mask: masking.Mask) -> None:
    for data, key in (("text", KEY), (b"data", "text"), (None, KEY)):
        with pytest.raises(TypeError):
            mask(data, key)  # type: ignore[arg-type]


@pytest.mark.parametrize("pure", [False, True])
def test_which_form_runs(pure: bool) -> None:
    """The fast one, unless the environment says otherwise."""
    environment = {**os.environ, "OBFSFTE_PURE_PYTHON": "1" if pure else "0"}
    code = "from obfsfte.covers import masking; print(masking.mask is masking.python_mask)"
    done = subprocess.run(
        [sys.executable, "-c", code], env=environment, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == str(pure or "C" not in masking.available())


@pytest.mark.e2e
def test_the_form_in_c_under_the_sanitizers(tmp_path: Path) -> None:
    shutil.copytree(
        REPOSITORY / "obfsfte",
        tmp_path / "obfsfte",
        ignore=shutil.ignore_patterns("__pycache__", "*.so"),
    )
    compile_extension(tmp_path / "obfsfte" / "covers", "_mask", SANITIZED)
    run(tmp_path, "-c", FUZZ)


@pytest.mark.e2e
def test_a_plain_build_has_no_warnings(tmp_path: Path) -> None:
    shutil.copy(REPOSITORY / "obfsfte" / "covers" / "_mask.c", tmp_path)
    compile_extension(tmp_path, "_mask", ["-O2", "-Wconversion"])
