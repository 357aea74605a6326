# SPDX-License-Identifier: Apache-2.0
.PHONY: help demo test bench guarantee accuracy lint setup lab-up lab-down

help: ## This list
	@sed -n 's/^\([a-z-]*\):.*## /\1\t/p' Makefile | expand -t 12

demo: setup ## Bring the lab up and run the WAN partition drill; prints the verdict and the report
	@scripts/demo.sh

test: ## Every test; those of the lab need root
	@scripts/setup.sh tests
	@scripts/test.sh

bench: setup ## Measure speed on fifty small nodes, as root; writes docs/benchmarks.md
	@.venv/bin/python -m tests.bench

guarantee: setup ## Every kind of fault, everything that can die, as root; writes docs/guarantee.md
	@.venv/bin/python -m tests.guarantee

accuracy: setup ## Measurements beside an independent truth, as root; writes docs/accuracy.md
	@.venv/bin/python -m tests.accuracy

lint: setup ## ruff and mypy --strict
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy

setup: ## Install what is missing: Debian packages, a virtual environment
	@scripts/setup.sh

lab-up: setup ## The three-site lab
	@.venv/bin/gameday lab up

lab-down: setup ## Remove the lab
	@.venv/bin/gameday lab down
