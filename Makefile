# One front door: `make help` lists what there is.
SHELL := bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-print-directory

# A stack is a dozen processes, the suite starts hundreds: what one compiled, the next ones find.
unexport PYTHONDONTWRITEBYTECODE

VENV := .venv
BIN := $(VENV)/bin
RUNTIME := $(VENV)/.runtime-installed
DEV := $(VENV)/.dev-installed
PIP := $(BIN)/python -m pip --disable-pip-version-check

# The first Python that fits, unless PYTHON names one.
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 12))
PYTHON ?= $(shell for p in python3.11 python3.12 python3 python; do \
	"$$p" -c '$(FITS)' 2>/dev/null && { echo "$$p"; break; }; done)

# One line that changes while pip works on a terminal, silence elsewhere; errors always.
QUIETLY := awk -v tty="$$(test -t 1 && echo 1 || true)" ' \
	/^ *ERROR|^error/ { print; next } \
	tty && /^(Collecting|  Downloading|Installing|Building)/ { printf "\r\033[K  %.100s", $$0; fflush() } \
	END { if (tty) printf "\r\033[K" }'

# Three processes share the tests: on two cores, one of them mostly waits for a server to start.
# Whole files at a time, in the order of tests/support/sharing.py; ARGS='-n 0' runs them in one, as --pdb needs.
SHARED := -n 3 --dist loadfile --no-loadscope-reorder

.PHONY: help serve upgrade test test-long bench chaos soak check format build clean

help: ## list these targets
	@echo "Nereid: a control plane for NVIDIA Triton"; echo
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)
	@echo
	@echo "  Options go by ARGS, e.g. make serve ARGS=--no-sample, make test ARGS='-k router'"

serve: $(RUNTIME) build ## start everything on this machine; Ctrl-C stops it
	@$(BIN)/python -m stack serve $(ARGS)

upgrade: $(RUNTIME) build ## lead a running stack to the code that is here now; Triton goes on answering
	@$(BIN)/python -m stack upgrade

test: $(DEV) build ## the test suite (15 minutes on 2 cores)
	@tests/support/install_chromium.sh
	@tests/support/install_mlflow.sh
	@tests/support/install_prometheus.sh
	@$(BIN)/python -m pytest -m "not long" $(SHARED) $(ARGS)

test-long: $(DEV) build ## everything: full matrices, sanitizers, fuzzing, chaos
	@tests/support/install_chromium.sh
	@tests/support/install_mlflow.sh
	@tests/support/install_prometheus.sh
	@$(BIN)/python -m pytest $(SHARED) $(ARGS)

bench: $(DEV) build ## Nereid beside MLServer, LitServe, BentoML and Ray Serve (half an hour, on a quiet machine)
	@perf/peers/install_wrk.sh
	@$(BIN)/python -m perf.peers $(ARGS)

chaos: $(DEV) build ## faults on three servers under load: what failed, what was lost (20 minutes)
	@$(BIN)/python -m tests.chaos $(ARGS)

soak: $(DEV) build ## memory over an hour of load and changes; ARGS=publications, ARGS=storm
	@$(BIN)/python -m tests.chaos.soak $(ARGS)

check: $(DEV) ## lint, format, types, import contracts, migrations (under 45 s)
	@$(BIN)/python .ci/check.py

format: $(DEV) ## rewrite the code as `make check` wants it
	@$(BIN)/ruff check --fix --quiet . || true
	@$(BIN)/ruff format .

build: $(RUNTIME) ## compile the native router; nothing happens when it is up to date
	@$(BIN)/python -m backends.build

clean: ## remove state, rendered models, build outputs and caches (refused while a stack runs)
	@if [ -n "$(PYTHON)" ]; then NEREID_HOME= "$(PYTHON)" -m stack.lock; fi
	@rm -rf .nereid model_repository/live build backends/*/build *.egg-info \
		.mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis .coverage
	@find . -path ./$(VENV) -prune -o -name __pycache__ -type d -print0 | xargs -0 rm -rf
	@echo "clean; the environment $(VENV) is kept"

$(BIN)/python:
	@if [ -z "$(PYTHON)" ]; then \
		echo "Nereid needs Python 3.11 or 3.12, and none was found." >&2; \
		echo "Install one, or name it: make $(MAKECMDGOALS) PYTHON=/path/to/python3.12" >&2; \
		exit 1; fi
	@"$(PYTHON)" -c '$(FITS)' || { \
		echo "Nereid needs Python 3.11 or 3.12; PYTHON=$(PYTHON) is $$("$(PYTHON)" --version 2>&1)." >&2; \
		exit 1; }
	@echo "Making $(VENV) with $$("$(PYTHON)" --version)"
	@"$(PYTHON)" -m venv $(VENV) || { \
		echo "It has no venv module; on Debian: apt-get install python3-venv" >&2; rm -rf $(VENV); exit 1; }

$(RUNTIME): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what Nereid needs (the first time this takes a few minutes)"
	@$(PIP) install -c constraints.txt -e . 2>&1 | $(QUIETLY)
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing what Nereid and its checks need (the first time this takes a few minutes)"
	@$(PIP) install -c constraints.txt -e '.[dev]' 2>&1 | $(QUIETLY)
	@touch $@ $(RUNTIME)
