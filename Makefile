# Every target does its own set-up in .venv and reuses what is there: `make demo` and `make test` are enough.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALL = $(PYTHON) -m venv $(VENV) && $(BIN)/python -m pip install --constraint constraints.txt --editable

# Tests start hundreds of processes, which would all compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test slow stress test-ray test-web docs lint clean

demo: $(VENV)/demo.stamp
	$(BIN)/s4 demo

test: $(VENV)/dev.stamp
	$(BIN)/python -m pytest

slow: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m slow -n 2

stress: $(VENV)/dev.stamp
	$(BIN)/python -m pytest -m stress -n 0

test-ray: $(VENV)/ray.stamp
	$(BIN)/python -m pytest -m ray -n 0

test-web: $(VENV)/web.stamp
	command -v chromium > /dev/null || { apt-get update && apt-get install --yes --no-install-recommends chromium; }
	$(BIN)/python -m pytest -m "web or not web" -n 0 tests/pipelines/web tests/pipelines/test_review.py \
		tests/reliability/test_review_page.py

# The site goes to site/, and needs no server: open site/index.html.
docs: $(VENV)/docs.stamp
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

lint: $(VENV)/dev.stamp
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy

clean:
	rm -rf $(VENV) build dist site *.egg-info

$(VENV)/demo.stamp: Makefile pyproject.toml constraints.txt
	$(INSTALL) '.[demo]'
	touch $@

# What the tests need includes what the demo needs.
$(VENV)/dev.stamp: Makefile pyproject.toml constraints.txt
	$(INSTALL) '.[dev,demo,heic,video]'
	touch $@ $(VENV)/demo.stamp

# A cluster of Ray is started by the tests themselves, on this machine.
$(VENV)/ray.stamp: $(VENV)/dev.stamp
	$(INSTALL) '.[dev,demo,heic,video,ray]'
	touch $@

# Playwright brings no browser of its own here: the tests take the system's Chromium.
$(VENV)/web.stamp: $(VENV)/dev.stamp
	$(INSTALL) '.[dev,demo,heic,video,web]' httpx playwright
	touch $@

$(VENV)/docs.stamp: $(VENV)/dev.stamp
	$(INSTALL) '.[dev,demo,heic,video,docs]'
	touch $@
