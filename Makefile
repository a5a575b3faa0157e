# The commands of the README. Needs python3 (3.11 or newer) and make; everything else is installed into .venv.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
DATA   ?= spi-data
PIP    := $(BIN)/python -m pip install --disable-pip-version-check --quiet --retries 2 --timeout 20
# PyTorch without a graphics card is a tenth of the size, and only here. Empty: the usual package index alone.
TORCH       ?= torch==2.13.0
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# One process of tests per core; a file's tests stay together, since they share servers.
PARALLEL ?= --numprocesses auto --dist loadfile

.PHONY: demo serve test check fix bench screenshots images-test debian clean

demo: $(VENV)/.detector
	$(BIN)/spi-dash demo

serve: $(VENV)/.detector
	$(BIN)/spi-dash serve --data $(DATA)

test: debian $(VENV)/.dev
	$(BIN)/python -m pytest -ra $(PARALLEL)

check: $(VENV)/.dev
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/python -m pytest -ra $(PARALLEL)

fix: $(VENV)/.dev
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(VENV)/.dev
	for script in ingest listing sign_in links thumbnails; do $(BIN)/python benchmarks/$$script.py; done

screenshots: $(VENV)/.dev
	$(BIN)/python -m pytest -ra tests/browser/screenshots.py

# Builds and runs the container images without a container engine: Debian, root, some minutes.
images-test: $(VENV)/.dev
	$(BIN)/python -m tests.stack.build_images

# MariaDB, an S3 server, nginx and a browser, for the tests that talk to real ones; skipped where we may not install.
debian:
	@sh tests/install-debian-packages.sh

clean:
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .ruff_cache

$(VENV)/bin/python:
	$(PYTHON) -m venv $(VENV)

# Where the extra index cannot be reached, the usual one has the same version, with what graphics cards need.
$(VENV)/.torch: $(VENV)/bin/python
	$(if $(TORCH_INDEX),$(PIP) --extra-index-url $(TORCH_INDEX) $(TORCH) ||) $(PIP) $(TORCH)
	touch $@

$(VENV)/.detector: $(VENV)/.torch pyproject.toml
	$(PIP) --editable '.[detector]'
	touch $@

$(VENV)/.dev: $(VENV)/.torch pyproject.toml
	$(PIP) --editable '.[detector,dev]'
	touch $@ $(VENV)/.detector
