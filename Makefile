# make reproduce   set up everything, run all notebooks on synthetic DICOM, write a report
# make test        set up everything, lint, type-check, run all tests
# make lab         JupyterLab on the notebooks
# make fuzz        20,000 damaged DICOM files through preprocessing
# make browser     the page and the notebooks' widgets in a headless Chromium, which must be installed; SCREENSHOTS= a folder
# Each sets up .venv first when it is missing or older than the lock. PYTHON= names the interpreter, VENV= the folder.

VENV ?= .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
PROFILE ?= smoke
SCREENSHOTS ?= build/screenshots

.PHONY: help setup reproduce test lint fuzz browser lab lock clean-venv
.DEFAULT_GOAL := help

help:
	@sed -n 's/^# \(make .*\)/\1/p' Makefile

setup: $(READY)

$(READY): requirements.lock pyproject.toml
	@python=$$(command -v python3 || command -v python3.11 || command -v python) || \
	    { echo "setup: Python 3.11 or newer is needed and none was found: install one" >&2; exit 1; }; \
	PYTHON="$(PYTHON)" $$python tools/setup_environment.py $(VENV)
	@touch $(READY)

reproduce: setup
	$(BIN)/sapggan run --profile $(PROFILE)

lint: setup
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder

fuzz: setup
	$(BIN)/python -m tests.fuzz_dicom 20000

browser: setup
	$(BIN)/python -m pip install -q playwright
	$(BIN)/python -m tests.browser_page $(SCREENSHOTS)
	$(BIN)/python -m tests.browser_widgets $(SCREENSHOTS)

lab: setup
	$(BIN)/jupyter lab notebooks

lock: setup
	$(BIN)/python -m pip install -q uv
	$(BIN)/uv pip compile pyproject.toml --extra test --universal --no-header -o requirements.lock

clean-venv:
	rm -rf $(VENV)
