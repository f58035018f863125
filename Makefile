# Two commands do everything on a fresh machine: `make leaderboard` and `make test`.
# Each makes its own environment in .venv; what is there already is not made again.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STUDY ?= quick
# One thread per process: parallelism is across runs, and sums keep their order.
export OMP_NUM_THREADS := 1

.PHONY: leaderboard test lint types tests docs faults browser postgres benchmarks gpu clean

leaderboard: $(VENV)/.installed
	@$(BIN)/scorebench run $(STUDY)

test: lint types tests

lint: $(VENV)/.installed-test
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

# mypy wants a folder with the package's name, whatever the checkout is called.
types: $(VENV)/.installed-test
	@mkdir -p build && ln -sfn .. build/scorebench
	cd build && MYPYPATH=. ../$(BIN)/mypy -p scorebench.datasets -p scorebench.methods \
		-p scorebench.bench -p scorebench.studies -p scorebench.reports -m scorebench.__main__

tests: $(VENV)/.installed-test browser postgres
	$(BIN)/pytest -n 2 -m "slow or not slow"

# The documentation as a site, in build/site/index.html; needs no network.
docs: $(VENV)/.installed-test
	@mkdir -p build && ln -sfn .. build/scorebench
	@NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --quiet --strict
	@echo build/site/index.html

# The table of docs/performance.md: a quarter of an hour on an idle machine.
benchmarks: $(VENV)/.installed-test
	env -u OMP_NUM_THREADS $(BIN)/python -m tests.benchmarks

# The same for a CUDA device, with the tests that need one: eight minutes at most.
gpu: $(VENV)/.installed-test
	$(BIN)/python -m tests.benchmarks.gpu

# Kills, torn files, full disks, lost workers: the long form, which ends in a table of what was
# found. Half an hour; ONLY=kills runs a piece (any expression of pytest's -k), and the table keeps
# the figures of the pieces before.
ONLY ?= test
faults: $(VENV)/.installed-test postgres
	SCOREBENCH_FAULTS=long $(BIN)/pytest tests/faults -n 2 -m "slow or not slow" --timeout 3600 -k "$(ONLY)"

# The report is opened in a real browser; without one that test is skipped and says so.
browser:
	@for name in chromium chromium-browser google-chrome; do \
		command -v $$name >/dev/null && exit 0; done; \
	if [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing Chromium, which opens the report in the tests" && \
		apt-get update -qq && apt-get install -y -qq chromium >/dev/null || true; \
	else echo "no Chromium found: the report will not be opened in a browser"; fi

# A real server is started in the tests; without one those are skipped and say so.
postgres:
	@if command -v initdb >/dev/null || ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1; then \
		:; \
	elif [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null; then \
		echo "installing PostgreSQL, which the tests start a server of" && \
		apt-get update -qq && apt-get install -y -qq postgresql >/dev/null || true; \
	else echo "no PostgreSQL found: studies will not be tested with it"; fi

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "scorebench needs Python 3.11 or newer; try: make PYTHON=python3.11"; exit 1; }
	$(PYTHON) -m venv $(VENV)

$(VENV)/.installed: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing scorebench into $(VENV) (once; torch is large)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e .
	@touch $@

$(VENV)/.installed-test: $(VENV)/bin/python pyproject.toml constraints.txt
	@echo "installing scorebench and its test tools into $(VENV) (once; torch is large)"
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e ".[test]"
	@touch $@ $(VENV)/.installed

clean:
	rm -rf $(VENV) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache
