# Everything runs from here: `make demo` and `make test` need python3, make and a compiler, nothing else.
# The environment is .venv, made from the pins (versions and hashes) of requirements.txt.

UV_VERSION := 0.13.9

BIN   := .venv/bin
STAMP := .venv/.up-to-date

# The uv on PATH if it runs (a shim may be there without a uv behind it), else one of our own in .tools.
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .tools/bin/uv)
OWN_UV := $(filter .tools/bin/uv,$(UV))

# The first interpreter that is recent enough; name another with `make env PYTHON=/path/to/python`.
PYTHON := $(shell for name in python3 python3.13 python3.12 python3.14; do \
	$$name -c 'import sys; sys.version_info >= (3, 12) or sys.exit(1); print(sys.executable)' \
	2>/dev/null && break; done)

# Trust what the machine trusts, where it says what that is; never fetch an interpreter.
SYSTEM_CERTS := $(wildcard /etc/ssl/certs/ca-certificates.crt /etc/pki/tls/certs/ca-bundle.crt /etc/ssl/cert.pem)
ifneq ($(SYSTEM_CERTS),)
export UV_SYSTEM_CERTS ?= 1
endif
export UV_PYTHON_DOWNLOADS ?= never

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

.PHONY: help env demo test test-slow lint types format pins bench clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-10s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

env: $(STAMP) ## create or update .venv from the pins

demo: $(STAMP) ## fit and poststratify the bundled survey, tables and pictures in demo-output
	$(BIN)/mrp demo --out demo-output

test: $(STAMP) ## run the tests, without the slow ones (more options: ARGS="-k frame -x")
	$(BIN)/python -m pytest -n auto --dist loadfile -m "not slow" $(ARGS)

test-slow: $(STAMP) ## run only the slow tests
	$(BIN)/python -m pytest -m slow $(ARGS)

lint: $(STAMP) ## check style and formatting
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(STAMP) ## check the types, strictly
	$(BIN)/python -m mypy --strict mrp

format: $(STAMP) ## format the code and apply the safe fixes
	$(BIN)/ruff check --fix-only --exit-zero .
	$(BIN)/ruff format .

bench: $(STAMP) ## run the benchmarks, results in benchmarks/results
	$(BIN)/python -m benchmarks $(ARGS)

pins: $(OWN_UV) ## compile requirements.txt from pyproject.toml (newest versions: ARGS=--upgrade)
	env -u UV_FIND_LINKS -u UV_CONSTRAINT -u UV_OVERRIDE UV_NO_CONFIG=1 \
	$(UV) pip compile pyproject.toml --group dev --universal --python-version 3.12 \
		--generate-hashes --no-emit-index-url --no-emit-find-links \
		--custom-compile-command "make pins" --quiet $(ARGS) --output-file requirements.txt
	@! grep -n '://' requirements.txt || { echo "requirements.txt must name no address" >&2; exit 1; }

clean: ## delete everything that was made: environment, caches, demo output
	rm -rf .venv .tools demo-output build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# Bytecode is compiled now: where Python may not write it later, every import would take four times as long.
$(STAMP): requirements.txt pyproject.toml | $(OWN_UV) need-python
	@$(BIN)/python -c '' 2>/dev/null || { rm -rf .venv && $(UV) venv --python "$(PYTHON)" .venv; }
	$(UV) pip sync --python $(BIN)/python --require-hashes --compile-bytecode requirements.txt
	$(UV) pip install --python $(BIN)/python --no-deps --no-build-isolation --editable .
	$(BIN)/python -c 'from mrp.model.kernel import density; density.compile_all()'
	@touch $@

.tools/bin/uv: | need-python
	"$(PYTHON)" -m venv .tools
	.tools/bin/python -m pip install --quiet --disable-pip-version-check uv==$(UV_VERSION)

.PHONY: need-python
need-python:
	@test -n "$(PYTHON)" || { echo "mrp needs Python 3.12 or newer on PATH, or PYTHON=/path/to/python" >&2; exit 1; }
