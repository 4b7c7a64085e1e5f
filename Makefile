# make demo      from nothing to a picture of a volume: environment, Orthanc, upload, select, read
# make check     lint, format, types and layers, in seconds
# make unit      the tests that need no server, in minutes
# make test      everything: check, and all tests; with CI set, against three versions of Orthanc
# make thorough  (root) what is too slow for each change: at least ten times as many random examples, the oldest and the
#                newest allowed dependencies, and the first and the last of these lines on a fresh Debian 13
# make fuzz      damaged files and answers, made at random, for FUZZ_SECONDS (600)
# make pictures  volumes in JupyterLab, in a browser without a screen: what is seen is checked, and kept in build/pictures
# make faults    every operation through a proxy that misbehaves, on each version of Orthanc: docs/reliability.md
# make servers   (root) the Orthanc of Debian 13 and of Debian sid beside this system's own, and PostgreSQL, for the tests
# make bench     how fast it is, against the wire and the local disk, on each version of Orthanc that is here
# make bench-peers  the same, and against the other clients, which are installed into .venv-peers
# make bench-link  what a slow link costs, on each version of Orthanc that is here
# make realdata FOLDER=path  every series of a folder against dcm2niix and SimpleITK, voxel by voxel
# make docs      the documentation as a site: docs/_build/html
# make notebooks executes the notebooks, and stores their outputs and pictures
# make format    formats the code
# make clean     removes what the other targets made in this folder

PYTHON ?= python3
# Processes that run tests at a time. Each has servers of its own.
WORKERS ?= 2
SIMPLE_ORTHANC_SERVERS ?= /opt/simple-orthanc
export SIMPLE_ORTHANC_SERVERS
# Hundreds of programs that the tests start read the bytecode that the first one leaves.
unexport PYTHONDONTWRITEBYTECODE

ORTHANC_PACKAGES := orthanc orthanc-dicomweb orthanc-gdcm
BIN := .venv/bin
INSTALLED := .venv/installed
# In the order of tests/conftest.py: the longest modules first.
PYTEST := $(BIN)/python -m pytest -n $(WORKERS) --dist loadgroup --no-loadscope-reorder

.PHONY: demo check unit test prepared compiled thorough pictures faults random oldest newest debian servers bench bench-link bench-peers realdata \
	fuzz docs notebooks format clean orthanc openssl plugin dcmtk chromium
.DEFAULT_GOAL := test

$(INSTALLED): setup.cfg setup.py
	@tools/make-environment "$(PYTHON)"
	@touch $@

# Not asked for where the user names a program, or has one that apt did not install.
orthanc:
	@if [ -z "$$ORTHANC_PROGRAM" ]; then \
		if PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v Orthanc >/dev/null; \
		then tools/install-packages --optional $(ORTHANC_PACKAGES); \
		else tools/install-packages $(OPTIONAL) $(ORTHANC_PACKAGES) || [ -n "$(OPTIONAL)" ]; fi; \
	fi

# For one test, where the system has it: Debian 12 does. No other server loads it.
plugin: orthanc
	@if apt-cache show orthanc-python >/dev/null 2>&1; then tools/install-packages --optional orthanc-python; fi

# Has the PACS of the tests.
dcmtk:
	@command -v dcmqrscp >/dev/null || tools/install-packages --optional dcmtk

# Draws what a notebook shows.
chromium:
	@command -v chromium google-chrome >/dev/null || tools/install-packages --optional chromium

# Makes the certificates of the tests.
openssl:
	@command -v openssl >/dev/null || tools/install-packages --optional openssl

# Without a server the demo reads a folder.
demo: OPTIONAL := --optional
demo: $(INSTALLED) orthanc
	@$(BIN)/python -m simple_orthanc.demo

check: $(INSTALLED)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

unit: $(INSTALLED) openssl
	$(PYTEST) -m "not live"

# What a run needs is independent of each other, and is mostly waited for.
test:
	@$(MAKE) --no-print-directory --jobs=4 prepared
	@$(MAKE) --no-print-directory --jobs=2 check compiled
	$(PYTEST) --cov --cov-report=term

# While the checks need one processor. Else each process of the tests would do it, for half a minute.
compiled: $(INSTALLED)
	@collected=$$($(BIN)/python -m pytest --collect-only -qq 2>&1) || { echo "$$collected"; exit 1; }

prepared: $(INSTALLED) orthanc plugin dcmtk openssl $(if $(CI),servers)

thorough: random oldest newest debian pictures

random: $(INSTALLED) orthanc dcmtk openssl servers
	SIMPLE_ORTHANC_TESTS=thorough $(PYTEST)

oldest newest: openssl
	@tools/check-dependencies $@ "$(PYTHON)" "$(WORKERS)"

debian:
	@tools/check-debian trixie "$(SIMPLE_ORTHANC_SERVERS)"

faults: $(INSTALLED) orthanc servers
	$(BIN)/python -m tests.faults --write

pictures: $(INSTALLED) chromium
	@$(BIN)/pip install --quiet --disable-pip-version-check --no-build-isolation --use-pep517 --editable ".[pictures]"
	$(BIN)/python -m tests.pictures

fuzz: $(INSTALLED)
	$(BIN)/python -m tests.fuzz

# After this system's own, on which it depends which others are needed.
servers: orthanc
	@tools/make-servers "$(SIMPLE_ORTHANC_SERVERS)"

bench: $(INSTALLED) orthanc
	$(BIN)/python -m benchmarks --json benchmarks/results/bench.json

bench-link: $(INSTALLED) orthanc
	$(BIN)/python -m benchmarks.link --json benchmarks/results/bench-link.json

bench-peers: $(INSTALLED) orthanc
	@benchmarks/peers/make-environment "$(PYTHON)"
	@$(BIN)/python -m benchmarks --json benchmarks/results/bench-peers.json --peers .venv-peers/bin/python; \
		status=$$?; $(BIN)/python -m benchmarks.summary --write && exit $$status

realdata: $(INSTALLED)
	@test -n "$(FOLDER)" || { echo "Name a folder of DICOM files: make realdata FOLDER=path" >&2; exit 1; }
	$(BIN)/python tools/realdata.py $(FOLDER)

docs: $(INSTALLED)
	@rm -rf docs/reference/generated
	$(BIN)/python -m sphinx -W --keep-going -n -q -j 2 -c docs . docs/_build/html

notebooks: $(INSTALLED) orthanc
	$(BIN)/python -m tests.notebooks --write

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-* build docs/_build docs/reference/generated demo dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find simple_orthanc tests -name __pycache__ -prune -exec rm -rf {} +
