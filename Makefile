# `make` lists the targets. Everything happens in a virtual environment inside the checkout; nothing else is touched.
#
# PYTHON  the interpreter that makes the environment (default: the first of 3.13, 3.12, 3.11 and python3 that is >= 3.11)
# VENV    where the environment is (default: .venv); an environment keeps the Python that it was made with
# JOBS    how many processes run the tests (some wait for a real clock, so one more than two cores is no waste)
# ARGS    more arguments for pytest, as in: make unit ARGS='-k resume -x'

VENV ?= .venv
JOBS ?= 3
ARGS ?=
CONSTRAINTS := constraints.txt

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --no-input
# Recorded in the environment when its installation ended, so that the next run begins at once.
RUN_STAMP := $(VENV)/.gatewright-run
DEV_STAMP := $(VENV)/.gatewright-dev

TESTED := 3.11 3.12 3.13
is_new_enough = import sys; sys.exit(sys.version_info < (3, 11))
# A name on PATH need not be an interpreter that starts (pyenv's shims are not), so each candidate is tried.
find_python = for python in python3.13 python3.12 python3.11 python3 python; do \
	"$$python" -c '$(is_new_enough)' >/dev/null 2>&1 && { command -v "$$python"; break; }; done

SHELL := /bin/sh
MAKEFLAGS += --no-print-directory
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

say = @printf '\n== %s\n' "$(1)"

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "make %-15s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# -- for users ---------------------------------------------------------------------------------------------------------

.PHONY: demo
demo: $(RUN_STAMP) ## see the engine at work: an embedded gateway, a race before and after, a tour of faults
	@$(BIN)/gatewright demo

# -- checks ------------------------------------------------------------------------------------------------------------

.PHONY: test lint types imports unit adapters soak soak-dispatches soak-sim proof fuzz pythons oldest sabotage
test: lint types imports unit ## every check that CI runs

lint: $(DEV_STAMP) ## ruff: rules and format
	$(call say,ruff)
	@$(BIN)/ruff check --quiet .
	@$(BIN)/ruff format --check --quiet .

types: $(DEV_STAMP) ## mypy and pyright, both strict
	$(call say,mypy)
	@$(BIN)/mypy
	$(call say,pyright)
	@$(BIN)/pyright --pythonpath $(BIN)/python

imports: $(DEV_STAMP) ## import linter: arrows between the rooms only point down
	$(call say,import linter)
	@$(BIN)/lint-imports --no-logo --no-cache

unit: $(DEV_STAMP) ## pytest with branch coverage
	$(call say,pytest)
	@$(BIN)/pytest -n $(JOBS) --dist loadfile --cov --cov-report=term $(ARGS)

adapters: $(DEV_STAMP) ## the adapters' tests with disnake, nextcord, py-cord and interactions.py, each in an environment of its own
	@for library in disnake nextcord py-cord interactions; do \
		printf '\n== %s\n' "$$library"; \
		$(BIN)/python -m venv "build/adapters/$$library" || exit 1; \
		"build/adapters/$$library/bin/python" -m pip --disable-pip-version-check --no-input install --quiet \
			--constraint constraints-adapters.txt --editable ".[$$library]" \
			hypothesis pytest pytest-trio trustme uvloop || exit 1; \
		GATEWRIGHT_REQUIRE="$$library" "build/adapters/$$library/bin/python" -m pytest --quiet \
			tests/embed/test_discord_family.py tests/embed/test_discord_programs.py tests/embed/test_interactions.py $(ARGS) || exit 1; \
	done

soak: $(DEV_STAMP) ## the property tests, long and with new random seeds; stop it when you like
	$(call say,pytest (soak))
	@GATEWRIGHT_HYPOTHESIS=soak $(BIN)/pytest -n $(JOBS) --dist loadfile -m 'not slow' $(ARGS)

soak-dispatches: $(RUN_STAMP) ## ten million dispatches through one shard, with resets on the way (docs/robustness.md)
	@$(BIN)/python -m gatewright.harness.soak $(ARGS)

soak-sim: $(DEV_STAMP) ## a hundred thousand simulated lives of a shard, some cancelled at every step (docs/proof.md)
	@$(BIN)/python -m gatewright.harness.sim --lives 100000 --cancel 40 $(ARGS)
	@$(BIN)/python -m gatewright.harness.sim --driven 10000 $(ARGS)

proof: $(DEV_STAMP) ## all layers of the proof in their long forms, and docs/proof.md from their figures (hours)
	@$(BIN)/python -m gatewright.harness.proof $(ARGS)

fuzz: $(DEV_STAMP) ## a million drawn frames, each step judged; then those to which coverage leads (docs/robustness.md)
	@$(BIN)/python -m gatewright.harness.fuzz $(ARGS)
	@mkdir -p build
	@if $(BIN)/python -c 'import atheris' 2>/dev/null; then \
		$(BIN)/python -m gatewright.harness.fuzz.guided -runs=100000 -max_len=1024 -artifact_prefix=build/; \
	else \
		echo "The guided fuzzer was passed over: pip install 'gatewright[fuzz]' (Linux, Python 3.11 to 3.13)"; \
	fi

sabotage: $(DEV_STAMP) ## break the engine line by line: the test that claims each demand must go red (minutes)
	$(call say,sabotage)
	@GATEWRIGHT_SABOTAGE=all $(BIN)/pytest -n $(JOBS) tests/conformance/test_sabotage.py $(ARGS)

# An interpreter that is absent is named and passed over.
pythons: ## the tests on each of the Python versions that are supported and present, in .venv-3.x
	@for version in $(TESTED); do \
		python=; \
		for candidate in "python$$version" "$${PYENV_ROOT:-$$HOME/.pyenv}"/versions/"$$version".*/bin/python; do \
			if "$$candidate" -c 'pass' >/dev/null 2>&1; then python=$$candidate; break; fi; \
		done; \
		if [ -n "$$python" ]; then \
			printf '\n== Python %s\n' "$$version"; \
			$(MAKE) unit PYTHON="$$python" VENV=".venv-$$version" || exit 1; \
		else \
			printf '\n== Python %s is not here: passed over\n' "$$version"; \
		fi; \
	done

oldest: ## the engine's tests with the oldest versions that pyproject.toml allows, in .venv-oldest
	@mkdir -p build
	@sed -n '/^dependencies = \[/,/^]/ s/^ *"\(.*\)>=\(.*\)",$$/\1==\2/p' pyproject.toml > build/oldest.txt
	@$(MAKE) unit VENV=.venv-oldest CONSTRAINTS=build/oldest.txt ARGS='--ignore=tests/house $(ARGS)'

# -- measurements ------------------------------------------------------------------------------------------------------

.PHONY: bench
bench: $(DEV_STAMP) ## everything that is measured, beside whichever of hikari and discord.py are installed (ten minutes)
	@$(BIN)/python -m benchmarks all --installed-peers --rounds 3 $(ARGS)

# -- products ----------------------------------------------------------------------------------------------------------

.PHONY: diagrams clean distclean
diagrams: $(DEV_STAMP) ## write the generated pictures and pages again
	@$(BIN)/python -m gatewright.diagrams
	@$(BIN)/python -m tests.conformance
	@$(BIN)/python -m gatewright.harness.explore.gateway_projection
	@$(BIN)/python -m gatewright.harness.proof --from docs/proof.json

clean: ## remove build products, caches and reports
	@rm -rf build dist *.egg-info .coverage .coverage.* coverage.xml htmlcov \
		.hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	@find . -name __pycache__ -type d -not -path './.venv*' -prune -exec rm -rf {} +

distclean: clean ## also remove the environments
	@rm -rf .venv .venv-*

# -- the environment ---------------------------------------------------------------------------------------------------

# Not a file of the environment, since those are older than the day it was installed on; and no prerequisite, because
# an environment that exists is used as it is.
$(BIN)/python:
	@python="$(PYTHON)"; [ -n "$$python" ] || python=$$($(find_python)); \
	if [ -z "$$python" ]; then \
		echo "No Python 3.11 or newer was found. Install one, or name it: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
	fi; \
	if ! "$$python" -c '$(is_new_enough)'; then \
		echo "$$python does not run, or is older than Python 3.11. Name another: make PYTHON=/path/to/python3.12 ..." >&2; exit 1; \
	fi; \
	echo "Making $(VENV) with $$("$$python" --version)"; \
	"$$python" -m venv --clear "$(VENV)"

# setuptools comes first and builds without isolation, so that the constraints decide its version as well.
$(RUN_STAMP): pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing gatewright into $(VENV)"
	@$(PIP) install --quiet --constraint $(CONSTRAINTS) 'setuptools>=77'
	@$(PIP) install --quiet --constraint $(CONSTRAINTS) --no-build-isolation --editable .
	@touch $@

$(DEV_STAMP): pyproject.toml $(CONSTRAINTS) | $(BIN)/python
	@echo "Installing gatewright and what its checks need into $(VENV) (a minute or so)"
	@$(PIP) install --quiet --constraint $(CONSTRAINTS) 'setuptools>=77'
	@$(PIP) install --quiet --constraint $(CONSTRAINTS) --no-build-isolation --editable '.[dev]'
	@touch $@ $(RUN_STAMP)
