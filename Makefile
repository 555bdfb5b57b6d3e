# Every command of the project. `make help` lists them; CONTRIBUTING.md tells when to use which.
SHELL := /bin/bash
.DEFAULT_GOAL := help
PYTHON ?= python3
BIN := .venv/bin
# One stamp says that .venv holds what requirements/dev.txt names; it is made anew when that file changes.
READY := .venv/.ready
# As in the image.
export ARROW_DEFAULT_MEMORY_POOL := system
# Where the machine has no Node, .venv has one.
export PATH := $(PATH):$(CURDIR)/$(BIN)
MEMBERS := libs/common services/edge services/accounts services/billing services/balance services/analytics services/console deploy/local

# The console's pages.
WEB := services/console/web

.PHONY: help
help: ## Show this list
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## /\1\t/' | expand -t 14

$(READY): requirements/dev.txt requirements/bootstrap.txt requirements/jre.txt requirements/node.txt $(MEMBERS:%=%/pyproject.toml)
	@deploy/local/bootstrap $(PYTHON)
	@touch $@

.PHONY: setup
setup: $(READY) ## Create .venv with everything the project needs

.PHONY: up
up: $(READY) ## Run the whole system on this machine; Ctrl-C stops it
	@$(BIN)/tollgate-local up

.PHONY: down
down: $(READY) ## Stop a system that `make up` started; its data stays
	@$(BIN)/tollgate-local down

.PHONY: reset
reset: $(READY) ## Stop the system and delete its data
	@$(BIN)/tollgate-local reset

# How many tests run at once. One of them may be of whole systems; see tests/scheduling.py.
WORKERS ?= 2

.PHONY: test
test: check ## Run every check and every test
	tests/browser/ensure-chromium
	$(BIN)/pytest -n $(WORKERS) --dist loadfile

.PHONY: random
random: $(READY) ## Run the tests in a random order; SEED=N repeats one that a run has printed
	$(BIN)/pytest -p randomly $(if $(SEED),--randomly-seed=$(SEED)) -n $(WORKERS) --dist loadfile -m "not e2e and not chaos"

.PHONY: coverage
coverage: $(READY) ## Report which lines the tests run, without those of whole systems
	@rm -rf .cache/coverage && mkdir -p .cache/coverage
	$(BIN)/coverage run -m pytest -n $(WORKERS) --dist loadfile -m "not e2e and not chaos"
	$(BIN)/coverage combine --quiet
	$(BIN)/coverage report

.PHONY: chaos
chaos: $(READY) ## The long form of the tests that kill processes, and of the models
	PYTHONPATH=tests $(BIN)/python -m models.large
	TOLLGATE_CHAOS=long $(BIN)/pytest -m chaos

.PHONY: mutants
mutants: $(READY) ## Mutation-test the pure modules; an hour, and a report of what survived
	$(BIN)/uv pip install --quiet --require-hashes --requirement requirements/mutants.txt
	PYTHONPATH=tests $(BIN)/python -m mutants $(NAMES)

.PHONY: bench
bench: $(READY) ## Measure, on a whole system of its own: what README and docs claim comes from here
	PYTHONPATH=tests $(BIN)/python bench/freshness.py

.PHONY: bench-analytics
bench-analytics: $(READY) ## Measure the dashboards on 50 million rows, and the sink; takes an hour and 10 GB
	PYTHONPATH=tests:. $(BIN)/python -m bench.analytics.sink
	PYTHONPATH=tests:. $(BIN)/python -m bench.analytics.scale --folder .cache/bench-analytics

.PHONY: bench-edge
bench-edge: $(READY) ## Measure the edge beside a bare proxy and two other gateways; needs wrk, a C compiler and Node
	PYTHONPATH=tests:. $(BIN)/python -m bench.edge.run

.PHONY: bench-money
bench-money: $(READY) ## Measure the ledger, leases, balances and the charge sink, on engines as tests use them; ten minutes
	PYTHONPATH=tests:. $(BIN)/python -m bench.money

.PHONY: check
check: $(READY) ## Lint, types, import rules, generated files, and the tests of the console's pages
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy libs services deploy/local tests bench
	$(BIN)/lint-imports
	$(BIN)/python $(WEB)/api-types/documents.py --check
	$(WEB)/build packages
	cd $(WEB) && npm run --silent check
	cd $(WEB) && npm test --silent

.PHONY: fix
fix: $(READY) ## Format the code and mend what ruff can mend
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .
	$(WEB)/build packages
	cd $(WEB) && npm run --silent fix

.PHONY: contracts
contracts: $(READY) ## Write the events' JSON Schemas; refuses a breaking change
	$(BIN)/python -m tollgate_common.contracts contracts

.PHONY: api-types
api-types: $(READY) ## Generate the console's types from the services' OpenAPI documents
	$(WEB)/api-types/generate $(CURDIR)/$(BIN)/python

.PHONY: lock
lock: $(READY) ## Pin the newest allowed versions in requirements/, with their hashes
	deploy/local/lock

.PHONY: clean
clean: ## Delete the environment and every cache, not the data
	rm -rf .venv .cache .mypy_cache .ruff_cache .pytest_cache .import_linter_cache $(WEB)/node_modules $(WEB)/api-types/node_modules services/console/tollgate_console/static
