# Two commands set everything up: `make demo` and `make test`. Both build .venv when it is missing.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin

.PHONY: demo test lint types layers pytest format clean

demo: .venv/.installed
	$(BIN)/simengine run config.yaml

test: lint types layers pytest

lint: .venv/.installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: .venv/.installed
	$(BIN)/mypy

layers: .venv/.installed
	$(BIN)/lint-imports

# Two workers on two cores: more threads in each would only wait for one another.
pytest: export OMP_NUM_THREADS = 1
pytest: export TF_NUM_INTRAOP_THREADS = 1
pytest: export TF_NUM_INTEROP_THREADS = 1
pytest: .venv/.installed
	$(BIN)/python -m pytest -n 2 --dist worksteal

format: .venv/.installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

.venv/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
