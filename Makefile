# Everything here needs Python 3.11 or newer (with venv), make and git; the rest is installed into .venv.
PYTHON ?= python3
VENV := .venv
PY := $(VENV)/bin/python
UV := $(VENV)/bin/uv
AIRFLOWS := 2.11 3.0 3.1 3.2 3.3
SPARKS := 3.5 4
AZURITE := 3.37.0
CONSTRAINTS := constraints/airflow-3.3.txt
# Tests wait as often as they compute, so two cores have room for four of them.
PARALLEL := --numprocesses=4 --dist=worksteal
# More arguments for what a target runs: make test ARGS="-k client -x"
ARGS :=

.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.SUFFIXES:
MAKEFLAGS += --no-builtin-rules

# Nothing here may touch the Airflow, or use the connections, of whoever calls make.
unexport $(filter AIRFLOW% _AIRFLOW%,$(.VARIABLES)) PYTHONPATH PYTHONHOME VIRTUAL_ENV SPARK_HOME
# Tests start hundreds of programs, which would compile Airflow again and again.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: help
help: ## Show this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "  make %-12s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

.PHONY: demo
demo: $(VENV)/.installed ## Export three sandbox plans with a real Airflow into ./lake and show what landed
	@$(PY) -m dev.demo $(ARGS)

.PHONY: test
test: $(VENV)/.installed ## Run the tests (ARGS="-k name" for some of them)
	@$(PY) -m pytest $(PARALLEL) $(ARGS)

.PHONY: test-slow
test-slow: $(VENV)/.installed ## Run the tests that take minutes: kills at every step, races, installations
	@$(PY) -m pytest -m "slow and not e2e and not spark and not distributed" $(PARALLEL) $(ARGS)

.PHONY: test-more
test-more: $(VENV)/.installed ## Run all tests with thousands of random schedules (hours)
	@ACHIEVEIT_SCHEDULES=4000 ACHIEVEIT_ITEMS=400 $(PY) -m pytest -m "not e2e and not spark and not distributed" $(PARALLEL) $(ARGS)

.PHONY: test-oldest
test-oldest: $(VENV)-oldest/.installed ## Run the tests of api and lake on the oldest packages that pyproject.toml allows
	@ACHIEVEIT_SCHEDULES=40 $(VENV)-oldest/bin/python -m pytest tests/api tests/lake $(PARALLEL) $(ARGS)

.PHONY: test-spark
test-spark: $(SPARKS:%=test-spark-%) ## Read and query lakes with Spark 3.5 and 4 (needs Java 17; make test-spark-4 for one)

.PHONY: $(SPARKS:%=test-spark-%)
$(SPARKS:%=test-spark-%): test-spark-%: $(VENV)-spark-%/.installed
	@echo "Spark $*"
	@$(VENV)-spark-$*/bin/python -m pytest -m spark tests/spark $(ARGS)

.PHONY: test-stores
test-stores: $(VENV)-servers/.installed .servers/azurite/.installed .servers/ceph/.installed .servers/iceberg/.installed ## Publish and read with Azurite, Ceph and an Iceberg REST catalog (needs npm and apt-get)
	@ACHIEVEIT_SERVERS=$(CURDIR)/.servers $(VENV)-servers/bin/python -m pytest -m "not e2e and not distributed and not spark" tests/lake tests/operators $(ARGS)

.PHONY: test-distributed
test-distributed: $(VENV)-servers/.installed .servers/ceph/.installed .servers/cluster/.installed ## Run Airflow on workers and triggerers that share nothing, and kill some (needs apt-get)
	@ACHIEVEIT_SERVERS=$(CURDIR)/.servers $(VENV)-servers/bin/python -m pytest -m distributed tests/distributed $(ARGS)

.PHONY: airflow
airflow: $(VENV)/.installed ## Look around: Airflow's UI on localhost with sandbox, connection and example DAGs, until Ctrl-C
	@$(PY) -m dev.playground $(ARGS)

.PHONY: screenshots
screenshots: $(VENV)/.installed ## Make the pictures of the docs; needs Chromium (apt-get install chromium)
	@$(UV) pip install --quiet --python $(PY) --constraint $(CONSTRAINTS) --group screenshots
	@$(PY) -m dev.screenshots $(ARGS)

.PHONY: e2e
e2e: $(VENV)/.installed ## Run the end-to-end tests: a whole Airflow, its processes stopped and started
	@$(PY) -m pytest -m e2e tests/e2e $(ARGS)

.PHONY: lint
lint: $(VENV)/.installed ## Check style, formatting and types
	@$(PY) -m ruff check
	@$(PY) -m ruff format --check
	@$(PY) -m mypy

.PHONY: format
format: $(VENV)/.installed ## Format the code and repair what ruff can
	@$(PY) -m ruff check --fix
	@$(PY) -m ruff format

.PHONY: bench
bench: $(VENV)/.installed ## Measure against the peers, and many plans in one task (ARGS="portfolio" for a part)
	@$(PY) benchmarks/run.py $(ARGS)

.PHONY: docs
docs: $(VENV)-docs/.installed ## Build the documentation as a site into build/site; a warning is an error
	@$(VENV)-docs/bin/zensical build --clean --strict

.PHONY: matrix
matrix: $(AIRFLOWS:%=matrix-%) ## Run every supported Airflow with all its processes, two at a time with -j2 (make matrix-2.11 for one)

.PHONY: $(AIRFLOWS:%=matrix-%)
$(AIRFLOWS:%=matrix-%): matrix-%: $(VENV)-%/.installed
	@echo "Airflow $*"
	@$(VENV)-$*/bin/python -m pytest -m "not slow" tests/airflow $(ARGS)

.PHONY: release-check
release-check: $(VENV)-release/.installed ## Build twice, compare, and try the wheel in empty environments (minutes)
	@mkdir -p dist
	@$(VENV)-release/bin/python -m dev.release_check

.PHONY: constraints
constraints: $(UV) ## Resolve the tested sets of packages anew (ARGS=3.2 for one)
	@$(PY) -m dev.constraints $(ARGS)

.PHONY: clean
clean: ## Remove all that was made here: environments, lake, caches
	rm -rf $(VENV) $(VENV)-* .servers .airflow lake lake-* build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# The environments. Each is made once, and again when what it holds has changed.
$(UV):
	@$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed, $(PYTHON) is %d.%d" % sys.version_info[:2] if sys.version_info < (3, 11) else 0)'
	@echo "Making $(VENV)"
	@$(PYTHON) -m venv $(VENV)
	@$(VENV)/bin/pip install --quiet --disable-pip-version-check --constraint $(CONSTRAINTS) uv

$(VENV)/.installed: pyproject.toml $(CONSTRAINTS) | $(UV)
	@echo "Installing Airflow 3.3 and what the tests need into $(VENV)"
	@$(UV) pip install --quiet --python $(PY) --constraint $(CONSTRAINTS) --editable '.[s3,sandbox]' --group test --group lint
	@touch $@

$(VENV)-%/.installed: pyproject.toml constraints/airflow-%.txt | $(UV)
	@echo "Installing Airflow $* into $(VENV)-$*"
	@$(UV) venv --quiet --clear --python $(PY) $(VENV)-$*
	@$(UV) pip install --quiet --python $(VENV)-$*/bin/python --requirements constraints/airflow-$*.txt --editable '.[s3,sandbox]' --group smoke
	@touch $@

# These two know the package only from outside.
$(VENV)-docs/.installed $(VENV)-release/.installed: $(VENV)-%/.installed: pyproject.toml | $(UV)
	@echo "Installing what '$*' needs into $(VENV)-$*"
	@$(UV) venv --quiet --clear --python $(PY) $(VENV)-$*
	@$(UV) pip install --quiet --python $(VENV)-$*/bin/python --group $*
	@touch $@

$(VENV)-servers/.installed: pyproject.toml constraints/servers.txt | $(UV)
	@echo "Installing Airflow 3.3 and the clients of Azure, Celery and Postgres into $(VENV)-servers"
	@$(UV) venv --quiet --clear --python $(PY) $(VENV)-servers
	@$(UV) pip install --quiet --python $(VENV)-servers/bin/python --constraint constraints/servers.txt --editable '.[s3,sandbox]' --group servers
	@touch $@

# Servers of other projects, in folders of their own: nothing is installed into the system.
.servers/azurite/.installed:
	@echo "Installing Azurite $(AZURITE)"
	@npm install --silent --no-audit --no-fund --prefix $(@D) azurite@$(AZURITE)
	@touch $@

.servers/ceph/.installed: DEBIAN := radosgw ceph-mon ceph-osd
.servers/cluster/.installed: DEBIAN := postgresql redis-server
.servers/iceberg/.installed: DEBIAN := libslf4j-java
.servers/ceph/.installed .servers/cluster/.installed .servers/iceberg/.installed: | $(UV)
	@echo "Unpacking Debian's $(DEBIAN)"
	@$(PY) -m dev.debian $(@D) $(DEBIAN)
	@touch $@

# Neither api nor lake needs Airflow, whose own oldest packages would only hold back those of the tests.
$(VENV)-oldest/.installed $(SPARKS:%=$(VENV)-spark-%/.installed): $(VENV)-%/.installed: pyproject.toml constraints/%.txt | $(UV)
	@echo "Installing the packages of constraints/$*.txt into $(VENV)-$*"
	@$(UV) venv --quiet --clear --python $(PY) $(VENV)-$*
	@$(UV) pip install --quiet --python $(VENV)-$*/bin/python --no-deps --requirements constraints/$*.txt --editable .
	@touch $@
