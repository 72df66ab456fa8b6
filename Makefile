# Everything here works on a machine that has Python 3.11 or newer, make and git, and nothing else.
#
#   make demo           a shop on a local cluster of three nodes, which are killed, frozen and revived
#   make demo ONCE=1    the same, and it ends by itself
#   make demo SHOP=django   the same shop with Django; SHOP=fastapi: with FastAPI, and customers in an event loop
#   make test           the whole test suite
#   make help           the rest

# Where there is no python3, or an older one:   make demo PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
# The demo's own.
PORT ?= 5000
ONCE ?=
SHOP ?= flask
# Tests run in this many processes; ARGS goes to pytest as it is, such as ARGS="-k failover".
WORKERS ?= 2
ARGS ?=
# The floor of make coverage, in percent of lines and branches.
COVERED ?= 90

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
# The locks name every distribution with its hashes; our own package comes from this folder, built by what they hold.
INSTALL := $(PIP) install -qq --require-hashes --requirement
INSTALL_OURS := $(PIP) install -qq --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help demo test upstream screenshots bench bars compare fleet chaos test-scylla lint types docs package coverage format lock dev clean distclean
.DELETE_ON_ERROR:

help:
	@echo "make demo       a seeded shop on http://127.0.0.1:$(PORT), over a local cluster of three nodes (PORT=, ONCE=1, SHOP=django, SHOP=fastapi)"
	@echo "make test       the whole test suite (WORKERS=, ARGS=)"
	@echo "make upstream   PynamoDB's own unit tests, over this library (downloads its source distribution)"
	@echo "make chaos      faults of every kind for a quarter of an hour, and a table of what they cost (ARGS=\"--seconds 5\")"
	@echo "make test-scylla  what must hold on any cluster, on that of ALTERNATOR_URL="
	@echo "make bench      what a request costs, and what it costs with others; writes docs/benchmarks.md"
	@echo "make bars       the ratios to others that a request has to stay below, and which of them hold (ARGS=\"--only get\")"
	@echo "make compare OTHER=path  what a request costs here and in another checkout, in turn"
	@echo "make fleet      what 10,000 clients cost a cluster, simulated; ARGS=--write writes docs/scale.md"
	@echo "make screenshots  the pictures of the documentation, taken of the demo's pages (needs Chromium)"
	@echo "make lint       ruff, and the direction of imports"
	@echo "make types      mypy, strict, and pyright on a user's project"
	@echo "make docs       the documentation, in docs/_build/html, and its links, checked"
	@echo "make package    the wheel and the source distribution, in dist/, and what they hold, checked"
	@echo "make coverage   the test suite, and which lines of the package it reaches (at least $(COVERED) percent)"
	@echo "make format     let ruff format the code"
	@echo "make dev        only make $(VENV), with everything in it"
	@echo "make lock       resolve the dependencies again, to the newest versions"
	@echo "make clean      remove what was built; make distclean removes $(VENV) too"

demo: $(VENV)/.demo
	@$(PY) -m example_app.demo --port $(PORT) --shop $(SHOP) $(if $(filter-out 0 no false,$(ONCE)),--once)

test: $(VENV)/.dev
	$(PY) -m pytest -n $(WORKERS) $(ARGS)

upstream: $(VENV)/.dev
	$(PY) -m tests.upstream $(ARGS)

chaos: $(VENV)/.dev
	$(PY) -m tests.chaos --keep $(ARGS)

test-scylla: $(VENV)/.dev
	@test -n "$(ALTERNATOR_URL)" || { \
		echo "make: say which cluster: make test-scylla ALTERNATOR_URL=http://10.0.0.1:8000" >&2; \
		echo "      (docker-compose.yml has one of three nodes)" >&2; exit 1; }
	ALTERNATOR_URL="$(ALTERNATOR_URL)" $(PY) -m pytest tests/scylla $(ARGS)

screenshots: $(VENV)/.dev
	@$(PIP) install -qq pillow
	$(PY) -m tests.browser.screenshots

bench: $(VENV)/.dev
	$(PY) -m benchmarks --write

bars: $(VENV)/.dev
	$(PY) -m benchmarks.bars $(ARGS)

compare: $(VENV)/.dev
	@test -n "$(OTHER)" || { echo "make: say which checkout: make compare OTHER=../before" >&2; exit 1; }
	$(PY) -m benchmarks.compare $(OTHER) $(ARGS)

fleet: $(VENV)/.dev
	$(PY) -m benchmarks.fleet $(ARGS)

lint: $(VENV)/.dev
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .
	$(VENV)/bin/lint-imports

types: $(VENV)/.dev
	$(PY) -m mypy
	$(PY) -m basedpyright --project tests/typing --pythonpath $(PY)

docs: $(VENV)/.dev
	$(PY) -m sphinx -W --keep-going -q -b html docs docs/_build/html
	$(PY) -m tests.links docs/_build/html
	@echo "docs/_build/html/index.html"

package: $(VENV)/.dev
	rm -rf dist
	$(PY) -m build --no-isolation --outdir dist .
	$(PY) -m twine check --strict dist/*
	$(PY) -m tests.packaging dist

coverage: $(VENV)/.dev
	$(PY) -m pytest -n $(WORKERS) --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERED) $(ARGS)

format: $(VENV)/.dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix-only .

dev: $(VENV)/.dev

# What the demo needs; and that with what developing needs. The two locks agree on every version.
$(VENV)/.demo: requirements/demo.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "Installing what the demo needs into $(VENV) ..."
	@$(INSTALL) requirements/demo.lock
	@$(INSTALL_OURS)
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "Installing what developing needs into $(VENV) ..."
	@$(INSTALL) requirements/dev.lock
	@$(INSTALL_OURS)
	@touch $@ $(VENV)/.demo

$(VENV)/pyvenv.cfg:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "make: '$(PYTHON)' is not Python 3.11 or newer. Name one that is: make demo PYTHON=python3.12" >&2; \
		exit 1; }
	@echo "Making $(VENV) ..."
	@$(PYTHON) -m venv $(VENV)

LOCK := $(PY) -m uv pip compile pyproject.toml --quiet --upgrade --universal --python-version 3.11 --fork-strategy fewest \
	--generate-hashes --no-annotate --no-header --no-emit-index-url --no-emit-find-links

lock: $(VENV)/pyvenv.cfg
	@$(PIP) install -qq uv
	$(LOCK) --all-extras --group dev --output-file requirements/dev.lock
	$(LOCK) --extra local --extra flask --extra django --extra fastapi --group build --group demo --constraint requirements/dev.lock --output-file requirements/demo.lock

clean:
	rm -rf build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .ci-venv
	find pynamodb_alternator example_app tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
