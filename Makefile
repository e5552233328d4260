# Everything is installed into .venv from hash-locked lists; a stamp file remembers what is up to date,
# so a second run of any target starts at once. `make help` lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -euo pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

# The first interpreter that is new enough; override with `make PYTHON=/path/to/python3.12 …`.
NEW_ENOUGH := import sys; sys.exit(sys.version_info < (3, 11))
PYTHON ?= $(shell for python in python3 python3.13 python3.12 python3.11 python; do \
	if $$python -c '$(NEW_ENOUGH)' >/dev/null 2>&1; then echo $$python; break; fi; done)

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check install --quiet
NODE := tests/e2e
CODE := kici_gql tests examples conftest.py
ARGS ?=

# Compiled modules are kept even where the environment says not to: each of the many processes that the tests start would
# compile all of ours again, for half a second of CPU.
PYTEST := PYTHONDONTWRITEBYTECODE= $(BIN)/python -m pytest

.PHONY: help demo serve install test test-browser bench check lint format types schema schema-check node-deps lock upgrade build clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# ── Run ──────────────────────────────────────────────────────────────────────────────────────────────────────────────

demo: $(VENV)/.runtime ## a server and a live fleet on this machine (ARGS="--port 9000" …)
	$(BIN)/kici-gql demo $(ARGS)

serve: $(VENV)/.runtime ## the server alone
	$(BIN)/kici-gql serve $(ARGS)

# ── Check ────────────────────────────────────────────────────────────────────────────────────────────────────────────

test: $(VENV)/.dev node-deps ## the test suite (ARGS="-k cursor" …)
	$(PYTEST) -n auto --maxprocesses 4 --dist loadfile --no-loadscope-reorder -m "not browser" $(ARGS)

# A process of their own: Playwright's loop runs in the thread that every other test wants one in.
test-browser: $(VENV)/.dev node-deps ## the web view in Chromium (ARGS="-k playground" …)
	$(PYTEST) -n auto --maxprocesses 3 --dist worksteal -m browser $(ARGS)

bench: $(VENV)/.dev ## the benchmarks, one after the other; prints figures, asserts none
	@for bench in tests/bench/bench_*.py; do echo "── $$bench"; $(BIN)/python "$$bench" $(ARGS); done

lint: $(VENV)/.dev ## style and layout of the code
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

format: $(VENV)/.dev ## put the code into form
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

schema: $(VENV)/.runtime ## write schema.graphql
	$(BIN)/kici-gql schema export > $(VENV)/schema.graphql
	mv $(VENV)/schema.graphql schema.graphql

schema-check: $(VENV)/.runtime ## is schema.graphql what the code says?
	$(BIN)/kici-gql schema export | diff -u schema.graphql -

check: test lint types schema-check ## everything that CI runs

# ── Install ──────────────────────────────────────────────────────────────────────────────────────────────────────────

install: $(VENV)/.dev node-deps ## everything a developer needs

$(VENV)/.created:
	@test -n "$(PYTHON)" || { echo "kici_gql needs Python 3.11 or newer; name one with PYTHON=…" >&2; exit 1; }
	@echo "installing into $(VENV) with $$($(PYTHON) --version) …"
	$(PYTHON) -m venv --clear $(VENV)
	@touch $@

# --no-build-isolation: the build backend comes from the lock too, so that nothing unhashed is ever downloaded.
$(VENV)/.runtime: requirements/runtime.txt pyproject.toml kici_gql/__init__.py $(VENV)/.created
	$(PIP) --require-hashes --no-deps -r requirements/runtime.txt
	$(PIP) --no-deps --no-build-isolation --editable .
	@touch $@

$(VENV)/.dev: requirements/dev.txt $(VENV)/.runtime
	$(PIP) --require-hashes --no-deps -r requirements/dev.txt
	@touch $@

# The interop tests drive npm packages. Without Node or npm's registry they are skipped, and say so; CI fails at that.
node-deps:
	@if ! command -v npm >/dev/null; then echo "no npm here: the Node interop tests will be skipped"; \
	elif [ ! $(NODE)/node_modules/.package-lock.json -nt $(NODE)/package-lock.json ]; then \
	{ npm ci --prefix $(NODE) --no-audit --no-fund --loglevel=error && touch $(NODE)/node_modules/.package-lock.json; } \
	|| echo "npm could not install its packages: the Node interop tests will be skipped"; fi

# ── Maintain ─────────────────────────────────────────────────────────────────────────────────────────────────────────

# One lock for every supported Python and platform, without any address in it. Needs `uv`; UPGRADE=--upgrade moves pins.
UPGRADE ?=
LOCK := uv pip compile pyproject.toml --universal --python-version 3.11 --generate-hashes --no-annotate \
	--custom-compile-command 'make lock' --quiet $(UPGRADE)

lock: ## rewrite requirements/*.txt after a change of pyproject.toml
	@command -v uv >/dev/null || { echo "make lock needs uv on the PATH: pip install uv" >&2; exit 1; }
	$(LOCK) --group build --output-file requirements/runtime.txt
	$(LOCK) --group dev --constraints requirements/runtime.txt --output-file requirements/dev.txt

upgrade: ## the same, with the newest versions that the bounds allow
	$(MAKE) lock UPGRADE=--upgrade

build: $(VENV)/.runtime ## the wheel, in dist/
	$(BIN)/python -m hatchling build --target wheel

clean: ## remove everything that make made
	rm -rf $(VENV) $(NODE)/node_modules dist .pytest_cache .mypy_cache .ruff_cache .hypothesis
	find $(wildcard kici_gql tests examples) -name __pycache__ -type d -prune -exec rm -rf {} +
