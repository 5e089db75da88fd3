# The two commands: `make lab` opens the book, `make test` checks all of it.
.PHONY: lab setup setup-test test real check box unit contract compare notebooks notebooks-sim notebooks-box browser \
	pages pages-all grading grading-long small bench chapters book contract-real notebooks-real

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

# Two kinds of test at a time, the long ones first; what each prints comes when it has ended.
test: setup-test check box
	$(MAKE) --jobs=2 --output-sync=target contract browser pages notebooks-box notebooks-sim unit grading

# The rest of what a real Xen can be asked, half an hour: each later subject's contract, and the chapters about them.
# One after the other: what is measured there (rates, shares, costs) needs the machine for itself.
real: setup-test box
	$(MAKE) contract-real
	$(MAKE) notebooks-real

# The image of the real Xen: `make test` needs it, and takes it as it is where it is there already.
box:
	$(BIN)/xenlab box build

check:
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

unit:
	$(PYTEST) tests/unit tests/fidelity xenlab --doctest-modules

# Grading: first what is quick; then hostile notebooks by the hundred, every kind of sandbox, every lab, whole classes.
LONG := $(addprefix tests/grading/test_,$(addsuffix .py,corpus sandbox labs lab_answers batch commands))
grading:
	$(PYTEST) tests/grading $(LONG:%=--ignore=%)

grading-long: setup-test
	$(PYTEST) $(LONG)

# On a real Xen: the box itself and its domains, on which everything else stands.
CORE := tests/contract/test_box.py tests/contract/test_domains.py
FIRST := 00_start_here or 10_domains

contract:
	$(PYTEST) tests/contract -m "not box"
	$(PYTEST) $(CORE) -m box

contract-real:
	$(PYTEST) tests/contract -m box $(CORE:%=--deselect=%)

# The recorded commands on the simulator and on a real Xen; prints where they differ.
compare: box
	for rows in tests/contract/*.txt; do $(BIN)/xenlab compare $$rows || exit 1; done

notebooks: notebooks-sim notebooks-box

notebooks-sim:
	$(PYTEST) tests/notebooks -m "not box"

notebooks-box:
	$(PYTEST) tests/notebooks -m box -k "$(FIRST)"

notebooks-real:
	$(PYTEST) tests/notebooks -m box -k "not ($(FIRST))"

browser:
	$(PYTEST) tests/browser --ignore=tests/browser/test_book.py

# The web site: built, its links followed, its widgets used; `pages-all` reads each page by axe-core as well, three minutes.
pages:
	$(PYTEST) tests/browser/test_book.py -k "not (everybody or phone)"

pages-all:
	$(PYTEST) tests/browser/test_book.py

# The image whose guests have a small kernel compiled here: guests keep the same contract; what it gains is measured, and
# a missed target is printed, not an error (`make bench` is the judge).
small: setup-test
	.ci/setup kernel
	$(BIN)/xenlab box build --small-guest
	$(PYTEST) $(CORE) -m box
	-$(BIN)/python -m bench box migration

# The book as a web site, in site/: from the notebooks, run on the simulator.
book: setup
	$(BIN)/xenlab book $(ARGS)

# Performance against its targets; writes bench/RESULTS.md.
bench: setup-test
	$(BIN)/python -m bench $(ARGS)

# Run the chapters on the simulator and keep the outputs of their checked cells.
chapters: setup-test
	$(BIN)/python tests/notebooks/book.py
