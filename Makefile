# Needs make and a Python of at least 3.11; everything else is set up here, in .tools and .venv.

PYTHON ?= $(shell for python in python3 python3.14 python3.13 python3.12 python3.11; do \
	$$python -c 'import sys; sys.version_info >= (3, 11) or sys.exit(1); print(sys.executable)' 2>/dev/null && break; \
	done)
UV := .tools/bin/uv
# Tried once more with the system's certificates, which a network's own proxy may need.
SYNC = $(UV) sync --frozen --python "$(PYTHON)"
BIN := .venv/bin
# Whatever is said to pytest, to the benchmarks: make test ARGS="-k stream"
ARGS ?=

export UV_PYTHON_DOWNLOADS := never

.PHONY: help setup demo test lint format bench clean
.DEFAULT_GOAL := help

help:
	@echo "make demo    start a gateway with a real local model and send it requests (ONCE=1: end after them)"
	@echo "make test    lint, types, import contracts, tests"
	@echo "make lint    the same without the tests"
	@echo "make format  put the code into its form"
	@echo "make bench   print the figures, beside the peers"
	@echo "make setup   only set up: .tools and .venv"
	@echo "make clean   remove what was made here"

setup: .venv/.made

demo: setup
	$(BIN)/gatewright demo $(if $(filter-out 0,$(ONCE)),--once)

test: lint
	$(BIN)/python -m pytest -n 2 --dist loadfile $(ARGS)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/pyright
	$(BIN)/lint-imports

format: setup
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: setup
	$(BIN)/python -m benchmarks $(ARGS)

clean:
	rm -rf .venv .tools .pytest_cache .ruff_cache .hypothesis .import_linter_cache dist
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.made: uv.lock pyproject.toml $(UV)
	$(SYNC) || $(SYNC) --system-certs
	@touch $@

# A Python without venv (Debian keeps it in python3-venv) may have pip, which does as well.
$(UV): .ci/uv.txt
	@test -n "$(PYTHON)" || { echo "make: there is no Python of at least 3.11 on the PATH" >&2; exit 1; }
	rm -rf .tools
	if "$(PYTHON)" -m venv .tools; then \
		.tools/bin/python -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/uv.txt; \
	else \
		rm -rf .tools && \
		"$(PYTHON)" -m pip install --quiet --disable-pip-version-check --require-hashes -r .ci/uv.txt --target .tools/uv && \
		mkdir .tools/bin && ln -s ../uv/bin/uv $@; \
	fi
	@touch $@
