# Two commands for a newcomer: `make run` and `make test`. Everything they need is installed on the way.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
MLFLOW := .venv-mlflow

.DEFAULT_GOAL := help
.PHONY: help install neural run up env compose mlflow composer-bundle composer-check test test-neural lint format bench clean

help:  ## Show this list.
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-16s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: $(INSTALLED)  ## Make the virtual environment with the pinned dependencies.

$(INSTALLED): requirements.txt requirements-dev.txt requirements-notebooks.txt constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; v = sys.version_info[:3]; sys.exit(None if (3, 11, 3) <= v < (3, 13) else "Python 3.11 (from 3.11.3 on) or 3.12 is needed, found %d.%d.%d; set PYTHON=/path/to/python3.11" % v)'
	@echo "Installing the pinned dependencies into $(VENV); a few minutes the first time."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-dev.txt -c constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --editable .
	@touch $@

neural: $(INSTALLED)  ## Add PyTorch to it, for the neural retrievers and the two towers of keywords.
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check -r requirements-neural.txt -c constraints.txt

run: $(INSTALLED)  ## Watch a marketplace's recommender work, from raw events to revenue per user by arm.
	@$(BIN)/recsys demo

up: $(INSTALLED)  ## Start Airflow (scheduler, DAG processor, triggerer, UI) on this machine.
	@$(BIN)/recsys airflow

env:  ## Write the secrets of docker-compose.yaml into .env, once.
	@$(PYTHON) include/compose/env.py

compose: env  ## Start the same, and PostgreSQL, Redis and MLflow, in containers; needs Docker.
	@docker compose up --build

mlflow: $(MLFLOW)/.installed  ## Install the MLflow server beside the project, with its own pins, for the tests.

$(MLFLOW)/.installed: include/mlflow/requirements.txt
	@$(PYTHON) -m venv $(MLFLOW)
	@$(MLFLOW)/bin/python -m pip install --quiet --disable-pip-version-check -r include/mlflow/requirements.txt
	@touch $@

composer-bundle: $(INSTALLED)  ## Lay out dist/composer: all that the bucket of a Composer environment needs.
	@$(BIN)/recsys bundle

composer-check: $(INSTALLED)  ## Resolve the bundle's packages with those of the Composer image; needs the network.
	@$(BIN)/recsys bundle --check

test: $(INSTALLED) lint  ## Run the linters, the type checker, the layer contract and every test.
	@$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile

test-neural: neural  ## Run the tests that need PyTorch, which "make test" does without.
	@OMP_NUM_THREADS=1 $(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadfile tests/models tests/keywords tests/bench/test_told_the_form.py

lint: $(INSTALLED)  ## Run ruff, mypy, import-linter and sqlfluff.
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/sqlfluff lint --disable-progress-bar --processes 1 include/sql expectations

format: $(INSTALLED)  ## Let ruff and sqlfluff tidy the code.
	@$(BIN)/ruff check --fix . ; $(BIN)/ruff format .
	@$(BIN)/sqlfluff fix --disable-progress-bar include/sql expectations

bench: $(INSTALLED)  ## Measure one day of a large marketplace; prints seconds, rows/s and memory per stage.
	@$(BIN)/python bench/daily.py

clean:  ## Remove what the project wrote: the virtual environments, var/ and dist/.
	rm -rf $(VENV) $(MLFLOW) var dist
