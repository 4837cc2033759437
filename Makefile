# Everything here makes its own virtual environment in .venv and needs only Python 3.11 or later.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/pip install --quiet --disable-pip-version-check
CODE   := pyproject.toml README.md $(shell find streamlnn connectors -name '*.py' -o -path '*/static/*')

.PHONY: help demo test soak lint broker browser prometheus clean

help:
	@echo "make demo   watch live forecasts: a broker, a feed, the daemon (ARGS='--for 30s')"
	@echo "make test   run all tests against the installed package"
	@echo "make soak   the daemon under 200 kills, and the tests that take long: half an hour or more"
	@echo "make lint   ruff and mypy"
	@echo "make clean  remove what the others made"

demo: $(VENV)/demo
	@$(BIN)/streamlnn demo $(ARGS)

test: $(VENV)/dev broker browser prometheus
	$(BIN)/pytest --numprocesses 2 --dist worksteal $(ARGS)
	$(BIN)/pytest --doctest-modules --pyargs streamlnn connectors

soak: $(VENV)/dev broker
	$(BIN)/python -P -m streamlnn.pipeline.testing soak --minutes 10 --rate 2000 \
	  --kills 200 --broker-restarts 10 $(ARGS)
	STREAMLNN_EXAMPLES=3000 $(BIN)/pytest tests/faults/test_damage.py tests/faults/test_power_cut.py
	$(BIN)/pytest -m soak

lint: $(VENV)/dev
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# The wheel is installed, not the tree: what the tests see is what a user gets.
$(VENV)/demo: $(CODE)
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing streamlnn with its demo into $(VENV)"
	@$(PIP) '.[demo]'
	@touch $@

$(VENV)/dev: $(CODE)
	@test -x $(BIN)/pip || $(PYTHON) -m venv $(VENV)
	@echo "installing streamlnn with its development tools into $(VENV)"
	@$(PIP) '.[dev]'
	@touch $@

# The tests talk to a real mosquitto; without one they are skipped (in CI: they fail).
broker:
	@PATH="$$PATH:/usr/sbin:/usr/local/sbin"; \
	if command -v mosquitto >/dev/null && command -v mosquitto_pub >/dev/null; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing mosquitto"; \
	  apt-get update -qq && apt-get install -y -qq mosquitto mosquitto-clients >/dev/null; \
	elif command -v apt-get >/dev/null && sudo -n true 2>/dev/null; then \
	  echo "installing mosquitto"; \
	  sudo apt-get update -qq && sudo apt-get install -y -qq mosquitto mosquitto-clients >/dev/null; \
	else \
	  echo "mosquitto is missing, tests that need it will be skipped; install it with"; \
	  echo "  Debian, Ubuntu: sudo apt-get install mosquitto mosquitto-clients"; \
	  echo "  Fedora: sudo dnf install mosquitto    macOS: brew install mosquitto"; \
	fi

# The page is tested in a real Chromium; without one these tests are skipped (in CI: they fail).
browser:
	@if command -v chromium >/dev/null; then exit 0; fi; \
	if command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing chromium"; \
	  apt-get update -qq && apt-get install -y -qq chromium >/dev/null; \
	else \
	  echo "chromium is missing, tests of the page will be skipped"; \
	fi

# The metrics are scraped by a real Prometheus; without one these tests are skipped (in CI: they
# fail). Debian's package starts a server of its own, which only CI may be given unasked.
prometheus:
	@if command -v prometheus >/dev/null && command -v promtool >/dev/null; then exit 0; fi; \
	if [ "$$CI" = true ] && command -v apt-get >/dev/null && [ "$$(id -u)" = 0 ]; then \
	  echo "installing prometheus"; \
	  apt-get update -qq && \
	  apt-get install -y -qq --no-install-recommends prometheus >/dev/null; \
	else \
	  echo "prometheus is missing, tests of the metrics with it will be skipped; install it with"; \
	  echo "  Debian, Ubuntu: sudo apt-get install prometheus"; \
	fi

clean:
	rm -rf $(VENV) build dist .mypy_cache .ruff_cache .pytest_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
