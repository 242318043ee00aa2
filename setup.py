"""All metadata is in setup.cfg; this file is where the C extension is declared."""

from setuptools import Extension, setup

setup(
    ext_modules=[
        Extension(
            "obfsfte.regular._kernel",
            ["obfsfte/regular/_kernel.c"],
            py_limited_api=True,
            optional=True,  # without a compiler there is still the form in Python
        )
    ]
)
