# Two commands: `make run` sets everything up and runs the whole system; `make test` passes the tests.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
FOLDERS := schemas streams training inference gateway ops benchmarks examples tests

.DEFAULT_GOAL := help
.PHONY: help run test chaos check audit format clean

help:
	@echo "make run     the whole system with simulated learners, on an embedded Kafka and PostgreSQL"
	@echo "make test    all tests, on real servers (containers where Docker answers, else embedded)"
	@echo "make chaos   the contract's guarantees under fire; CHAOS_SEED=2 another, CHAOS_SECONDS=1800 a soak"
	@echo "make check   ruff, mypy strict, import contracts"
	@echo "make audit   known vulnerabilities of the pinned versions, where their database can be reached"
	@echo "make format  let ruff write the code's shape"
	@echo "make clean   remove the environment; data in .retrace stays"

run: $(VENV)/installed
	@exec $(BIN)/retrace up --demo --with-parent

test: $(VENV)/installed-dev
	$(BIN)/pytest

chaos: $(VENV)/installed-dev
	$(BIN)/python -m tests.chaos

check: $(VENV)/installed-dev
	$(BIN)/ruff check $(FOLDERS)
	$(BIN)/ruff format --check $(FOLDERS)
	$(BIN)/mypy
	$(BIN)/lint-imports

audit: $(VENV)/installed-dev
	$(BIN)/python -m tests.audit

format: $(VENV)/installed-dev
	$(BIN)/ruff check --fix $(FOLDERS)
	$(BIN)/ruff format $(FOLDERS)

clean:
	rm -rf $(VENV)

$(BIN)/pip:
	@test -n "$(PYTHON)" || { echo "Python 3.11 is not installed."; exit 1; }
	@echo "Making the environment $(VENV)"
	@$(PYTHON) -m venv $(VENV)

$(VENV)/installed: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing packages, once (one to three minutes)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable .
	@touch $@

$(VENV)/installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing packages and tools, once (one to three minutes)"
	@$(BIN)/pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@ $(VENV)/installed
