"""All metadata is in setup.cfg; this file is where the C extension is declared."""

from setuptools import setup

setup()
