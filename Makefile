# Everything a developer runs, by name. `make help` lists it.
PYTHON ?= .venv/bin/python

.PHONY: help venv check sdk-actions integration-members sdk-sweep lint format types imports test fuzz chaos lambda-leaks bench bench-durable bench-api bench-linear bench-map bench-map-scale bench-lambda bench-jobs conformance build

help:  ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

venv:  ## a virtual environment with everything for development
	python3 -m venv .venv
	.venv/bin/pip install --quiet -e '.[dev]'

check: lint types imports  ## lint, types and import contracts

lint:  ## ruff: rules and format
	$(PYTHON) -m ruff check .
	$(PYTHON) -m ruff format --check .

format:  ## let ruff mend what it can
	$(PYTHON) -m ruff check --fix .
	$(PYTHON) -m ruff format .

types:  ## mypy --strict
	$(PYTHON) -m mypy

imports:  ## arrows between layers point down
	$(PYTHON) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

test:  ## the tests
	$(PYTHON) -m pytest

fuzz:  ## the fuzz suite for long: some 50,000 cases
	ASL_FUZZ=long $(PYTHON) -m pytest -n 0 tests/fuzz

chaos:  ## kill, stop, cut and starve real workers and servers, and count what became of the work: some 12 minutes
	$(PYTHON) -m tests.chaos

lambda-leaks:  ## 10,000 invocations of functions that end in every way there is, and what is left of them: some minutes
	$(PYTHON) -m tests.lambda_emulator.leaks 10000

integration-members:  ## write the table of members of the optimised integrations anew, from the installed botocore
	$(PYTHON) -m engine.integrations.optimised_members > engine/asl/integration_members.new
	mv engine/asl/integration_members.new engine/asl/integration_members.txt

sdk-actions:  ## write the table of services and actions of the SDK anew, from the installed botocore
	$(PYTHON) -m engine.integrations.aws_names > engine/asl/sdk_actions.new
	mv engine/asl/sdk_actions.new engine/asl/sdk_actions.txt

sdk-sweep:  ## call every action of every service of the SDK behind a stubbed transport: some minutes
	$(PYTHON) -m tests.integrations.sdk_sweep

bench:  ## transitions per second, beside a peer and the floor
	$(PYTHON) -m benchmarks.memory

bench-durable:  ## executions per second on Postgres, and what they cost, beside peers and the floor
	$(PYTHON) -m benchmarks.durable

bench-api:  ## requests per second over HTTP, what they cost, and pages of a long history
	$(PYTHON) -m benchmarks.api

bench-map:  ## items per second of a Distributed Map on Postgres, what each costs, and whether that grows
	$(PYTHON) -m benchmarks.map_

bench-map-scale:  ## memory of workers that run a Distributed Map over 1 GB, and how several share one
	$(PYTHON) -m benchmarks.map_scale

bench-lambda:  ## functions of the Lambda emulator: cold, warm, restored, per second, and idle
	$(PYTHON) -m benchmarks.lambda_

bench-jobs:  ## 500 jobs that `.sync` Tasks wait for: what a worker asks and takes, and kill -9 in the middle
	$(PYTHON) -m benchmarks.jobs

bench-linear:  ## costs that must grow in proportion: wide Maps, long histories, many executions
	$(PYTHON) -m benchmarks.linear

conformance:  ## the score tables of docs/compatibility.md, from recordings of the real service
	$(PYTHON) -m tests.conformance

build:  ## sdist and wheel in dist/
	$(PYTHON) -m pip install --quiet build
	$(PYTHON) -m build
