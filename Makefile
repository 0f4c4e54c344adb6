# BFL-MEC. `make run` and `make test` need Python 3.11 or newer, and npm; everything else they install by themselves.

PYTHON ?= python3
BIN    := .venv/bin
ARGS   ?=
JS_IPFS := tests/storage/js-ipfs/node_modules

.DEFAULT_GOAL := help
.PHONY: help run test check format contracts contracts-check contracts-fuzz contracts-long contracts-proofs contracts-slither \
        contracts-mutants brownie coverage benchmarks clean

help:
	@echo "make run         the default experiment: MNIST through the real ledger (ARGS='--set clients=20' changes it)"
	@echo "make test        everything the tests need, installed and run (ARGS='-k ledger' chooses)"
	@echo "make check       formatter, linter and type checker"
	@echo "make contracts   recompile the contracts into the package"
	@echo "make contracts-check   contracts: style, storage layout, short fuzzing (contracts-fuzz: 1,000 runs, contracts-long:"
	@echo "                       a million calls; contracts-proofs: halmos; contracts-slither; contracts-mutants)"
	@echo "make brownie     Brownie in an environment of its own, then its deployment script"
	@echo "make benchmarks  what is measured, not asserted"
	@echo "make clean       remove environments and caches"

run: .venv/.run
	$(BIN)/bflmec run $(ARGS)

test: .venv/.test node_modules/.installed .venv-brownie/.installed $(JS_IPFS)/.installed
	-$(BIN)/python -c "from bflmec.learning.datasets import load_dataset; load_dataset('mnist')"
	OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/pytest --numprocesses auto --cov --cov-report=term $(ARGS)

check: .venv/.test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python scripts/write_reference.py --check

format: .venv/.test
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

contracts: .venv/.test node_modules/.installed
	$(BIN)/python -m bflmec.ledger.compile

# Foundry's binaries are for Linux on x86-64; elsewhere put forge on the PATH.
FORGE := PATH="$(CURDIR)/node_modules/.bin:$$PATH" FOUNDRY_OFFLINE=true

contracts-check: .venv/.test node_modules/.installed
	node_modules/.bin/prettier --check "contracts/**/*.sol" "foundry/*.sol"
	node_modules/.bin/solhint --max-warnings 0 "contracts/**/*.sol"
	$(FORGE) FOUNDRY_PROFILE=ci forge test
	$(BIN)/python scripts/storage_layout.py --check

contracts-fuzz: node_modules/.installed
	$(FORGE) forge test

contracts-long: node_modules/.installed
	$(FORGE) FOUNDRY_PROFILE=long forge test

contracts-proofs: .venv-contracts/.installed
	$(FORGE) FOUNDRY_PROFILE=proofs .venv-contracts/bin/halmos --contract Proofs --forge-build-out build/foundry-proofs

contracts-slither: .venv-contracts/.installed
	$(FORGE) .venv-contracts/bin/python scripts/slither.py

contracts-mutants: .venv/.test node_modules/.installed
	OMP_NUM_THREADS=1 $(BIN)/python scripts/mutants.py

brownie: .venv-brownie/.installed
	.venv-brownie/bin/brownie run deploy

benchmarks: .venv/.test
	@for file in benchmarks/*.py; do echo "== $$file"; OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 $(BIN)/python $$file; done

.venv/.run: pyproject.toml
	$(PYTHON) -m venv .venv
	$(BIN)/pip install --quiet --editable .
	@touch $@

.venv/.test: pyproject.toml | .venv/.run
	$(BIN)/pip install --quiet --editable '.[dev]'
	@touch $@ .venv/.run

node_modules/.installed: package-lock.json
	npm ci --no-audit --no-fund
	@touch $@

$(JS_IPFS)/.installed: tests/storage/js-ipfs/package-lock.json
	cd tests/storage/js-ipfs && npm ci --no-audit --no-fund --omit=optional --ignore-scripts
	@touch $@

.venv-brownie/.installed: pyproject.toml scripts/brownie-env node_modules/.installed
	PYTHON=$(PYTHON) scripts/brownie-env
	@touch $@

.venv-contracts/.installed: scripts/contracts-env node_modules/.installed
	PYTHON=$(PYTHON) scripts/contracts-env
	@touch $@

clean:
	rm -rf .venv .venv-brownie .venv-contracts node_modules $(JS_IPFS) build *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
