# Everything happens in .venv, which the first target that needs it creates.
# Another interpreter: make test PYTHON=/path/to/python3.12
PYTHON ?= $(shell for python in python3.11 python3.12 python3.13 python3; do \
	$$python -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$python && break; done)

VENV := .venv
RUN := $(VENV)/bin/python -m
# Stamps: an installation is repeated only when its inputs have changed.
DEV := $(VENV)/.dev-installed
DEMO := $(VENV)/.demo-installed
STORAGE := $(VENV)/.storage-installed
UI := $(VENV)/.ui-installed
AZURITE_VERSION := 3.35.0
AZURITE := $(VENV)/.azurite-$(AZURITE_VERSION)-installed

.DEFAULT_GOAL := help
.PHONY: help demo up test test-storage test-ui chromium test-faults simulate bench figures lint

help: ## show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

# The recording goes through the environment, so that its name may hold spaces and quotes.
export AUDIO
demo up: export PYTHONDONTWRITEBYTECODE := 1

demo: $(DEMO) ## run the ingestion pipeline in a real Airflow, here: make demo AUDIO=some.mp3
	@$(RUN) demo run $${AUDIO:+--audio "$$AUDIO"}

up: $(DEMO) ## start Airflow and the local server, and leave them running until Ctrl-C
	@$(RUN) demo up $${AUDIO:+--audio "$$AUDIO"}

# In four processes, as most of the time is spent waiting: one has the real Airflow, one the demo's, two all else.
test: $(DEV) ## run every test, those with a real Airflow beside the others, and report branch coverage
	$(RUN) pytest --numprocesses 4 --cov --cov-branch --cov-report=term-missing

test-storage: $(STORAGE) $(AZURITE) ## run the tests of S3, Google Cloud Storage and Azure, on emulators
	$(RUN) pytest tests/storage

test-ui: chromium $(UI) ## run the tests of the Transcript tab, in a real Chromium
	$(RUN) pytest tests/ui

test-faults: $(DEV) ## kill processes and cut connections in a real Airflow, and count what is lost (nothing)
	$(RUN) pytest tests/faults --numprocesses 3

# Of the seed that is found to break a property: .venv/bin/python -m tests.simulation --histories 1 --seed ...
N := 100000
simulate: $(DEV) ## run the batch code in simulated worlds full of faults, and print a seed that breaks it: make simulate N=1000
	$(RUN) tests.simulation --histories $(N)

bench: $(DEV) ## compare with a bare loop, other providers' triggers, mapped tasks and curl, and draw the plot
	$(RUN) tests.benchmarks

figures: $(DEV) ## measure again what the documentation's figures say, and write them there
	$(RUN) tests.docs.figures

lint: $(DEV) ## check style, format, types and which module may import which
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
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	@touch $(DEV) $(DEMO)

$(STORAGE): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing the providers of object storage and their emulators into $(VENV), once: about five minutes' >&2
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,storage]'
	@touch $(STORAGE) $(DEV) $(DEMO)

$(UI): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing what drives the browser into $(VENV), once: about two minutes' >&2
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev,ui-tests]'
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

$(AZURITE): | $(VENV)/.created
	@if ! command -v npm >/dev/null; then echo 'npm is needed, for the emulator of Azure' >&2; exit 1; fi
	npm install --prefix $(VENV)/azurite --no-audit --no-fund --loglevel=error azurite@$(AZURITE_VERSION)
	@touch $@

$(DEMO): pyproject.toml constraints.txt | $(VENV)/.created
	@echo 'Installing Airflow and the model into $(VENV), once: about a minute' >&2
	$(RUN) pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[demo]'
	@touch $@
