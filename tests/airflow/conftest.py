"""The Airflow that is installed, whichever it is, used from outside: by its command line and in programs of its own.

Nothing here imports Airflow, so that every test starts from what a user's worker starts from.
"""

import json
import subprocess
import sys
from collections.abc import Iterator, Mapping
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest

from airflow_provider_achieveit.sandbox import DEMO_PLANS
from dev.processes import clean_environment
from tests.support.faulty_sandbox import Sandbox

AIRFLOW_VERSION = tuple(map(int, version("apache-airflow").split(".")[:2]))
ROOT = Path(__file__).parents[2]


class Airflow:
    """A home with a migrated metadata database, and the example DAGs."""

    def __init__(self, home: Path) -> None:
        self.environment = clean_environment(
            AIRFLOW_HOME=str(home),
            AIRFLOW__CORE__LOAD_EXAMPLES="False",
            AIRFLOW__CORE__DAGS_FOLDER=str(ROOT / "example_dags"),
            AIRFLOW__USAGE_DATA_COLLECTION__ENABLED="False",
        )
        self._home = home

    def run(self, *command: str, environment: Mapping[str, str] | None = None) -> subprocess.CompletedProcess[str]:
        """Run a program; the caller looks at how it ended."""
        return subprocess.run(
            command,
            env={**self.environment, **(environment or {})},
            cwd=self._home,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )

    def cli(self, *arguments: str, environment: Mapping[str, str] | None = None) -> str:
        """Run the `airflow` command, which must succeed, and return what it prints."""
        done = self.run(sys.executable, "-m", "airflow", *arguments, environment=environment)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def python(self, program: str) -> Any:
        """Run Python source and return the JSON that it prints as its last line."""
        done = self.run(sys.executable, "-c", program)
        assert done.returncode == 0, done.stdout + done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    def test_dag(self, dag_id: str, conf: Mapping[str, Any], connections: Mapping[str, str]) -> str:
        """Run a DAG as `airflow dags test` does, with connections by their ids, and return all that was logged."""
        environment = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()}
        done = self.run(
            sys.executable, "-m", "airflow", "dags", "test", dag_id, "--conf", json.dumps(conf), environment=environment
        )
        log = done.stdout + done.stderr
        assert done.returncode == 0, log
        return log


@pytest.fixture(scope="session")
def airflow(tmp_path_factory: pytest.TempPathFactory) -> Airflow:
    """The installed Airflow with a new metadata database."""
    airflow = Airflow(tmp_path_factory.mktemp("airflow"))
    airflow.cli("db", "migrate")
    if AIRFLOW_VERSION < (3, 0):
        # `dags test` does it itself since Airflow 3. Without it Airflow 2 does not know the aliases of datasets.
        airflow.cli("dags", "reserialize")
    return airflow


@pytest.fixture
def sandbox() -> Iterator[Sandbox]:
    """A sandbox with the plans of the example DAGs."""
    with Sandbox(DEMO_PLANS) as sandbox:
        yield sandbox
