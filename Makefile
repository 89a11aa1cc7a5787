# Everything happens in .venv, which the first target that needs it creates.
# Another interpreter: make test PYTHON=/path/to/python3.12
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

VENV := .venv
RUN := $(VENV)/bin/python -m
INSTALL := $(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt
# Stamps: an installation is repeated only when its inputs have changed.
DEV := $(VENV)/.dev-installed
DEMO := $(VENV)/.demo-installed
STORAGE := $(VENV)/.storage-installed
UI := $(VENV)/.ui-installed
PACKAGE := $(VENV)/.package-installed
DOCS := $(VENV)/.docs-installed
CLUSTER := $(VENV)/.cluster-installed
AZURITE_VERSION := 3.35.0
UV := $(VENV)/.uv-installed
AZURITE := $(VENV)/.azurite-$(AZURITE_VERSION)-installed

.DEFAULT_GOAL := help
.PHONY: help demo up test coverage test-storage test-ui chromium test-faults test-cluster test-versions test-package test-live docs public-api pins simulate bench bench-cluster figures lint

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The recording goes through the environment, so that its name may hold spaces and quotes.
export AUDIO
demo up: export PYTHONDONTWRITEBYTECODE := 1

demo: $(DEMO) ## run the ingestion pipeline in a real Airflow, here: make demo AUDIO=some.mp3
	@$(RUN) demo run $${AUDIO:+--audio "$$AUDIO"}

EXECUTOR := local
up: $(if $(filter celery,$(EXECUTOR)),$(CLUSTER),$(DEMO)) ## start Airflow and the local server until Ctrl-C: make up EXECUTOR=celery has a cluster
	@$(RUN) demo up --executor "$(EXECUTOR)" $${AUDIO:+--audio "$$AUDIO"}

# In four processes, as most of the time is spent waiting: one has the real Airflow, one the demo's, two all else.
test: $(DEV) ## run every test, those with a real Airflow beside the others
	$(RUN) pytest --numprocesses 4

coverage: $(DEV) ## run every test and report branch coverage, which takes nearly twice as long
	$(RUN) pytest --numprocesses 4 --cov --cov-branch --cov-report=term-missing

test-storage: $(STORAGE) $(AZURITE) ## run the tests of S3, Google Cloud Storage and Azure, on emulators
	$(RUN) pytest tests/storage

# Twice: Playwright keeps an event loop running, in which dag.test() can run no trigger.
test-ui: chromium $(UI) ## run the tests of the Transcript tab, in a real Chromium
	$(RUN) pytest tests/ui --ignore tests/ui/browser --numprocesses 2
	$(RUN) pytest tests/ui/browser --numprocesses 2

test-faults: $(DEV) ## kill processes and cut connections in a real Airflow, and count what is lost (nothing)
	$(RUN) pytest tests/faults --numprocesses 3

test-package: $(PACKAGE) ## build the wheel and the sdist, check them, and install the wheel beside Airflow in an empty environment
	$(RUN) pytest tests/package

# Make hands the key on in the environment. Exported before, and not given to make, it is in no process's arguments.
test-live: $(DEV) ## check what is known of the real API, with your key, which pays for eleven seconds: LAPLAS_API_KEY=... make test-live
	@$(RUN) tests.live

docs: $(DOCS) ## make the documentation's site in site/, and check its links, the docstrings and the public API
	$(RUN) docs_site site
	$(RUN) pytest tests/site

public-api: $(DOCS) ## write down what is public now, for `make docs` to compare with: at a release, or after a break that is meant
	$(RUN) docs_site --public-api

FULL :=
test-cluster: $(CLUSTER) ## break a cluster (Celery, PostgreSQL, Redis) and count what is lost: make test-cluster FULL=1 has every fault
	CLUSTER_FULL=$(FULL) $(RUN) pytest tests/cluster

# Each version is installed below .venv, with the packages of its month: make test-versions COLUMNS='3.1.8 oldest'
test-versions: $(UV) ## test with every version of Airflow, and the oldest dependencies: a real Airflow each, two at a time
	$(RUN) tests.versions $(COLUMNS)

pins: $(UV) ## choose again the packages that each version of Airflow is tested with: make pins COLUMNS=3.1.8
	$(RUN) tests.versions.pins $(COLUMNS)

# Of the seed that is found to break a property: .venv/bin/python -m tests.simulation --histories 1 --seed ...
N := 100000
simulate: $(DEV) ## run the batch code in simulated worlds full of faults, and print a seed that breaks it: make simulate N=1000
	$(RUN) tests.simulation --histories $(N)
	$(RUN) tests.simulation --histories $(N) --parts

bench: $(DEV) ## compare with a bare loop, other providers' triggers, mapped tasks and curl, and draw the plot
	$(RUN) tests.benchmarks

bench-cluster: $(CLUSTER) ## measure thousands of deferred sensors on two triggerers of a cluster, for half an hour or more
	$(RUN) tests.benchmarks.load

figures: $(if $(filter cluster,$(NAMES)),$(CLUSTER)) $(if $(filter screenshots,$(NAMES)),chromium $(UI)) $(DEV) $(UV) ## measure again what the documentation's figures say, and write them there: make figures NAMES=versions
	$(RUN) tests.docs.figures $(NAMES)

lint: $(DEV) $(DOCS) $(CLUSTER) ## check style, format, types and which module may import which
	$(RUN) ruff check .
	$(RUN) ruff format --check .
	$(RUN) mypy
	$(VENV)/bin/lint-imports

$(VENV)/.created:
	@if [ -z "$(PYTHON)" ] || ! "$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null; then \
		echo 'Python 3.11 or newer is needed, and "$(if $(PYTHON),$(PYTHON),python3)" is not one. Name one: make PYTHON=/path/to/python3.11' >&2; \
		exit 1; \
	fi
	$(PYTHON) -m venv $(VENV)
	@touch $@

$(DEV): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing what the tests need into $(VENV), once: about two minutes' >&2
	$(INSTALL) -e '.[dev]'
	@touch $(DEV) $(DEMO)

$(UV): constraints.txt | $(VENV)/.created
	$(INSTALL) uv
	@touch $@

# Not compiled: Google's provider brings hundreds of packages, of which little is imported.
$(STORAGE): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing the providers of object storage and their emulators into $(VENV), once: about two minutes' >&2
	$(INSTALL) --no-compile -e '.[dev,storage]'
	@touch $(STORAGE) $(DEV) $(DEMO)

$(UI): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing what drives the browser into $(VENV), once: about two minutes' >&2
	$(INSTALL) -e '.[dev,ui-tests]'
	@touch $(UI) $(DEV) $(DEMO)

chromium:
	@if ! command -v chromium >/dev/null && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
		echo 'Installing Chromium, once: about a minute' >&2; \
		apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -qq -y --no-install-recommends chromium fonts-liberation >/dev/null; \
	fi
	@if ! command -v chromium >/dev/null; then \
		echo 'Chromium is needed, for the tests of the Transcript tab: install it (Debian: apt-get install chromium)' >&2; \
		exit 1; \
	fi

$(PACKAGE): pyproject.toml constraints.txt | $(VENV)/.created
	$(INSTALL) -e '.[dev,package]'
	@touch $(PACKAGE) $(DEV) $(DEMO)

$(DOCS): pyproject.toml constraints.txt | $(VENV)/.created
	$(INSTALL) -e '.[dev,docs]'
	@touch $(DOCS) $(DEV) $(DEMO)

$(CLUSTER): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing Celery, PostgreSQL, Redis and what the tests need into $(VENV), once: about three minutes' >&2
	$(INSTALL) -e '.[dev,cluster]'
	@touch $(CLUSTER) $(DEV) $(DEMO)

$(AZURITE): | $(VENV)/.created
	@if ! command -v npm >/dev/null; then echo 'npm is needed, for the emulator of Azure' >&2; exit 1; fi
	npm install --prefix $(VENV)/azurite --no-audit --no-fund --loglevel=error azurite@$(AZURITE_VERSION)
	@touch $@

$(DEMO): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing Airflow and the model into $(VENV), once: about a minute' >&2
	$(INSTALL) -e '.[demo]'
	@touch $@
