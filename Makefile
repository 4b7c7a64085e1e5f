# make demo     from nothing to a picture of a volume: environment, Orthanc, upload, select, read
# make test     everything that must be right; with CI set, against three versions of Orthanc
# make servers  (root) the Orthanc of Debian 13 and of Debian sid beside this system's own, for the tests
# make bench    how fast it is, against the wire and the local disk, on each version of Orthanc that is here
# make bench-peers  the same, and against the other clients, which are installed into .venv-peers
# make realdata FOLDER=path  every series of a folder against dcm2niix and SimpleITK, voxel by voxel
# make format   puts the code in shape
# make clean    removes what the other targets made in this folder

PYTHON ?= python3
SIMPLE_ORTHANC_SERVERS ?= /opt/simple-orthanc
export SIMPLE_ORTHANC_SERVERS

ORTHANC_PACKAGES := orthanc orthanc-dicomweb orthanc-gdcm
BIN := .venv/bin
INSTALLED := .venv/installed

.PHONY: demo test servers bench bench-peers realdata format clean orthanc
.DEFAULT_GOAL := test

$(INSTALLED): setup.cfg setup.py
	@tools/make-environment "$(PYTHON)"
	@touch $@

# Not asked for where the user names a program, or has one that apt did not bring.
orthanc:
	@if [ -z "$$ORTHANC_PROGRAM" ]; then \
		if PATH="$$PATH:/usr/sbin:/usr/local/sbin" command -v Orthanc >/dev/null; \
		then tools/install-packages --optional $(ORTHANC_PACKAGES); \
		else tools/install-packages $(OPTIONAL) $(ORTHANC_PACKAGES) || [ -n "$(OPTIONAL)" ]; fi; \
	fi

# Without a server the demo reads a folder.
demo: OPTIONAL := --optional
demo: $(INSTALLED) orthanc
	@$(BIN)/python -m simple_orthanc.demo

test: $(INSTALLED) orthanc $(if $(CI),servers)
	@command -v openssl >/dev/null || tools/install-packages --optional openssl
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/python -m pytest --cov --cov-report=term

servers:
	@tools/make-servers "$(SIMPLE_ORTHANC_SERVERS)"

bench: $(INSTALLED) orthanc
	$(BIN)/python -m benchmarks --json benchmarks/results/bench.json

bench-peers: $(INSTALLED) orthanc
	@benchmarks/peers/make-environment "$(PYTHON)"
	@$(BIN)/python -m benchmarks --json benchmarks/results/bench-peers.json --peers .venv-peers/bin/python; \
		status=$$?; $(BIN)/python -m benchmarks.summary --write && exit $$status

realdata: $(INSTALLED)
	@test -n "$(FOLDER)" || { echo "Name a folder of DICOM files: make realdata FOLDER=path" >&2; exit 1; }
	$(BIN)/python tools/realdata.py $(FOLDER)

format: $(INSTALLED)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf .venv .venv-peers build demo dist *.egg-info .coverage .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find simple_orthanc tests -name __pycache__ -prune -exec rm -rf {} +
