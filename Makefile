# The two commands: `make lab` opens the book, `make test` checks all of it.
.PHONY: lab setup setup-test test check unit contract notebooks browser bench chapters

# Set on some machines; it would make every import of the Jupyter stack cost 12 s instead of 2.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
PYTEST := $(BIN)/python -m pytest
ARGS ?=

lab: setup
	$(BIN)/xenlab lab $(ARGS)

setup:
	.ci/setup lab

setup-test:
	.ci/setup test

test: setup-test check unit contract notebooks browser

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit:
	$(PYTEST) tests/unit tests/fidelity xenlab --doctest-modules

contract:
	$(PYTEST) tests/contract

notebooks:
	$(PYTEST) tests/notebooks

browser:
	$(PYTEST) tests/browser

# Performance against its targets; writes bench/RESULTS.md.
bench: setup-test
	$(BIN)/python -m bench $(ARGS)

# Run the chapters on the simulator and keep the outputs of their checked cells.
chapters: setup-test
	$(BIN)/python -m tests.notebooks.execute
