"""All metadata is in setup.cfg; this file is where the C extensions are declared."""

from setuptools import Extension, setup


def extension(name: str) -> Extension:
    """One that may be left out: without a compiler there is still the form in Python."""
    source = name.replace(".", "/") + ".c"
    return Extension(name, [source], py_limited_api=True, optional=True)


setup(ext_modules=[extension("obfsfte.regular._kernel"), extension("obfsfte.covers._mask")])
