# All commands need only Python 3.11 or newer, make and git.
#
#   make demo           runs a shop on a local cluster of three nodes, which are killed, frozen and revived
#   make demo ONCE=1    runs the demo once and then ends
#   make demo SHOP=django   runs the shop with Django; SHOP=fastapi with FastAPI, and with customers in an event loop
#   make test           runs the whole test suite
#   make help           lists all commands

# If there is no python3, or if it is too old:   make demo PYTHON=python3.12
PYTHON ?= python3
VENV ?= .venv
# Settings of the demo.
PORT ?= 5000
ONCE ?=
SHOP ?= flask
# The number of processes that run tests. ARGS is passed to pytest unchanged, such as ARGS="-k failover".
WORKERS ?= 2
ARGS ?=
# The lowest coverage that make coverage accepts, in percent of lines. Measured on Python 3.13: 92.
COVERED ?= 90

PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --no-input
# The lock files name every distribution with its hashes. Our own package is built from this folder with their tools.
INSTALL := $(PIP) install -qq --require-hashes --requirement
INSTALL_OURS := $(PIP) install -qq --no-deps --no-build-isolation --editable .

.DEFAULT_GOAL := help
.PHONY: help demo test upstream screenshots bench bars compare fleet chaos test-scylla lint types docs tables package coverage format lock dev clean distclean
.DELETE_ON_ERROR:

help:
	@echo "make demo       runs a shop on http://127.0.0.1:$(PORT), over a local cluster of three nodes (PORT=, ONCE=1, SHOP=django, SHOP=fastapi)"
	@echo "make test       runs the whole test suite (WORKERS=, ARGS=)"
	@echo "make upstream   runs PynamoDB's own unit tests over this library (downloads its source distribution)"
	@echo "make chaos      injects faults for a quarter of an hour, and counts lost writes, errors and slow requests (ARGS=\"--seconds 5\")"
	@echo "make test-scylla  runs the tests that must pass on any cluster on the cluster at ALTERNATOR_URL="
	@echo "make bench      measures what a request costs, with this library and with others; writes docs/benchmarks.md"
	@echo "make bars       measures whether requests stay below their limits of CPU (ARGS=\"--only get\")"
	@echo "make compare OTHER=path  compares what a request costs in this checkout and in another one"
	@echo "make fleet      simulates what 10,000 clients cost a cluster; ARGS=--write writes docs/scale.md"
	@echo "make screenshots  takes the screenshots of the demo for the documentation (needs Chromium)"
	@echo "make lint       runs ruff, and checks the direction of imports"
	@echo "make types      runs mypy (strict), and pyright on a project that uses this library"
	@echo "make docs       builds the documentation in docs/_build/html, and checks its links"
	@echo "make tables     writes the tables of settings and modules in docs/, from the code"
	@echo "make package    builds the wheel and the source distribution in dist/, and checks their contents"
	@echo "make coverage   runs the tests of the rooms, and checks that they cover $(COVERED) percent of the package (Python 3.12)"
	@echo "make format     formats the code with ruff"
	@echo "make dev        makes the virtual environment $(VENV) with everything for developing"
	@echo "make lock       updates the lock files to the newest versions of the dependencies"
	@echo "make clean      removes everything that was built; make distclean also removes $(VENV)"

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
		echo "make: name the cluster: make test-scylla ALTERNATOR_URL=http://10.0.0.1:8000" >&2; \
		echo "      (docker-compose.yml starts a cluster of three nodes)" >&2; exit 1; }
	ALTERNATOR_URL="$(ALTERNATOR_URL)" $(PY) -m pytest tests/scylla $(ARGS)

screenshots: $(VENV)/.dev
	@$(PIP) install -qq pillow
	$(PY) -m tests.browser.screenshots

bench: $(VENV)/.dev
	$(PY) -m benchmarks --write

bars: $(VENV)/.dev
	$(PY) -m benchmarks.bars $(ARGS)

compare: $(VENV)/.dev
	@test -n "$(OTHER)" || { echo "make: name the other checkout: make compare OTHER=../before" >&2; exit 1; }
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

tables: $(VENV)/.dev
	$(PY) -m tests.settings_table
	$(PY) -m tests.architecture

package: $(VENV)/.dev
	rm -rf dist
	$(PY) -m build --no-isolation --outdir dist .
	$(PY) -m twine check --strict dist/*
	$(PY) -m tests.packaging dist

# Of the tests of the rooms, each in its folder: what only a whole cluster or a browser reaches is not counted.
coverage: $(VENV)/.dev
	@$(PY) -c 'import sys; sys.exit(sys.version_info < (3, 12))' || { \
		echo "make: coverage is measured by sys.monitoring, which needs Python 3.12 or newer:" >&2; \
		echo "      make coverage VENV=.venv-coverage PYTHON=python3.13" >&2; exit 1; }
	$(PY) -m pytest -n $(WORKERS) --ignore tests/e2e --ignore tests/browser --cov --cov-report=term:skip-covered --cov-fail-under=$(COVERED) $(ARGS)

format: $(VENV)/.dev
	$(PY) -m ruff format .
	$(PY) -m ruff check --fix-only .

dev: $(VENV)/.dev

# The packages for the demo, and those for developing. The two lock files have the same version of each package.
$(VENV)/.demo: requirements/demo.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "Installing the packages for the demo into $(VENV) ..."
	@$(INSTALL) requirements/demo.lock
	@$(INSTALL_OURS)
	@touch $@

$(VENV)/.dev: requirements/dev.lock pyproject.toml $(VENV)/pyvenv.cfg
	@echo "Installing the packages for developing into $(VENV) ..."
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
	rm -rf build dist docs/_build .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage* .ci-venv
	find pynamodb_alternator example_app tests docs -name __pycache__ -type d -prune -exec rm -rf {} +

distclean: clean
	rm -rf $(VENV)
