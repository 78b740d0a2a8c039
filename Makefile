# The short list of commands a person types. `make demo` and `make test` need nothing but Python
# 3.11 or newer; they make their own virtual environment.

VENV   := .venv
PYTHON := $(VENV)/bin/python
.DEFAULT_GOAL := help

help:  ## this list
	@grep -hE '^[a-z-]+:.*##' Makefile | awk -F ':.*## ' '{printf "make %-10s %s\n", $$1, $$2}'

$(VENV)/installed: requirements-dev.txt requirements.txt agent/requirements.txt retro_contest/requirements.txt pyproject.toml
	@echo "Making the virtual environment in $(VENV) (once; a few minutes) ..."
	@test -x $(PYTHON) || python3 -m venv $(VENV)
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt
	@$(PYTHON) -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation --editable .
	@touch $@

demo: $(VENV)/installed  ## the shipped agent on a level it never saw: a table and a film
	$(PYTHON) -m analysis.demo

pretrain: $(VENV)/installed  ## train V, M and C from zero on Pangolin Dash (about 100 minutes on 2 cores)
	$(PYTHON) -m pretrain all --config configs/pangolin.yaml

test: $(VENV)/installed  ## the tests, on the real emulator (under 10 minutes on 2 cores)
	$(PYTHON) -m pytest -n 2 --dist loadfile -m "not slow"

test-slow: $(VENV)/installed  ## the slow tests: kills, rebuilds, every single act (CI runs both)
	$(PYTHON) -m pytest -n 2 --dist loadfile -m slow

fuzz: $(VENV)/installed  ## hostile input for every reader, many examples (FUZZ_FACTOR=50 times `make test`)
	FUZZ=long $(PYTHON) -m pytest tests/fuzz -n 2 --dist loadfile --timeout 0

chaos: $(VENV)/installed  ## SIGKILL at random moments of every long command, 20 times each (KILLS=20)
	$(PYTHON) -m tests.chaos --kills $(or $(KILLS),20)

lint: $(VENV)/installed  ## style and format (ruff), floors of imports (import-linter), types (mypy)
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .
	$(VENV)/bin/lint-imports
	$(PYTHON) -m mypy

bench: $(VENV)/installed  ## every speed benchmark against its peer (quick versions)
	$(PYTHON) -m benchmarks.wire --quick
	$(PYTHON) -m benchmarks.environment --quick
	$(PYTHON) -m benchmarks.simulator --quick
	$(PYTHON) -m benchmarks.world_model --quick
	$(PYTHON) -m benchmarks.training --quick

game: $(VENV)/installed  ## rebuild Pangolin Dash: ROM, save-states, integration (needs gcc-m68k-linux-gnu)
	$(PYTHON) -m pangolin_dash.build

wheel: $(VENV)/installed  ## build both distributions into dist/: the contest, and gym_remote alone
	$(PYTHON) -m pip wheel --quiet --no-deps --no-build-isolation --wheel-dir dist . ./gym_remote

clean:  ## remove results and build output; runs/ (pretraining) stays
	rm -rf results dist build gym_remote/build *.egg-info gym_remote/*.egg-info .import_linter_cache .mypy_cache

clean-runs:  ## remove runs/, the output of pretraining; asks first
	@test -d runs || { echo "there is no runs/"; exit 0; }; \
	du -sh runs; printf 'Remove runs/ with all that was trained? [y/N] '; \
	read -r answer && [ "$$answer" = y ] && rm -rf runs || echo "runs/ stays"

.PHONY: help demo pretrain test test-slow fuzz chaos lint bench game wheel clean clean-runs
