# Every target does its own set-up: `make test` and `make demo` work in a fresh clone with
# nothing but python3 (3.11 or newer) and make. The environment lives in .venv; a stamp
# inside it records what was installed, so that a second call starts at once.
#
#   PYTHON=python3.12 make test        another interpreter
#   TORCH_ARGS="--index-url URL" make test
#                                      the small CPU-only torch from PyTorch's own index
#                                      (PyPI's Linux wheel brings CUDA)

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
TORCH_ARGS ?=
DEMO_DIR ?= demo_output
PYTEST_ARGS ?= -n auto --dist loadfile

.DELETE_ON_ERROR:
.PHONY: all setup test demo docs lint format audit verify clean

all: test

setup: $(STAMP)

# torch goes first and alone: it decides what everything after it may be
$(STAMP): pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
	  || { echo "fermi-unek needs Python 3.11 or newer; set PYTHON=..." >&2; exit 1; }
	@echo "installing into $(VENV) (minutes the first time)"
	$(BIN)/python -m pip install --quiet -c constraints.txt $(TORCH_ARGS) \
	  "$$(grep -m1 '^torch==' constraints.txt)"
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[dev,docs]'
	@touch $@

test: $(STAMP)
	$(BIN)/python -m pytest $(PYTEST_ARGS)

demo: $(STAMP)
	$(BIN)/fermi-unek demo --output $(DEMO_DIR) --overwrite

# -W: a warning is an error; the pages are written into docs/_build/html
docs: $(STAMP)
	$(BIN)/python -m sphinx -W --keep-going -q -b html -d docs/_build/doctrees docs docs/_build/html
	@echo "docs/_build/html/index.html"

lint: $(STAMP)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(STAMP)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

# known faults of what is installed (asks PyPI's advisories, so needs the network), and unsafe calls
audit: $(STAMP)
	$(BIN)/python -m pip install --quiet bandit pip-audit
	$(BIN)/bandit -q -r src -ll
	$(BIN)/pip-audit --progress-spinner off --skip-editable

# the figures of the README anew, and which have moved (about an hour; needs the shared data)
verify: $(STAMP)
	$(BIN)/python studies/verify.py

# the environment stays; remove .venv by hand to start over
clean:
	rm -rf build dist verify_output docs/_build docs/api docs/auto_gallery $(DEMO_DIR) .pytest_cache .mypy_cache .ruff_cache src/*.egg-info
