# Everything here works from a fresh clone, with python3 >= 3.11 and its venv module.

PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
READY = $(VENV)/ready

.PHONY: demo test lint inspect bench bench-tor dist deb clean

demo: $(READY)
	$(BIN)/obfsfte demo

test: lint
	$(BIN)/python -m pytest

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# What judges say of captures of real and of covered traffic; TOR=1 adds tor's (some minutes).
inspect: $(READY)
	$(BIN)/python -m tests.inspection $(if $(TOR),--tor)

# Beside obfs4proxy, fteproxy and haproxy, as ratios in one run: a quarter of an hour, or a few minutes with QUICK=1.
bench: $(READY)
	$(BIN)/python bench/compare.py $(if $(QUICK),--quick)
	$(BIN)/python bench/startup.py $(if $(QUICK),5)

# Bandwidth through a private network of real tors, beside obfs4's.
bench-tor: $(READY)
	$(BIN)/python bench/tor.py

# The virtual environment, made anew when what it must hold has changed.
$(READY): setup.cfg setup.py pyproject.toml $(wildcard obfsfte/*/*.c)
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "python3 >= 3.11 is needed")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable '.[test]' \
		--config-settings editable_mode=compat
	touch $@

# Wheel and sdist, into dist/, installed and checked.
dist:
	.ci/dist $(PYTHON)

# The Debian package, into dist/, made and tested in clean machines: as root, see docs/debian.md.
# SUITE=1 runs all tests with real processes on it, and not only what is quick of them.
deb:
	.ci/debian $(if $(SUITE),--suite)

clean:
	rm -rf $(VENV) .venv-dist build dist *.egg-info
