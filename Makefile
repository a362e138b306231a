# `make demo` and `make test` need only Python 3.11+ and PyPI; `make check` runs in the environment they leave.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: demo test shapes lowest check fuzz docs install clean tensorboard

demo: $(VENV)/.installed
	$(BIN)/trivox demo --out trivox-demo

test: $(VENV)/.installed
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# With every annotation of types and shapes checked while it runs.
shapes: $(VENV)/.installed
	TRIVOX_CHECK_SHAPES=1 $(BIN)/python -m pytest tests/geometry tests/metrics tests/data tests/test_lift.py \
		tests/people/test_follow.py tests/models/test_ransac_model.py tests/models/test_algebraic.py tests/models/test_volumetric.py

# With the lowest versions that pyproject.toml allows: what is written is read.
lowest:
	mkdir -p build
	$(PYTHON) tools/lowest_versions.py > build/lowest.txt
	$(PYTHON) -m venv --clear build/lowest
	build/lowest/bin/python -m pip install --quiet --constraint constraints.txt torch
	build/lowest/bin/python -m pip install --quiet --constraint build/lowest.txt --editable '.[human36m,export,view,train]' 'pytest>=8' filelock hypothesis beartype
	build/lowest/bin/python -m pytest -W default tests/files/test_npz.py tests/base

check: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/basedpyright
	$(BIN)/python -m pytest --numprocesses auto --dist worksteal

# Hostile and mutated files before every reader: a few minutes.
CASES ?= 3000
fuzz: $(VENV)/.installed
	$(BIN)/python tools/fuzz.py --cases $(CASES)

# The site, in build/site. Broken links and anchors fail.
docs: $(VENV)/.installed
	$(BIN)/python tools/site_pages.py build/pages
	$(BIN)/zensical build --strict --clean

# Training runs in the browser.
RUNS ?= runs
tensorboard: $(VENV)/.installed
	$(BIN)/trivox board $(RUNS)

install: $(VENV)/.installed

# The constraints hold the versions that were tested. torch goes first: its pin picks the CPU build where one is offered.
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	touch $@

clean:
	rm -rf $(VENV) trivox-demo dist build .cache
