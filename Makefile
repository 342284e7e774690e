# `make` alone says what there is. The venv follows pyproject.toml: a change there installs anew.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
TOOL   := $(BIN)/python -m
SOURCES := schemas engine worker scheduler api deploy tests

.DEFAULT_GOAL := help
.PHONY: help demo demo-kafka up test test-kafka test-rest conformance lint format generate bench clean

help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed ## Run the example flows on the embedded log, shown live and checked
	$(BIN)/python deploy/demo.py

demo-kafka: $(VENV)/.installed-dev ## The same on a real Kafka broker, each role its own process
	$(BIN)/python deploy/demo.py --kafka

up: $(VENV)/.installed ## A server on http://127.0.0.1:8080 until Ctrl-C; data in .tiercel
	$(BIN)/tiercel server --port 8080 --data .tiercel

test: $(VENV)/.installed-dev ## Every test, with a real broker and a real PostgreSQL
	@$(MAKE) --no-print-directory -j2 --output-sync=line test-kafka test-rest

# Most of the time of a test is waiting. One run has all that need the broker: there is one.
test-kafka: $(VENV)/.installed-dev
	$(TOOL) pytest -q -m kafka

test-rest: $(VENV)/.installed-dev
	$(TOOL) pytest -q -m "not kafka"

conformance: $(VENV)/.installed-dev ## Cases recorded on Kestra: CASES=flows.jsonl FLOWS=folder
	@test -n "$(CASES)$(RESULTS)" -a -n "$(FLOWS)" || \
	  { echo "Expected CASES=<file> FLOWS=<folder>, or RESULTS=<file> FLOWS=<folder>"; exit 2; }
	$(if $(CASES),$(TOOL) tests.conformance.run_flows "$(CASES)" "$(FLOWS)" \
	  $(if $(ONLY),--only "$(ONLY)") $(if $(AT_ONCE),--at-once $(AT_ONCE)))
	$(if $(RESULTS),$(TOOL) tests.conformance.run_results "$(RESULTS)" "$(FLOWS)" \
	  $(if $(ONLY),--only "$(ONLY)"))

lint: $(VENV)/.installed-dev ## Style, types, import contracts, generated code
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python schemas/generate.py --check

format: $(VENV)/.installed-dev ## Put the sources into their form
	$(BIN)/ruff check --fix $(SOURCES)
	$(BIN)/ruff format $(SOURCES)

generate: $(VENV)/.installed-dev ## Write the records anew from schemas/**/*.avsc
	$(BIN)/python schemas/generate.py

bench: $(VENV)/.installed-dev ## Measure; writes bench.json
	$(BIN)/python tests/benchmarks/run.py

clean: ## Remove the venv, caches and the data of `make up`
	rm -rf $(VENV) .tiercel .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "Expected Python 3.11 or newer: make PYTHON=/path/to/python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	$(TOOL) pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	$(TOOL) pip install --quiet --disable-pip-version-check --editable '.[dev]'
	@touch $@ $(VENV)/.installed
