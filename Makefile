# One entry for people and CI. `make demo` and `make test` do all the set-up themselves.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin

.PHONY: help install demo test check sanitize emulate faults bench clean

help:            ## say what there is
	@sed -n 's/^\([a-z]*\): .*## /\1\t/p' $(MAKEFILE_LIST) | sort

$(VENV)/.installed: pyproject.toml CMakeLists.txt $(wildcard native/*.cpp native/*.hpp)
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "shortlist needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	@echo "installing shortlist into $(VENV) (once, about a minute)"
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --editable .
	@touch $@

$(VENV)/.installed-dev: $(VENV)/.installed
	@echo "installing what the tests need"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --upgrade "pip>=25.1"
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --group dev
	@touch $@

install: $(VENV)/.installed ## install the package into .venv

demo: $(VENV)/.installed ## index 6,825 command pages and search them with every pipeline
	@$(BIN)/python examples/demo.py

check: $(VENV)/.installed-dev ## lint, import order, types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/lint-imports
	$(BIN)/mypy

sanitize: $(VENV)/.installed-dev ## fuzz the kernels in C++ under AddressSanitizer and UndefinedBehaviorSanitizer
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/build_fuzzer.sh build/fuzz
	@if [ -x build/fuzz/fuzz ]; then build/fuzz/fuzz; else echo "no C++ compiler: no kernels to fuzz"; fi

emulate: $(VENV)/.installed-dev ## fuzz the kernels for AVX-512 and NEON on a processor that has neither
	@PATH="$(CURDIR)/$(BIN):$$PATH" sh tools/emulate.sh

test: check sanitize ## everything a change must pass (the faults fork often: a small process of their own forks fast)
	$(BIN)/python -m pytest -q tests/faults
	$(BIN)/python -m pytest -q --ignore=tests/faults

faults: $(VENV)/.installed-dev ## cause every fault on purpose; makes the table of docs/reliability.md
	$(BIN)/python -m tests.faults

bench: $(VENV)/.installed-dev ## measure against peers (installs them; see benchmarks/README.md)
	sh benchmarks/run.sh $(BIN)

clean:           ## remove what make made
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist
