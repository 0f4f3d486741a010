# Everything below uses plain pip in a virtual environment of its own; nothing else is needed but Python 3.11 and git.
PYTHON ?= python3.11
PYTHONS ?= python3.11 python3.12 python3.13
VENV ?= .venv
BIN = $(VENV)/bin
JOBS ?= $(shell $(PYTHON) -c 'import os; print(os.cpu_count())')
# Each file of tests on one of JOBS processes, one thread each; a single test is quicker with plain pytest
PYTEST = -m pytest --numprocesses $(JOBS) --dist loadfile

.PHONY: help demo test test-all test-rest test-all-pythons test-lowest soak lint docs audit mutants setup pictures

help: ## say what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 18

$(VENV)/installed: pyproject.toml
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet torch==2.14.1 torchvision==0.29.1
	$(BIN)/python -m pip install --quiet --editable '.[dev]'
	@touch $@

setup: $(VENV)/installed ## install into .venv

demo: $(VENV)/installed ## train on synthetic people, evaluate, say where the pictures are
	$(BIN)/python scripts/train.py paf.width=8 heatmap.sigma=7

test: $(VENV)/installed ## the default tests (minutes)
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST)

test-all: $(VENV)/installed ## the default and the slow tests, sweep engines and readers of labels included
	$(BIN)/python -m pip install --quiet --editable '.[dev,sweep,labs]'
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m 'not soak and not gpu'

test-all-pythons: $(PYTHONS:%=test-on-%) ## the default tests on each of PYTHONS, in environments of their own

test-on-%:
	@$* -c '' 2> /dev/null || { \
	  echo "$* does not start. Install it, or name those to use: make test-all-pythons PYTHONS='$(PYTHON)'"; exit 1; }
	$* -m venv $(VENV)-$*
	$(VENV)-$*/bin/python -m pip install --quiet --upgrade --editable '.[test]'
	OMP_NUM_THREADS=1 $(VENV)-$*/bin/python $(PYTEST)

test-lowest: ## the default tests with the oldest releases that pyproject.toml allows
	$(PYTHON) -m venv $(VENV)-lowest
	$(VENV)-lowest/bin/python -m pip install --quiet uv
	$(VENV)-lowest/bin/uv pip install --quiet --python $(VENV)-lowest --resolution lowest-direct --editable '.[test]'
	OMP_NUM_THREADS=1 $(VENV)-lowest/bin/python $(PYTEST)

test-rest: $(VENV)/installed ## what test leaves out of test-all: slow tests, and those of the extra labs
	$(BIN)/python -m pip install --quiet --editable '.[dev,sweep,labs]'
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) -m 'slow and not soak and not gpu'
	OMP_NUM_THREADS=1 $(BIN)/python $(PYTEST) tests/tools/labs

soak: $(VENV)/installed ## fuzzing, kills and long loads
	$(BIN)/python -m pytest -m soak

lint: $(VENV)/installed ## ruff, mypy and import-linter
	$(BIN)/python -m ruff check .
	$(BIN)/python -m ruff format --check .
	$(BIN)/python -m mypy
	$(BIN)/lint-imports

docs: $(VENV)/installed ## build the documentation; warnings are errors
	$(BIN)/python -m sphinx -W --keep-going -q -E -b html docs docs/_build
	@echo 'docs/_build/index.html'

audit: $(VENV)/installed ## look up known vulnerabilities of everything that is installed
	$(BIN)/python -m pip install --quiet pip-audit
	$(BIN)/python -m pip freeze --exclude-editable > $(VENV)/packages.txt
	$(BIN)/pip-audit --strict --disable-pip --no-deps -r $(VENV)/packages.txt || { \
	  echo "Not clean: see above. 'could not be audited' means that the advisory service did not answer."; exit 1; }

# The nearest tests of each file that make mutants changes, by the name of its module
tests_of_geometry = tests/test_geometry.py
tests_of_fields = tests/test_people_fields.py
tests_of_skeleton = tests/test_skeleton.py
tests_of_losses = tests/test_losses.py
tests_of_inference.people = tests/inference
tests_of_inference.predictor = tests/inference
tests_of_inference.evaluate = tests/inference
tests_of_training.module = tests/training/test_module.py tests/training/test_step.py
tests_of_training.run = tests/training/test_run.py
MUTATED = $(patsubst tests_of_%,%,$(filter tests_of_%,$(.VARIABLES)))

mutants: $(MUTATED:%=mutants-%) ## change the code in small ways, list the changes that no test notices (hours)

# A changed test must run again, hence the fresh statistics. One thread a test: many run side by side.
mutants-%: $(VENV)/installed
	rm -f mutants/mutmut-stats.json
	OMP_NUM_THREADS=1 PYTEST_ADDOPTS="-o 'testpaths=$(tests_of_$*)'" $(BIN)/mutmut run 'pafpose.$*.*'
	@$(BIN)/mutmut results | grep -F 'pafpose.$*.' || echo 'no mutant of pafpose.$* survived'

pictures: $(VENV)/installed ## draw the pictures of docs anew
	$(BIN)/python -m benchmarks.target_pictures docs/images/targets
	$(BIN)/python -m benchmarks.sample_pictures docs/images/samples
