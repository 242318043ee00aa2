"""Programs for pyptlib, as its examples and its API overview teach to write them.

They say `pyptlib` and know nothing of obfsfte: test_programs.py runs them with our package
under that name and with nothing else of ours in reach.
"""
