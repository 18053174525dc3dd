PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

# What an editable installation copies: the metadata, the version and the compiled translations.
INSTALLED_FROM := pyproject.toml hatch_build.py oauth_helper/version.py $(wildcard oauth_helper/locale/*/LC_MESSAGES/*.po)

# Seconds for each target of `make fuzz`.
SECONDS ?= 600
# The parts of `make bench`, for example "start window"; empty means all.
PARTS ?=
# `make torture PEERS=1` attacks three other tools as well.
PEERS ?=
# `make catalogs` collects all messages here.
POT ?= $(VENV)/messages.pot
CHECK ?=

# The tests that other versions of Python and of our dependencies may change. Browsers and attacks are not among them.
USING_DEPENDENCIES := $(addprefix tests/,cli link listener models redirect sandbox servicestage settings terminal) \
	-k "not (browsers or window or by_itself or at_once)"

.PHONY: demo test lint test-lowest test-newest types package bench torture fuzz catalogs pictures lock clean

# Link an account in a sandbox on this machine.
demo: $(VENV)/installed
	$(BIN)/oauth-helper link github --sandbox

# Lint, types and all tests. OAUTH_HELPER_TESTS_THOROUGH=1 runs every one of many similar cases.
test: lint
	$(BIN)/python -m pytest --numprocesses=5 --dist worksteal

lint: $(VENV)/installed-for-development
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# The tests with the lowest versions that pyproject.toml allows.
test-lowest: .venv-lowest/installed
	.venv-lowest/bin/python -m pytest --numprocesses=4 --dist worksteal $(USING_DEPENDENCIES)

# The tests with the newest versions of all dependencies, on the newest Python that this machine can get.
test-newest: .venv-newest/installed
	.venv-newest/bin/python -m pytest --numprocesses=4 --dist worksteal $(USING_DEPENDENCIES)

# Whether every public name has a type. Needs npm.
types: $(VENV)/installed-for-development
	npm install --silent --no-fund --no-audit --prefix .venv-types pyright
	PATH="$(CURDIR)/$(BIN):$$PATH" .venv-types/node_modules/.bin/pyright --verifytypes oauth_helper --ignoreexternal

# Build the wheel, the sdist, a .pyz and the manual page into dist/, check them, and run them. Needs groff.
package: .venv-package/installed
	PATH="$(CURDIR)/.venv-package/bin:$$PATH" .ci/package

# Times, memory and size, compared with other tools. All parts take about a quarter of an hour.
bench: .venv-bench/installed
	PYTHONPATH=tests .venv-bench/bin/python -m tools.benchmark $(PARTS)

# Send hostile traffic to `oauth-helper link`; fail if one attack succeeds.
torture: $(if $(PEERS),.venv-torture/installed,$(VENV)/installed-for-development)
	PYTHONPATH=tests $(if $(PEERS),.venv-torture,$(VENV))/bin/python -m tools.torture $(if $(PEERS),--peers)

# Fuzz every parser of foreign input, guided by coverage. Needs Linux on x86-64.
fuzz: .venv-fuzz/installed
	PYTHONPATH=tests .venv-fuzz/bin/python -m tools.fuzz --seconds $(SECONDS)

# Update the translations from the sources; `make test` fails until every message is translated. CHECK=--check changes
# nothing, and fails if something would change.
catalogs: $(VENV)/installed-for-development
	PYTHONPATH=tests $(BIN)/pybabel --quiet extract --mapping-file=babel.cfg --keywords="_ N_ ngettext:1,2" \
		--no-default-keywords --sort-by-file --add-location=file --project=oauth-helper --output-file=$(POT) \
		oauth_helper tests/support/message_sources.py
	$(BIN)/pybabel --quiet update $(CHECK) --domain=oauth_helper --input-file=$(POT) --output-dir=oauth_helper/locale \
		--width=100 --no-fuzzy-matching --ignore-obsolete --ignore-pot-creation-date

# The pictures in docs/. Needs Chromium and a font with Chinese characters.
pictures: .venv-pictures/installed
	PYTHONPATH=tests .venv-pictures/bin/python tests/tools/pictures.py

# Raise the versions in requirements-dev.txt to the newest ones.
lock: .venv-package/installed
	.venv-package/bin/uv pip compile --quiet --upgrade --universal --python-version 3.11 --generate-hashes \
		--no-emit-index-url --no-header --group dev pyproject.toml --output-file requirements-dev.txt

$(VENV)/installed: $(INSTALLED_FROM)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --editable .
	touch $@

$(VENV)/installed-for-development: requirements-dev.txt $(INSTALLED_FROM)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --require-hashes --requirement requirements-dev.txt
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	touch $(VENV)/installed $@

.venv-lowest/installed: tests/lowest-versions.txt $(INSTALLED_FROM)
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-lowest/bin/python -m pip install --quiet --editable . --group test --constraint tests/lowest-versions.txt
	touch $@

# Debian's newest Python comes without pip, so another one installs into it.
.venv-newest/installed: .ci/newest-python .venv-package/installed
	"$$(.ci/newest-python .venv-newest/python)" -m venv --without-pip .venv-newest
	.venv-package/bin/python -m pip --python .venv-newest/bin/python install --quiet --upgrade --upgrade-strategy eager \
		--editable . --group test
	touch $@

# The environments of bench, fuzz, package, pictures and torture: the dependency group of that name.
.venv-%/installed: $(INSTALLED_FROM)
	$(PYTHON) -m venv .venv-$*
	.venv-$*/bin/python -m pip install --quiet --upgrade "pip>=25.1"
	.venv-$*/bin/python -m pip install --quiet --editable . --group $*
	touch $@

clean:
	rm -rf .venv .venv-* .coverage .coverage.* .hypothesis .mypy_cache .pytest_cache .ruff_cache build dist
