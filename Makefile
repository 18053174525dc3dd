PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
TORTURE := .venv-torture
BENCH := .venv-bench
PICTURES := .venv-pictures
TYPES := .venv-types
CATALOGS := $(wildcard oauth_helper/locale/*/LC_MESSAGES/*.po)

# For each of the targets of `make fuzz`, of which there are fourteen.
SECONDS ?= 720

# Beside whom `make bench` measures, and which parts; none is all.
PEERS := huaweicloudsdkservicestage google-auth-oauthlib msal
PARTS ?=

# What `make figures` must know, of coverage and types; what it does not know it only says.
MEASURED ?=

.PHONY: demo test lint bench completeness figures drawing catalogs fuzz torture pictures test-lowest clean

# The main job, against a sandbox on this machine.
demo: $(VENV)/installed
	$(BIN)/oauth-helper link github --sandbox

# Everything that must hold: lint, types, tests. With OAUTH_HELPER_TESTS_THOROUGH=1, as often at random as in .ci/run.
test: lint
	$(BIN)/python -m pytest --numprocesses=4

lint: $(VENV)/installed-for-development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

# Our times, memory and size beside those of others, each pair in turn; takes about a quarter of an hour.
# `make bench PARTS="start window"` measures a part of it.
bench: $(BENCH)/installed
	PYTHONPATH=tests $(BENCH)/bin/python -m benchmarks $(PARTS)

# How much of the public API has types that every checker reads alike: all of it, or this fails. Needs npm.
completeness:
	$(PYTHON) -m venv $(TYPES)
	$(TYPES)/bin/python -m pip install --quiet --force-reinstall .
	npm install --silent --no-fund --no-audit --prefix $(TYPES)/npm pyright
	PATH="$(CURDIR)/$(TYPES)/bin:$$PATH" $(TYPES)/npm/node_modules/.bin/pyright --verifytypes oauth_helper --ignoreexternal \
		>$(TYPES)/completeness.txt; ended=$$?; cat $(TYPES)/completeness.txt; exit $$ended

# The shape of the package in figures, beside those of others; fails where one that must hold does not. It reads what
# `make test-lowest` and `make completeness` have left.
figures: $(VENV)/installed-for-development
	PYTHONPATH=tests $(BIN)/python -m figures --measured $(MEASURED)

# The drawing of the house in the READMEs, from its floors and from what each room says of itself.
drawing: $(VENV)/installed-for-development
	PYTHONPATH=tests $(BIN)/python -m house

# Bring the translations up to date with the sources; fails while something is left to be translated.
catalogs: $(VENV)/installed-for-development
	PYTHONPATH=tests $(BIN)/python -m catalogs

# Long fuzzing of everything that reads what a stranger wrote; what is found is kept in a temporary folder.
fuzz: $(VENV)/installed-for-development
	$(BIN)/python tests/fuzz/run.py --seconds $(SECONDS)

# Hostile traffic for us and three other tools, side by side; fails where we do, or where the README says otherwise.
torture: $(TORTURE)/installed
	PYTHONPATH=tests $(TORTURE)/bin/python -m torture --readme README.md

# The pictures in docs/, from runs in the sandbox. Needs Chromium and a font with Chinese characters.
pictures: $(PICTURES)/installed
	PYTHONPATH=tests $(PICTURES)/bin/python -m pictures

# The tests again, with the lowest versions that pyproject.toml allows, and with coverage, which takes a third longer.
test-lowest: $(LOWEST)/installed
	$(LOWEST)/bin/python -m pytest --numprocesses=4 --cov --cov-report=term

$(VENV)/installed: pyproject.toml hatch_build.py $(CATALOGS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# Dependency groups need pip 25.1.
$(VENV)/installed-for-development: pyproject.toml hatch_build.py $(CATALOGS)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

$(LOWEST)/installed: pyproject.toml hatch_build.py $(CATALOGS) tests/lowest-versions.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LOWEST)/bin/python -m pip install --quiet --editable . --group test --constraint tests/lowest-versions.txt
	touch $@

$(TORTURE)/installed: pyproject.toml
	$(PYTHON) -m venv $(TORTURE)
	$(TORTURE)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TORTURE)/bin/python -m pip install --quiet --editable . --group torture
	touch $@

$(PICTURES)/installed: pyproject.toml hatch_build.py $(CATALOGS)
	$(PYTHON) -m venv $(PICTURES)
	$(PICTURES)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PICTURES)/bin/python -m pip install --quiet --editable . --group pictures
	touch $@

# What is measured has an environment each, as its users would have; ours has the wheel.
$(BENCH)/installed: $(BENCH)/peers $(shell find oauth_helper -type f ! -name '*.pyc')
	rm -rf $(BENCH)/wheel
	$(BENCH)/bin/python -m pip wheel --quiet --no-deps --wheel-dir $(BENCH)/wheel .
	$(PYTHON) -m venv --clear $(BENCH)/alone/oauth-helper
	$(BENCH)/alone/oauth-helper/bin/python -m pip install --quiet $(BENCH)/wheel/*.whl
	touch $@

$(BENCH)/peers: pyproject.toml
	$(PYTHON) -m venv $(BENCH)
	$(BENCH)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BENCH)/bin/python -m pip install --quiet --editable . --group bench
	for package in $(PEERS); do \
		$(PYTHON) -m venv --clear $(BENCH)/alone/$$package && \
		$(BENCH)/alone/$$package/bin/python -m pip install --quiet $$package || exit 1; \
	done
	touch $@

clean:
	rm -rf $(VENV) $(LOWEST) $(TYPES) $(TORTURE) $(BENCH) $(PICTURES) .venv-axe .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
