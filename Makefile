# Everything runs in .venv, made by the first target that needs it and renewed when pyproject.toml changes.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet
# pip would compile every module of every package. Python compiles a module itself when it first imports it.
UNCOMPILED := --no-compile

.PHONY: help run test check faults bench native-sanitized native-fuzz clean

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## (.*)/make \1\t\2/' | expand -t 24

run: $(VENV)/.installed $(VENV)/.codecs ## the demo: a real Kafka, the worker, and the purchases of 2,357 customers
	@$(BIN)/customer-context demo

test: $(VENV)/.installed-dev $(VENV)/.codecs $(VENV)/.classes ## every test, with a short dose of the faults
	$(BIN)/pytest -n 4 --dist loadfile

check: $(VENV)/.installed-dev ## lint, formatting, types, layers
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -q tests/test_layers.py

faults: $(VENV)/.installed-dev $(VENV)/.codecs ## crashes, frozen processes, broken brokers: two hours; FAULTS="--dose short" for minutes
	$(BIN)/pytest -n 2 --dist loadfile -m long
	$(BIN)/python -m tests.faults --dose full --record $(FAULTS)

bench: $(VENV)/.installed-dev $(VENV)/.codecs ## the worker against Kafka Streams and others on this machine; BENCH=--full for all of it
	$(BIN)/python -m tests.benchmarks $(BENCH)

native-fuzz: $(VENV)/.installed-dev $(VENV)/.codecs ## a million damaged orders, and more, to the codecs in C and to their Python forms; minutes
	$(BIN)/python -m tests.native.fuzz

native-sanitized: $(VENV)/.installed-dev ## the tests of the codecs in C, built with the sanitizers of gcc
	CC=gcc LD_PRELOAD="$$(gcc -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0 PYTHONMALLOC=malloc \
	  TESTS_NATIVE_FLAGS="-DEXACT -g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all" \
	  $(BIN)/pytest --capture=no tests/native/test_same_bytes.py tests/native/test_counting.py

clean: ## remove the environment and what tools left; data stays in .data
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis

# Oldest first: 3.11 is what the project is developed on. A name that is there but does not start is passed over.
$(BIN)/python:
	@for python in $${PYTHON:-} python3.11 python3.12 python3.13 python3.14 python3 python; do \
	  if "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
	    echo "Making $(VENV) with $$("$$python" --version)"; \
	    exec "$$python" -m venv --clear $(VENV); \
	  fi; \
	done; \
	echo "Python 3.11 or newer with its venv module is needed, and none of the names python3.11 to python3.14," \
	     "python3 and python starts one. Install it, or name it: make run PYTHON=/path/to/python" >&2; \
	exit 1

$(VENV)/.installed: pyproject.toml | $(BIN)/python
	@echo "Installing customer-context into $(VENV)"
	@$(PIP) install $(UNCOMPILED) --editable .
	@touch $@

# Compiles what pip has not compiled already, and says what the worker will use. Without a C compiler nothing is missing.
$(VENV)/.codecs: worker/native/compiled.c worker/native/counting.h worker/native/build.py $(VENV)/.installed
	@$(BIN)/python -m worker.native || true
	@touch $@

# Kafka's classes as Java wants them, for the many brokers of the tests. Without it they take longer to start.
$(VENV)/.classes: tests/class_archive.py $(VENV)/.installed-dev
	@$(BIN)/python -m tests.class_archive || true
	@touch $@

$(VENV)/.installed-dev: pyproject.toml | $(BIN)/python
	@echo "Installing customer-context and its tests' tools into $(VENV)"
	@$(PIP) install $(UNCOMPILED) --editable '.[dev]'
	@touch $@ $(VENV)/.installed
