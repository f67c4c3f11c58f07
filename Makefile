# Every target does its own set-up in .venv and reuses what is there: `make demo` and `make test` are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --constraint constraints.txt --editable

.PHONY: demo test slow test-ray lint clean

demo: $(VENV)/demo.stamp
	$(BIN)/s4 demo

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow -n 0

test-ray: $(VENV)/ray.stamp
	$(BIN)/python -m pytest -m ray -n 0

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist *.egg-info

$(VENV)/demo.stamp: pyproject.toml constraints.txt
	$(INSTALL) '.[demo]'
	touch $@

# What the tests need includes what the demo needs.
$(VENV)/dev.stamp: pyproject.toml constraints.txt
	$(INSTALL) '.[dev,demo,heic]'
	touch $@ $(VENV)/demo.stamp

# A cluster of Ray is started by the tests themselves, on this machine.
$(VENV)/ray.stamp: $(VENV)/dev.stamp
	$(INSTALL) '.[dev,demo,heic,ray]'
	touch $@
