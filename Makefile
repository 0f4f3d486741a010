# Everything below uses plain pip in a virtual environment of its own; nothing else is needed but Python 3.11 and git.
PYTHON ?= python3.11
VENV ?= .venv
BIN = $(VENV)/bin

.PHONY: help demo test test-all soak lint setup pictures

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(VENV)/installed ## install into .venv

demo: $(VENV)/installed ## train on synthetic people, evaluate, say where the pictures are
	$(BIN)/python scripts/train.py paf.width=8 heatmap.sigma=7

test: $(VENV)/installed ## the default tests (minutes)
	$(BIN)/python -m pytest

test-all: $(VENV)/installed ## the default and the slow tests, sweep engines included
	$(BIN)/python -m pip install --quiet --editable '.[dev,sweep]'
	$(BIN)/python -m pytest -m 'not soak and not gpu'

soak: $(VENV)/installed ## fuzzing, kills and long loads
	$(BIN)/python -m pytest -m soak

lint: $(VENV)/installed ## ruff, mypy and import-linter
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

pictures: $(VENV)/installed ## draw the pictures of docs anew
	$(BIN)/python -m benchmarks.target_pictures docs/images/targets
	$(BIN)/python -m benchmarks.sample_pictures docs/images/samples
