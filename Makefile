# The two commands: `make lab` opens the book, `make test` checks all of it.
.PHONY: lab setup setup-test test check box unit contract compare notebooks browser bench chapters

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

test: setup-test check box unit contract notebooks browser

# The image of the real Xen: `make test` needs it, and takes it as it is where it is there already.
box:
	$(BIN)/xenlab box build

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit:
	$(PYTEST) tests/unit tests/fidelity xenlab --doctest-modules

contract:
	$(PYTEST) tests/contract

# The recorded commands on the simulator and on a real Xen; prints where they differ.
compare: box
	$(BIN)/xenlab compare tests/contract/commands.txt

notebooks:
	$(PYTEST) tests/notebooks

browser:
	$(PYTEST) tests/browser

# Performance against its targets; writes bench/RESULTS.md.
bench: setup-test
	$(BIN)/python -m bench $(ARGS)

# Run the chapters on the simulator and keep the outputs of their checked cells.
chapters: setup-test
	$(BIN)/python tests/notebooks/book.py
