# Everything a newcomer needs is Python 3.11 or later and make.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
STAMP  := $(VENV)/.installed
RUN    ?= runs/demo

.DEFAULT_GOAL := help
.PHONY: help install demo test lint format clean bench bench-mine bench-options bench-generate bench-generate-gpu bench-growth

help:
	@echo "make demo    install into .venv and distil a small student into $(RUN): about 15 minutes on 2 cores"
	@echo "make test    every check: ruff, format, architecture, types, tests"
	@echo "make lint    the checks without the tests"
	@echo "make format  put the code into ruff's format"
	@echo "make install make .venv and install, nothing else"
	@echo "make bench   every benchmark for CPUs, into tests/benchmarks/results: an hour or more; bench-NAME for one"
	@echo "make clean   remove .venv and caches; runs/ stays"

install: $(STAMP)

$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Python 3.11 or later is needed, as in: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null || \
	  { echo "Python's venv module is missing; on Debian and Ubuntu: apt install python3-venv" >&2; exit 1; }
	@echo "Installing into $(VENV) (about 6 GB, a few minutes) …"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

demo: $(STAMP)
	@$(BIN)/cjd distill $(RUN) --recipe tiny

lint: $(STAMP)
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports
	@$(BIN)/pyright

test: lint
	@$(BIN)/pytest

bench: bench-mine bench-options bench-generate bench-growth

bench-generate: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.generate

bench-generate-gpu: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.generate_gpu

bench-options: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.options

bench-mine: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.mine

bench-growth: $(STAMP)
	@$(BIN)/python -m tests.benchmarks.growth

format: $(STAMP)
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
