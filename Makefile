# The first two commands do everything on a machine with Python 3.11 or newer:
#
#   make run    set up .venv, start the service, certify a sample picture, keep serving
#   make test   set up .venv, run the whole suite
#   make soak   set up .venv, kill services and stores for some minutes, look that nothing is lost
#   make fuzz   set up .venv, 100,000 mutated pictures and archives, and odd requests to every route
#   make lint   set up .venv with the dev extra; ruff, mypy, import contracts, container files
#   make audit  ask the public database about holes in the pinned dependencies; needs the network
#   make clean  remove .venv and what was built
#
# Variables:
#   PYTHON=python3.12       the interpreter that .venv is made with
#   TORCH_INDEX=URL         a further package index. On Linux without a GPU PyTorch's own index
#                           of CPU builds saves gigabytes:
#                           make run TORCH_INDEX=https://download.pytorch.org/whl/cpu
#   ARGS="-k radius -x"     further arguments of pytest, or of `surety serve`

PYTHON ?= python3
TORCH_INDEX ?=
ARGS ?=

VENV := .venv
BIN := $(VENV)/bin
INSTALL := $(BIN)/python -m pip install --disable-pip-version-check \
	$(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX))

.PHONY: help run test soak fuzz lint audit format clean
.DELETE_ON_ERROR:

help:
	@sed -n 's/^#   make/make/p' Makefile

run: $(VENV)/.run
	@exec $(BIN)/surety serve --demo $(ARGS)

test: $(VENV)/.test
	@exec $(BIN)/pytest -n auto --maxprocesses 4 --dist worksteal $(ARGS)

soak: $(VENV)/.test
	@SOAK=1 exec $(BIN)/pytest -s tests/soak tests/security/test_planted_secrets.py $(ARGS)

fuzz: $(VENV)/.test
	$(BIN)/python -m tests.fuzz.uploads $(ARGS)
	$(BIN)/python -m tests.fuzz.api
	$(BIN)/python -m tests.fuzz.api --keyed

lint: $(VENV)/.dev
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/check-jsonschema --builtin-schema vendor.compose-spec docker-compose.yml docker/compose.*.yml
	$(BIN)/shellcheck docker/*.sh .ci/run
	git ls-files -z $(SECRETS_IN) | xargs -0 $(BIN)/detect-secrets-hook --baseline .secrets.baseline --no-verify
	@$(call if_there,hadolint,docker/Dockerfile docker/redis/Dockerfile)
	@$(call if_there,docker-compose,$(COMPOSE_ALL) config --quiet)

# Pictures, weights and recorded answers hold long runs of letters and no secrets. What is
# allowed is explained in SECURITY.md.
SECRETS_IN := -- . ':!*.png' ':!*.svg' ':!*.safetensors' ':!*.onnx' ':!service/openapi_recorded.json'

# There are no builds of them for Windows.
COMPOSE_ALL := $(addprefix -f ,docker-compose.yml docker/compose.secrets.yml docker/compose.gpu.yml) \
	--env-file docker/demo.env --profile observability
if_there = if [ -x $(BIN)/$(1) ]; then echo "$(BIN)/$(1) $(2)"; $(BIN)/$(1) $(2); \
	else echo "LEFT OUT: $(1) is not in $(BIN)"; fi

format: $(VENV)/.dev
	$(BIN)/ruff check --fix
	$(BIN)/ruff format

# --strict: what could not be asked about, for want of the network, is no clean result.
audit: $(VENV)/.dev
	$(INSTALL) 'pip-audit>=2.9'
	$(BIN)/pip-audit -r docker/constraints.txt --no-deps --disable-pip --strict

clean:
	rm -rf $(VENV) build dist *.egg-info
	rm -rf .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The stamps say what .venv holds; they are renewed when pyproject.toml changes.
$(VENV)/.run: pyproject.toml $(VENV)/.made
	$(INSTALL) -e .
	@touch $@

$(VENV)/.test: pyproject.toml $(VENV)/.made
	$(INSTALL) -e '.[test]'
	@touch $@ $(VENV)/.run

$(VENV)/.dev: pyproject.toml $(VENV)/.made
	$(INSTALL) -e '.[dev]'
	@touch $@ $(VENV)/.test $(VENV)/.run

$(VENV)/.made:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
		echo "Surety needs Python 3.11 or newer, and $(PYTHON) is not." >&2; \
		echo "Name another one, such as: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; \
		exit 1; }
	@$(PYTHON) -m venv $(VENV) || { \
		echo "$(PYTHON) cannot make a virtual environment." >&2; \
		echo "On Debian and Ubuntu: apt-get install python3-venv" >&2; \
		exit 1; }
	@touch $@
