# linewatch: every command does its own set-up. `make help` lists them.
# Needs python3.11 with venv (Debian: python3.11-venv) and GNU make; everything else comes from the package registry, locked and hashed.

PYTHON   ?= 3.11
FRAMES   ?=
SOURCE   ?=
FPS      ?=
LIKE     ?= lite
RUNS     ?= 20
# KEEP=--keep renews docs/benchmarks.md.
KEEP     ?=
VENV     := .venv
PY       := $(VENV)/bin/python
UV       := $(VENV)/bin/uv
# Hard links fail across file systems (a cache on another disk): copying always works.
export UV_LINK_MODE := copy
export PIP_DISABLE_PIP_VERSION_CHECK := 1
# `python -m tools.x` finds the packages of the checkout without being installed.
export PYTHONPATH := $(CURDIR):$(CURDIR)/components/common

GROUPS_LOCKED := dev build demo camera agent model inspector dashboard train bench peers tvm model-build functions functions-drift jobs train-tensorflow sagemaker sagemaker-training

.DEFAULT_GOAL := help
.PHONY: help setup demo test check format build bench soak aws-smoke fleet-simulation lock schemas recipes clean

help: ## list the commands
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.uv: locks/build.txt
	@command -v python3.11 >/dev/null 2>&1 || { echo "linewatch needs python3.11: on Debian 12 'apt-get install python3.11 python3.11-venv', on Ubuntu see docs/setup.md" >&2; exit 1; }
	@python3.11 -c 'import venv, ensurepip' 2>/dev/null || { echo "linewatch needs python3.11's venv module: 'apt-get install python3.11-venv'" >&2; exit 1; }
	@test -x $(PY) || python3.11 -m venv $(VENV)
	@echo "set-up: the package installer (uv)"
	@$(PY) -m pip install --quiet --require-hashes --no-deps -r locks/build.txt
	@touch $@

# What `make demo` needs: the builder, the local core, no component's dependencies (their artefacts bring them).
$(VENV)/.demo: locks/demo.txt $(VENV)/.uv
	@echo "set-up: the local core"
	@$(UV) pip install --quiet --python $(PY) --require-hashes -r locks/demo.txt
	@touch $@

$(VENV)/.dev: locks/dev.txt pyproject.toml $(VENV)/.uv
	@echo "set-up: the development environment (about 350 MB once)"
	@$(UV) pip install --quiet --python $(PY) --require-hashes -r locks/dev.txt
	@$(UV) pip install --quiet --python $(PY) --no-deps --no-build-isolation --editable .
	@touch $@ $(VENV)/.demo

setup: $(VENV)/.dev ## make .venv with everything in development mode

demo: $(VENV)/.demo ## run the whole line on this machine (FRAMES=200 stops by itself, SOURCE=DIR, FPS=5, LIKE=classic, MODELS=inspector)
	@$(PY) -m tools.demo $(if $(FRAMES),--frames $(FRAMES)) $(if $(SOURCE),--source "$(SOURCE)") $(if $(FPS),--fps $(FPS)) --like $(LIKE) $(if $(MODELS),--models $(MODELS))

test: $(VENV)/.dev ## run all tests but those of test-model-build
	@$(PY) -m pytest --junit-xml=build/tests/main.xml

check: $(VENV)/.dev ## lint, format and type checks
	@$(VENV)/bin/ruff check
	@$(VENV)/bin/ruff format --check
	@$(VENV)/bin/mypy

format: $(VENV)/.dev ## format the code
	@$(VENV)/bin/ruff check --fix --quiet
	@$(VENV)/bin/ruff format

build: $(VENV)/.demo ## build every component for both architectures into greengrass-build/ (PYTHON=3.12)
	@$(PY) components/build.py --architecture all --python $(PYTHON)

.venv-bench/.installed .venv-peers/.installed .venv-sagemaker/.installed .venv-sagemaker-training/.installed: .venv-%/.installed: locks/%.txt $(VENV)/.uv
	@echo "set-up: the environment of group $*"
	@python3.11 -m venv .venv-$*
	@$(UV) pip install --quiet --python .venv-$*/bin/python --require-hashes $(if $(filter sagemaker,$*),--compile-bytecode) -r locks/$*.txt
	@touch $@

# TVM's wheel is for Python 3.10; 3.11 runs it from a folder of its own.
.venv-tvm/.installed: locks/tvm.txt $(VENV)/.uv
	@echo "set-up: the compiler of the bench's row of DLR"
	@python3.11 -m venv .venv-tvm
	@$(UV) pip install --quiet --python .venv-tvm/bin/python --require-hashes -r locks/tvm.txt
	@$(UV) pip install --quiet --python .venv-tvm/bin/python --target .venv-tvm/tvm --python-version 3.10 --no-deps --require-hashes \
	  --constraints locks/tvm.txt "$$(grep -o '^hhb-tvm==[0-9.]*' locks/tvm.txt)"
	@touch $@

bench: $(VENV)/.dev .venv-bench/.installed .venv-peers/.installed ## measure the line, then the agent beside OpenVINO and other servers
	@$(MAKE) --no-print-directory .venv-tvm/.installed || echo "bench: without DLR, whose compiler cannot be installed here" >&2
	@$(PY) -m tools.bench $(KEEP); line=$$?; $(PY) -m tools.agent_bench $(KEEP) && exit $$line

# The short ones first. Each runs whatever became of the others; `python -m tools.<name> --help` says what it does.
soak: $(VENV)/.dev ## mutated requests, captures under faults, 16 clients, memory (1 h); then kill every component, RUNS times each
	@failed=; \
	for part in "agent_fuzz $(KEEP)" "capture_soak $(KEEP)" "agent_bench.clients $(KEEP)" "agent_bench.memory $(KEEP)" "soak --runs $(RUNS) $(KEEP)"; do \
	  echo "soak: $$part"; $(PY) -m tools.$$part || failed="$$failed $${part%% *}"; done; \
	test -z "$$failed" || { echo "soak: failed:$$failed" >&2; exit 1; }

aws-smoke: $(VENV)/.dev ## try a real account (LINEWATCH_AWS_SMOKE=yes; says first what it makes and costs)
	@$(PY) -m model_build.infrastructure.smoke

fleet-simulation: $(VENV)/.dev ## release to 10,000 simulated devices: the client's CPU, memory and API calls (DEVICES=1000)
	@$(PY) -m tools.fleet_simulation --devices $(or $(DEVICES),10000) $(KEEP)

schemas: $(VENV)/.dev ## write docs/schemas/ and docs/asyncapi.json from the message classes
	@$(PY) -m tools.schemas

recipes: $(VENV)/.dev ## write the configuration classes' defaults into recipes/
	@$(PY) -m tools.recipes

lock: $(VENV)/.dev ## resolve every dependency group again into locks/
	@for group in $(GROUPS_LOCKED); do echo "lock: $$group"; \
	  $(UV) pip compile pyproject.toml --group $$group --universal --python-version $$(test $$group = tvm && echo 3.10 || echo 3.11) --generate-hashes --upgrade \
	    --no-emit-index-url --no-annotate --no-header --quiet --output-file locks/$$group.txt || exit 1; done

clean: ## remove what was built, keep the caches
	@rm -rf greengrass-build build

include model_build/train.mk
include model_build/tests.mk
