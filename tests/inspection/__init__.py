"""What others see of a connection: captures of real and of covered traffic, and their judges.

`python -m tests.inspection` (or `make inspect`) prints the table; `tests/e2e/test_inspection.py`
holds the covers to it.
"""
