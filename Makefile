# Two commands do everything: `make demo` and `make test`. Each installs what it needs first.
VENV ?= .venv
PY := $(VENV)/bin/python
ARGS ?=

# Every test starts processes: compiled code is kept, or each of them would compile all of it again.
export PYTHONDONTWRITEBYTECODE :=

.PHONY: help demo test check real screenshots judges soak fuzz format proto clean
help: ## list the targets
	@grep -hE '^[a-z-]+.*:.*## ' $(MAKEFILE_LIST) | sed -E 's/^([a-z%-]+):.*## /  make \1\t/'

$(VENV)/.runtime: pyproject.toml constraints.txt scripts/setup-venv.sh
	@scripts/setup-venv.sh $(VENV) .
	@touch $@

$(VENV)/.dev: pyproject.toml constraints.txt scripts/setup-venv.sh
	@scripts/setup-venv.sh $(VENV) '.[dev]'
	@touch $(VENV)/.runtime $@

demo: $(VENV)/.runtime ## watch HTTP go through NLB and ALB, a canary, a dead backend; KEEP=1: it goes on, with a UI to look at it
	@$(VENV)/bin/marchproxy demo $(if $(KEEP),--keep) $(ARGS)

check: $(VENV)/.dev ## the fast gate: format, lint, types, floors, contract, unit tests, a little fuzz
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	PYTHON=$(PY) scripts/validate-proto.sh
	PYTHON=$(PY) scripts/gen-proto.sh --check
	$(PY) -m pytest tests/unit tests/fuzz -n 2

# two files at a time, but for those that have the machine to themselves; what ARGS chooses, one at a time
real: $(VENV)/.dev ## the real tests: true servers and clients (installs them, as root)
	scripts/install-servers.sh test
	scripts/install-players.sh
ifeq ($(ARGS),)
	$(PY) -m pytest tests/real tests/browser -m "not busy" -n 2 --dist loadfile --max-worker-restart 0
	$(PY) -m pytest tests/real -m busy
else
	$(PY) -m pytest tests/real tests/browser $(ARGS)
endif

screenshots: $(VENV)/.dev ## every page of the UI, dark and light, on a desk and on a phone, into TO=folder
	SCREENSHOTS=$(or $(TO),/tmp/marchproxy-screenshots) $(PY) -m pytest tests/browser -k every_page

# Not in CI: what they are takes more room, and time, than all else.
judges: $(VENV)/.dev ## programs and whole test suites of others through our proxies (installs servers, as root, and 2.6 GB apart)
	scripts/install-servers.sh test
	scripts/install-packages.sh judges $(JUDGES_VENV)
	scripts/install-packages.sh litellm $(LITELLM_VENV)
	$(PY) -m pytest tests/judges $(ARGS)

soak: $(VENV)/.dev ## ten minutes under load, for what only grows slowly (installs servers, as root)
	scripts/install-servers.sh test
	$(PY) -m pytest tests/soak -s $(ARGS)

fuzz: $(VENV)/.dev ## new inputs for every decoder and for the plan compiler, 30 times as many as in the fast gate
	$(PY) -m pytest tests/fuzz -n 2 --timeout 1200 --hypothesis-profile=fuzz $(ARGS)

# CHECKED=1, for CI: `make check` has just run the unit tests.
test: $(VENV)/.dev ## everything: unit tests, then the real ones
	$(if $(CHECKED),,$(PY) -m pytest tests/unit tests/fuzz -n 2)
	$(MAKE) real

bench-ai: $(VENV)/.dev ## language models, against LiteLLM, which it installs in a virtual environment of its own (742 MB)
	scripts/install-servers.sh bench
	scripts/install-packages.sh litellm $(LITELLM_VENV)
	$(PY) -m bench.ai $(ARGS)

bench-%: $(VENV)/.dev ## one benchmark, e.g. make bench-http ARGS=--quick (installs the peers, as root)
	scripts/install-servers.sh bench
	$(PY) -m bench.$* $(ARGS)

format: $(VENV)/.dev ## format and sort imports
	$(VENV)/bin/ruff format .
	$(VENV)/bin/ruff check --fix .

proto: $(VENV)/.dev ## regenerate src/marchproxy/contract/pb from proto/
	PYTHON=$(PY) scripts/gen-proto.sh

clean: ## remove the virtual environment and caches
	rm -rf $(VENV) .mypy_cache .ruff_cache .pytest_cache .import_linter_cache
