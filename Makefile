# `make demo` and `make test` need only Python 3.11+ and PyPI; `make check` runs in the environment they leave.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test check install clean

demo: $(VENV)/.installed
	$(BIN)/trivox demo --out trivox-demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest --numprocesses auto --dist loadfile

install: $(VENV)/.installed

# The constraints hold the versions that were tested. torch goes first: its pin picks the CPU build where one is offered.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) trivox-demo dist build
