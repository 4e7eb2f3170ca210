# The two commands:  make demo   (install, run the flagship comparison, draw)      make test   (install, run the tests)
# Both work from any folder (make -C path/to/thermal demo) and may be repeated.
ROOT := $(patsubst %/,%,$(dir $(abspath $(lastword $(MAKEFILE_LIST)))))
PYTHON ?= python3
VENV := $(ROOT)/.venv
BIN := $(VENV)/bin
VENV_MPI := $(ROOT)/.venv-mpi
RENDER_PACKAGES := libegl1 libgl1 libxrender1

.PHONY: demo test test-slow test-mpi coverage golden lint docs bench bench-env clean render-libraries

demo: $(VENV)/installed render-libraries
	@cd "$(ROOT)" && if "$(BIN)/python" meshes/fetch_body_ct.py; then \
	  "$(BIN)/thermal" compare cases/liver/*.toml --out results/liver; \
	else \
	  echo "The body CT could not be had; the comparison runs on the phantom of the same kind instead."; \
	  "$(BIN)/thermal" compare cases/liver/*.toml --anatomy phantom --out results/liver_phantom; \
	fi

# As many tests at a time as there are cores, neighbours of a file together; WORKERS=0: one after the other.
WORKERS ?= auto
test: $(VENV)/installed-test render-libraries
	@cd "$(ROOT)" && "$(BIN)/python" -m pytest --numprocesses "$(WORKERS)" --maxprocesses 4 --dist worksteal

test-slow: $(VENV)/installed-test render-libraries
	@cd "$(ROOT)" && "$(BIN)/python" -m pytest -m slow

# Which lines of thermal/ the tests run; what is not counted is said in CONTRIBUTING.md.
coverage: $(VENV)/installed-dev render-libraries
	@cd "$(ROOT)" && "$(BIN)/python" -m pytest --numprocesses "$(WORKERS)" --maxprocesses 4 --dist worksteal \
	  --cov=thermal --cov-report=term-missing:skip-covered --cov-fail-under=90

# Run the shipped cases, renew their golden numbers and print what changed. CASES="liver-gold liver-rfa": only these.
golden: $(VENV)/installed-test
	@cd "$(ROOT)" && "$(BIN)/python" tests/golden_runs.py $(CASES)

# The dolfinx engine on one, two and three MPI ranks, in an environment of its own: its wheels need Python 3.12.
ifneq (,$(filter test-mpi,$(MAKECMDGOALS)))
PYTHON_MPI ?= $(shell for python in python3.12 python3.13 python3 "$$HOME"/.pyenv/versions/*/bin/python; do \
  "$$python" -c 'import sys, venv, ensurepip; sys.exit(sys.version_info < (3, 12))' 2>/dev/null && echo "$$python" && break; \
  done)
endif

test-mpi: $(if $(PYTHON_MPI),$(VENV_MPI)/installed)
	@if [ -z "$(PYTHON_MPI)" ]; then \
	  echo "No Python 3.12 or newer here: the dolfinx engine is not tested (set PYTHON_MPI=/path/to/python3.12)."; \
	else \
	  cd "$(ROOT)" && "$(VENV_MPI)/bin/python" -m pytest tests/mpi; \
	fi

lint: $(VENV)/installed-dev
	@cd "$(ROOT)" && "$(BIN)/ruff" check && "$(BIN)/ruff" format --check && "$(BIN)/mypy" && "$(BIN)/codespell" thermal docs README.md

docs: $(VENV)/installed-docs
	@cd "$(ROOT)" && "$(BIN)/sphinx-build" -W -b html docs docs/_build/html && echo "docs: $(ROOT)/docs/_build/html/index.html"

# Everything that is installed, on a quiet machine: benchmarks/latest.json and docs/performance.md. QUICK=1: small sizes.
bench: $(VENV)/installed
	@cd "$(ROOT)" && "$(BIN)/python" benchmarks/run.py $(if $(QUICK),--quick) $(BENCH)

# Environments of the peers in .bench/ (a few minutes, 3 GB); DOLFINx needs a Python of at least 3.12 somewhere.
bench-env: $(VENV)/made
	@cd "$(ROOT)" && "$(BIN)/python" benchmarks/environments.py

clean:
	rm -rf "$(VENV)" "$(VENV_MPI)" "$(ROOT)/.bench" "$(ROOT)/results" "$(ROOT)/docs/_build"

$(VENV)/made:
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
	  { echo "thermal needs Python 3.11 or newer; set PYTHON=/path/to/python3.11"; exit 1; }
	@"$(PYTHON)" -m venv "$(VENV)" || { echo "no venv module: apt-get install python3-venv"; exit 1; }
	@touch "$@"

$(VENV)/installed: $(VENV)/made $(ROOT)/pyproject.toml
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable "$(ROOT)"
	@touch "$@"

$(VENV)/installed-test: $(VENV)/installed
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable "$(ROOT)[test]"
	@touch "$@"

$(VENV)/installed-dev: $(VENV)/installed-test
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable "$(ROOT)[dev]"
	@touch "$@"

$(VENV)/installed-docs: $(VENV)/installed
	@"$(BIN)/python" -m pip install --quiet --disable-pip-version-check --editable "$(ROOT)[docs]"
	@touch "$@"

$(VENV_MPI)/installed: $(ROOT)/pyproject.toml
	@"$(PYTHON_MPI)" -m venv "$(VENV_MPI)"
	@"$(VENV_MPI)/bin/python" -m pip install --quiet --disable-pip-version-check --editable "$(ROOT)[mpi,test]"
	@touch "$@"

# Off-screen rendering needs three small system libraries (VTK brings the rest).
render-libraries:
	@if "$(BIN)/python" -c 'import ctypes; [ctypes.CDLL(n) for n in ("libEGL.so.1", "libGL.so.1", "libXrender.so.1")]' 2>/dev/null; then :; \
	elif ! command -v apt-get >/dev/null; then \
	  echo "No pictures: install the libraries EGL, GL and Xrender of your system, then run this again."; \
	elif [ "$$(id -u)" = 0 ]; then \
	  { apt-get update -qq && apt-get install -y -qq --no-install-recommends $(RENDER_PACKAGES); } >/dev/null 2>&1 || \
	  echo "No pictures: 'apt-get install $(RENDER_PACKAGES)' failed; run it yourself, then this again."; \
	elif sudo -n true 2>/dev/null; then \
	  { sudo -n apt-get update -qq && sudo -n apt-get install -y -qq --no-install-recommends $(RENDER_PACKAGES); } >/dev/null 2>&1 || \
	  echo "No pictures: 'sudo apt-get install $(RENDER_PACKAGES)' failed; run it yourself, then this again."; \
	else \
	  echo "No pictures yet: they need 'sudo apt-get install $(RENDER_PACKAGES)'; the run goes on without them."; \
	fi
