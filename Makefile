# Needs Python 3.11 or newer, make and git; everything else goes into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip -qq --disable-pip-version-check
INPUTS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint format types imports unit slow peers wheel-check clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.core ## install the core and watch a simulated market being traded
	@$(BIN)/mdm demo

test: lint types imports unit wheel-check ## everything that CI checks

lint: $(VENV)/.dev ## ruff
	$(BIN)/ruff check .

format: $(VENV)/.dev ## rewrite the code as ruff likes it
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

types: $(VENV)/.dev ## mypy --strict
	$(BIN)/mypy

imports: $(VENV)/.dev ## which module may import which
	$(BIN)/lint-imports

unit: $(VENV)/.dev ## the tests, without the slow ones
	$(BIN)/pytest -n 2 --dist loadgroup

slow: $(VENV)/.dev ## the longer campaigns
	$(BIN)/pytest -n 2 -m slow

peers: ## speed beside other engines, each in an environment of its own (some minutes)
	@$(PYTHON) -m benchmarks.peers

wheel-check: $(VENV)/.dev ## build the wheel, check its files, import all of it in an empty environment
	@out=$$(mktemp -d) && trap 'rm -rf "$$out"' EXIT && \
	$(BIN)/python -m build --wheel --no-isolation --outdir "$$out" . >"$$out/log" 2>&1 \
		|| { cat "$$out/log"; exit 1; }; \
	$(BIN)/python tools/check_wheel.py "$$out"

clean: ## remove the environment and all caches
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# One environment, two stamps: .core has what a user gets, .dev has the tools as well.
$(VENV)/.core: $(INPUTS) | $(VENV)/.made
	@echo "installing mdm-engine into $(VENV)"
	@$(PIP) install -c constraints.txt -e .
	@touch $@

$(VENV)/.dev: $(INPUTS) | $(VENV)/.made
	@echo "installing mdm-engine and its development tools into $(VENV)"
	@$(PIP) install -c constraints.txt -e '.[dev]'
	@touch $(VENV)/.core $@

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
		|| { echo "error: '$(PYTHON)' is not Python 3.11 or newer; try: make PYTHON=python3.11 ..." >&2; exit 1; }
	@$(PYTHON) -c 'import venv, ensurepip' 2>/dev/null \
		|| { echo "error: '$(PYTHON)' has no venv module; on Debian: apt-get install python3-venv" >&2; exit 1; }
	@$(BIN)/python -m pip --version >/dev/null 2>&1 || $(PYTHON) -m venv --clear $(VENV)
	@touch $@
