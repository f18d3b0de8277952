"""One run of the DAG `lineage` in the Airflow that is installed, and the events that its OpenLineage provider wrote."""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.sandbox import Sandbox
from tests.lake.stores import S3Stores
from tests.support.airflow import Airflow

if TYPE_CHECKING:
    from collections.abc import Iterator

PLANS = {"p1": 25, "one": 1, "empty": 0}


@dataclass(frozen=True)
class Run:
    """What the run left behind.

    Attributes:
        events: All events of each task, in the order in which they were written.
        lake: The local lake.
        api: The address of the sandbox.
    """

    events: dict[str, list[dict[str, Any]]]
    lake: Path
    api: str

    def start(self, task: str) -> dict[str, Any]:
        """The event of a task's start."""
        return self.events[task][0]

    def end(self, task: str) -> dict[str, Any]:
        """The event of a task's end."""
        return self.events[task][-1]

    def output(self, task: str, name: str) -> dict[str, Any]:
        """The output of a task's end that has a name which ends like this."""
        (found,) = [output for output in self.end(task)["outputs"] if output["name"].endswith(name)]
        return found


@pytest.fixture(scope="session")
def run(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Run]:
    """Run every task once; those that have to fail do."""
    home = tmp_path_factory.mktemp("lineage")
    file, lake = home / "events.json", home / "lake"
    airflow = Airflow(home)
    airflow.cli("db", "migrate")
    with Sandbox(PLANS) as sandbox, S3Stores() as s3:
        s3.empty()
        connections = {
            "achieveit_default": {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key},
            "achieveit_bad": {"conn_type": "achieveit", "host": sandbox.url, "password": "wrong"},
            "iceberg_default": {
                "conn_type": "iceberg",
                "host": f"sqlite:///{home}/catalog.db",
                "extra": {"type": "sql", "warehouse": f"file://{home}/warehouse"},
            },
            "aws_lake": {
                "conn_type": "aws",
                "login": s3.key,
                "password": s3.secret,
                "extra": {"endpoint_url": s3.endpoint, "region_name": "us-east-1"},
            },
        }
        environment = {
            "AIRFLOW__CORE__DAGS_FOLDER": str(Path(__file__).parent / "dags"),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps({"type": "file", "log_file_path": str(file), "append": True}),
            "AIRFLOW__OPENLINEAGE__NAMESPACE": "airflow",
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",  # for a busy machine
            "ACHIEVEIT_TEST_LAKE": str(lake),
            **{f"AIRFLOW_CONN_{name.upper()}": json.dumps(fields) for name, fields in connections.items()},
        }
        done = airflow.run(sys.executable, "-m", "airflow", "dags", "test", "lineage", environment=environment)
        log = done.stdout + done.stderr
        assert "OpenLineage method failed" not in log, log
        yield Run(_by_task(file), lake, sandbox.url)


def _by_task(file: Path) -> dict[str, list[dict[str, Any]]]:
    events: dict[str, list[dict[str, Any]]] = {}
    for event in map(json.loads, file.read_text().splitlines()):
        task = event["job"]["name"].partition(".")[2]
        mapped = event["run"]["facets"].get("airflow", {}).get("taskInstance", {}).get("map_index", -1)
        events.setdefault(task if mapped == -1 else f"{task}-{mapped}", []).append(event)
    return events
