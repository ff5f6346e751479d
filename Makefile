# `make help` lists the targets. `make grade` and `make test` set up whatever they need by themselves.
PYTHON ?= python3
BIN := .venv/bin
READY := .venv/.ready
ASSIGNMENT ?= lecture06
SAMPLE := build/sample-batch
SUBMISSIONS ?= $(SAMPLE)
OUT ?= out
TESTS ?=
export SUBMISSIONS OUT ASSIGNMENT

.PHONY: help grade test coverage release verify lint bench screenshots names clean

help:  ## list the targets
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $@

$(SAMPLE): $(READY) $(wildcard solutions/*/corpus/*.txt solutions/*/sample.toml) $(wildcard assignments/*/*.ipynb) $(wildcard solutions/*/*.py)
	$(BIN)/autograder sample $@ --assignment $(ASSIGNMENT)

grade: $(READY) $(if $(filter $(SAMPLE),$(SUBMISSIONS)),$(SAMPLE))  ## grade SUBMISSIONS (a sample batch by default) of ASSIGNMENT into OUT
	$(BIN)/autograder grade "$$SUBMISSIONS" --out "$$OUT" --assignment "$$ASSIGNMENT"

test: $(READY)  ## run every test, or those of TESTS
	$(BIN)/python -m pytest $(TESTS)

coverage: $(READY)  ## run every test, and measure which branches of the engine they take
	$(BIN)/python -m pytest --cov --cov-report=term:skip-covered

release: $(READY)  ## rebuild assignments/ from solutions/
	$(BIN)/autograder release --assignment $(ASSIGNMENT)

verify: $(READY)  ## check every release before it is published
	$(BIN)/autograder verify

lint: $(READY)  ## check style, types and the direction of imports
	$(BIN)/ruff check . && $(BIN)/ruff format --check . && $(BIN)/mypy && $(BIN)/lint-imports

bench: $(READY)  ## measure speed and memory, compared with other ways to grade (some minutes)
	$(BIN)/autograder bench

screenshots: $(READY)  ## take pictures of the pages of a class of 300 into docs/pictures (needs chromium)
	$(BIN)/python -m benchmarks.screenshots

names: $(READY)  ## download the classic names file and check it
	$(BIN)/python data/fetch_names.py

clean:  ## remove built files, but keep the virtual environment
	rm -rf build out dist
