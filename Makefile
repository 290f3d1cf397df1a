# Everything that a checkout can do. Each target does all its own set-up, in .venv, and only when something has changed.
#   make demo    a loopback fleet of real SSH servers, and the prompt      make test   the tests, against a real sshd
#   make lint    ruff, mypy, import contracts                               make clean  forget all that was made here
#   make tour    the demo without a person                                  make package-check, make picture-check
#   make bench   what it costs beside other tools, in 3 minutes; ARGS="--full --write" measures more in 15, writes docs/benchmarks.*
# PYTHON=python3.12 chooses the interpreter; ARGS="-k name" goes to pytest, to the benchmarks, or to the demo.

PYTHON ?= python3
ARGS ?=

VENV := .venv
PY := $(VENV)/bin/python
PIP := $(PY) -m pip --disable-pip-version-check --quiet

# A home that is not set (or empty) would send pip's cache and our own state to odd places.
ifeq ($(strip $(HOME)),)
export HOME := $(CURDIR)/$(VENV)/home
endif
# Somebody else's setting must not lead past this checkout's own environment.
unexport PYTHONHOME PYTHONPATH VIRTUAL_ENV

# An environment does not survive a move to another folder, nor another interpreter: then it is made again.
MADE_FOR := $(CURDIR) $(PYTHON)
ifneq ($(shell cat $(VENV)/.made-for 2>/dev/null),$(MADE_FOR))
.PHONY: $(PY)
endif

.PHONY: help demo test bench lint tour picture-check package-check clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^# \{0,1\}//p;/^$$/q' Makefile

demo: $(VENV)/.run-time
	@$(PY) run_shell.py --demo $(ARGS)

tour: $(VENV)/.run-time
	@$(PY) run_shell.py --demo </dev/null

test: $(VENV)/.dev
	@sh tests/support/get-sshd
	@sh tests/support/get-sudo
	@$(PY) -m pytest $(ARGS)

bench: $(VENV)/.dev
	@sh tests/support/get-sshd
	@$(PY) -m tests.benchmarks $(ARGS)

lint: $(VENV)/.dev
	@$(PY) -m ruff check .
	@$(PY) -m ruff format --check .
	@$(PY) -m mypy
	@$(PY) -c 'from importlinter.cli import lint_imports_command; lint_imports_command()'

picture-check: $(VENV)/.dev
	@$(PY) docs/make_picture.py --check

package-check: $(PY)
	@$(PY) tests/support/package_check.py

clean:
	rm -rf $(VENV) .benchmarks build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/.run-time: $(PY) requirements.txt
	@echo "Installing what hostshell needs into $(VENV) ..."
	@$(PIP) install -r requirements.txt
	@touch $@

$(VENV)/.dev: $(VENV)/.run-time pyproject.toml
	@echo "Installing what the tests and checks need into $(VENV) ..."
	@$(PIP) install -e '.[dev]' --config-settings editable_mode=compat
	@touch $@

$(PY):
	@version=$$($(PYTHON) -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null) || { \
	    echo "$(PYTHON) cannot be run. hostshell needs Python 3.10 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 1; }; \
	case $$version in 2.*|3.?) \
	    echo "$(PYTHON) is Python $$version. hostshell needs 3.10 or newer; name one: make PYTHON=/path/to/python3" >&2; exit 1;; esac
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	    echo "$(PYTHON) cannot make virtual environments. On Debian and Ubuntu: apt-get install python3-venv. Then try again." >&2; exit 1; }
	@$(PYTHON) -m venv --clear $(VENV)
	@mkdir -p "$(HOME)" 2>/dev/null || true
	@printf '%s\n' '$(MADE_FOR)' >$(VENV)/.made-for
