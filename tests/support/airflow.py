"""The Airflow that is installed, used from outside by its command line. Nothing here imports Airflow."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from dev.processes import clean_environment

ROOT = Path(__file__).parents[2]


class Airflow:
    """A home of its own, and the example DAGs."""

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

    def test_dag(self, dag_id: str, conf: Mapping[str, Any], connections: Mapping[str, str]) -> str:
        """Run a DAG as `airflow dags test` does, with connections by their ids, and return all that was logged."""
        environment = {f"AIRFLOW_CONN_{name.upper()}": value for name, value in connections.items()}
        done = self.run(
            sys.executable, "-m", "airflow", "dags", "test", dag_id, "--conf", json.dumps(conf), environment=environment
        )
        log = done.stdout + done.stderr
        assert done.returncode == 0, log
        return log
