PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
LOWEST := .venv-lowest
TORTURE := .venv-torture
BENCH := .venv-bench
PICTURES := .venv-pictures
TYPES := .venv-types
PACKAGE := .venv-package
VERSIONS := .venv-versions
CATALOGS := $(wildcard oauth_helper/locale/*/LC_MESSAGES/*.po)

# What an editable installation takes a copy of: the metadata with the version in it, and the compiled catalogs.
INSTALLED_FROM := pyproject.toml hatch_build.py oauth_helper/version.py $(CATALOGS)

# For each of the targets of `make fuzz`, of which there are fourteen.
SECONDS ?= 720

# Beside whom `make bench` measures, and which parts; none is all.
PEERS := huaweicloudsdkservicestage google-auth-oauthlib msal
PARTS ?=

# What `make versions` leaves out: browsers do not change with our Python, nor do benchmarks and fuzzing tell of it.
IN_BROWSERS := canaries_windows cookie_across_sites end_to_end_window listener_in_browsers pages_in_browsers two_users \
	window window_endings window_links
ASIDE := $(patsubst %,--ignore=tests/test_%.py,$(IN_BROWSERS) benchmarks fuzz pictures torture)
# What runs on the event loop in the tests' own process, windows among it.
ON_A_LOOP := $(filter-out %_in_browsers.py,$(wildcard $(patsubst %,tests/test_%*.py,exchange fault_matrix iam linking listener notices \
	python_api sandbox servicestage sitting standby start_over terminal visits why_no_window window)))

.PHONY: demo test lint bench completeness catalogs fuzz torture pictures test-lowest versions package release-check clean

# The main job, against a sandbox on this machine.
demo: $(VENV)/installed
	$(BIN)/oauth-helper link github --sandbox

# Everything that must hold: lint, types, tests. With OAUTH_HELPER_TESTS_THOROUGH=1, all of many that are alike, and as
# often at random as in .ci/run.
test: lint
	$(BIN)/python -m pytest --numprocesses=5 --dist worksteal

lint: $(VENV)/installed-for-development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

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
	$(LOWEST)/bin/python -m pytest --numprocesses=4 --dist worksteal --cov --cov-report=term

# Build the wheel and the sdist into dist/, and see that they hold what they must, are the same wherever and whenever they
# are built, and run wherever people install them: pip, pipx, uvx, a zip archive, without a git repository.
package: $(PACKAGE)/installed
	PYTHONPATH=tests $(PACKAGE)/bin/python -m release package

# Whether this checkout may be released: a line for each thing that must be so, and what to do where it is not.
release-check: $(PACKAGE)/installed
	PYTHONPATH=tests $(PACKAGE)/bin/python -m release

# The tests on the newest Python that can be had here (Debian's development suite has it), twice: as strict as an
# interpreter can be (what the tests start is so with warnings and memory), and on uvloop, which does not let a signal
# end a test that hangs.
versions: $(VERSIONS)/installed
	PYTHONWARNINGS=error PYTHONMALLOC=debug PYTHONFAULTHANDLER=1 $(VERSIONS)/bin/python -X dev -bb -W error -m pytest \
		--dist load --tx "4*popen//python=$(CURDIR)/$(VERSIONS)/bin/python -X dev -bb -W error" $(ASIDE)
	PYTHONPATH=tests $(VERSIONS)/bin/python -m pytest -p on_uvloop -o timeout_method=thread --numprocesses=4 $(ON_A_LOOP)

$(VENV)/installed: $(INSTALLED_FROM)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

# Dependency groups need pip 25.1.
$(VENV)/installed-for-development: $(INSTALLED_FROM)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade "pip>=25.1"
	$(BIN)/python -m pip install --quiet --editable . --group dev
	touch $@

$(LOWEST)/installed: $(INSTALLED_FROM) tests/lowest-versions.txt
	$(PYTHON) -m venv $(LOWEST)
	$(LOWEST)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(LOWEST)/bin/python -m pip install --quiet --editable . --group test --constraint tests/lowest-versions.txt
	touch $@

# Debian's Pythons have no pip of their own without another package.
$(VERSIONS)/installed: $(VENV)/installed-for-development .ci/newest-python
	"$$(.ci/newest-python $(VERSIONS)/python)" -m venv --without-pip $(VERSIONS)
	$(BIN)/python -m pip --python $(VERSIONS)/bin/python install --quiet --editable . --group test
	touch $@

$(TORTURE)/installed: pyproject.toml
	$(PYTHON) -m venv $(TORTURE)
	$(TORTURE)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(TORTURE)/bin/python -m pip install --quiet --editable . --group torture
	touch $@

$(PACKAGE)/installed: $(INSTALLED_FROM)
	$(PYTHON) -m venv $(PACKAGE)
	$(PACKAGE)/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	$(PACKAGE)/bin/python -m pip install --quiet --editable . --group package
	touch $@

$(PICTURES)/installed: $(INSTALLED_FROM)
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
	rm -rf $(VENV) $(LOWEST) $(TYPES) $(TORTURE) $(BENCH) $(PICTURES) $(PACKAGE) $(VERSIONS) .venv-axe .venv-oidc .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
