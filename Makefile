# `make help` lists the targets. Everything installs into .venv; nothing outside this folder is touched.
SHELL := /bin/bash
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
SOURCES := loadgen planner reports scenarios tests

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format bench collector lock clean

help: ## List the targets
	@grep -hE '^[a-z]+:.*## ' $(MAKEFILE_LIST) | awk -F':.*## ' '{printf "  make %-10s %s\n", $$1, $$2}'

setup: $(STAMP) ## Make the virtual environment with the locked dependencies

$(STAMP): requirements.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit(f"Python 3.11 or newer is needed, this is {sys.version.split()[0]}; name another with make PYTHON=...")'
	@echo "setup: virtual environment in $(VENV), downloading and installing the locked packages (about a minute the first time)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --require-hashes -r requirements.txt
	@$(BIN)/python -m pip install --disable-pip-version-check --quiet --no-deps --no-build-isolation -e .
	@touch $@

demo: $(STAMP) ## Load the embedded stack, audit the run, plan for 1000 requests/s, write the reports
	@$(BIN)/honua-load demo

test: $(STAMP) ## Check and test; builds the real Collector where Go is present
	@if command -v go >/dev/null; then compose/otelcol/build || { [ "$$CI" != true ] || exit 1; }; \
	 else echo "test: no Go here, so tests against the real Collector are skipped (fail with CI=true)"; fi
	@$(MAKE) --no-print-directory check
	$(BIN)/python -m pytest

check: $(STAMP) ## Lint and type-check
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy

format: $(STAMP) ## Format the code
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

bench: $(STAMP) ## Measure the generator's cost per span and the planner's time
	$(BIN)/python -m tests.bench

collector: ## Build the OpenTelemetry Collector of compose/otelcol/builder.yaml (needs Go)
	@compose/otelcol/build

lock: $(STAMP) ## Resolve requirements.in into requirements.txt: exact versions, hashes, no index
	$(PYTHON) -m venv $(VENV)/lock && $(VENV)/lock/bin/pip install --quiet pip-tools
	$(VENV)/lock/bin/pip-compile --quiet --upgrade --allow-unsafe --generate-hashes --strip-extras --no-header \
	  --no-emit-index-url --no-emit-find-links --no-emit-trusted-host --output-file requirements.txt requirements.in

clean: ## Remove the virtual environment, caches, runs and reports
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build ./*.egg-info runs out
