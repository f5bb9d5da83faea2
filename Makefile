# gristmill: `make run` sets everything up and runs the main job; the other targets are listed by `make`.
SHELL := /usr/bin/env bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

BIN := .venv/bin
SETUP := .venv/setup.stamp
PHOTOS := .gristmill/photos.stamp

ifdef CORPUS
LAKE ?= .gristmill/own-lake
else
LAKE ?= .gristmill/lake
endif

.PHONY: help run setup test test-fast test-line test-parts test-kills chaos check format bench bench-index bench-scale bench-embed clean

help:  ## list the targets
	@echo "make TARGET:"
	@grep -hE '^[a-z-]+:.*##' Makefile | sed -E 's/:.*## */|/' \
		| awk -F '|' '{printf "  %-11s %s\n", $$1, $$2}'

setup: $(SETUP)  ## create .venv from requirements.lock (every other target does it when needed)

$(SETUP): requirements.lock requirements-nodeps.lock pyproject.toml tools/setup.sh
	@PYTHON="$(PYTHON)" tools/setup.sh
	@touch $@

$(PHOTOS): samples/photos.py $(SETUP)
	@$(BIN)/python samples/photos.py .gristmill/photos
	@touch $@

ifdef CORPUS
run: $(SETUP)  ## index the samples and search them, or your folder: make run CORPUS=dir LAKE=dir
	@$(BIN)/gristmill run "$(CORPUS)" --lake "$(LAKE)"
	@echo
	@echo "Search it:  $(BIN)/gristmill search \"your words\" --lake \"$(LAKE)\""
else
run: $(SETUP) $(PHOTOS)
	@$(BIN)/gristmill run samples/corpus .gristmill/photos --lake "$(LAKE)"
	@$(BIN)/python samples/demo.py "$(LAKE)"
endif

# In this order, so that two jobs (.ci/run) are busy to the end: the longest begins first.
test: test-fast test-line test-parts test-kills  ## run the tests, the fast ones first

SLOW := (slow or ray or chaos or gpu) and not long

test-fast: $(SETUP)  ## run the tests that take no more than a few seconds
	@$(BIN)/python -m pytest -q -m "not (slow or ray or chaos or gpu or long)"

test-line: $(SETUP) $(PHOTOS)  ## run the slow tests of the whole line: runs, flows, the README
	@$(BIN)/python -m pytest -q --durations=15 -m "$(SLOW)" tests/integration

test-parts: $(SETUP) $(PHOTOS)  ## run the slow tests of single parts
	@$(BIN)/python -m pytest -q --durations=15 -m "$(SLOW)" \
		tests --ignore=tests/integration --ignore=tests/chaos

test-kills: $(SETUP) $(PHOTOS)  ## run the tests that kill, those of them that the gate has time for
	@$(BIN)/python -m pytest -q --durations=15 -m "$(SLOW)" tests/chaos

chaos: export GRISTMILL_CHAOS_POINTS ?= all
chaos: export GRISTMILL_CHAOS_HISTORIES ?= 100
chaos: export GRISTMILL_INDEX_STEPS ?= 500
chaos: export GRISTMILL_CHAOS_TALLY ?= .gristmill/chaos.jsonl
chaos: $(SETUP)  ## kill runs, gc and forget at every write and at any moment; overlap; damage (hours)
	@mkdir -p "$$(dirname "$$GRISTMILL_CHAOS_TALLY")" && rm -f "$$GRISTMILL_CHAOS_TALLY"
	@$(BIN)/python -m pytest -q -m chaos tests/chaos
	@$(BIN)/python -m pytest -q -m "long and not chaos" tests
	@$(BIN)/python -m tests.chaos.tally "$$GRISTMILL_CHAOS_TALLY"

check: $(SETUP)  ## format, lint, types, layers, size limits
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python tools/check_sizes.py

format: $(SETUP)  ## format the code and apply safe fixes
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(SETUP)  ## our throughput as a share of the bare limit: text and video
	@$(BIN)/python -m benchmarks.throughput

bench-index: $(SETUP)  ## autofaiss and us on the same million vectors at the same budget (hours)
	@$(BIN)/python -m benchmarks.indexing .gristmill/bench-index

bench-scale: $(SETUP)  ## what a vector costs from 1 to 10 million rows, into docs/scale.md (hours)
	@$(BIN)/python -m benchmarks.scale .gristmill/bench-scale --write

bench-embed: $(SETUP)  ## an encoder beside its bare model, on docs/ or CORPUS=dir (10 minutes)
	@$(BIN)/python -m benchmarks.embed "$(or $(CORPUS),docs)"

clean:  ## remove .venv, the sample lake and caches
	@rm -rf .venv .gristmill build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
