"""The Airflow that is installed, whichever it is, with all its processes, and what its DAGs need: sandbox and S3.

Nothing here imports Airflow, so that every test starts from what a user's worker starts from.
"""

import json
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from importlib.metadata import version
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

import boto3
import psutil
import pytest
from moto.server import ThreadedMotoServer

from dev.local_airflow import LocalAirflow
from tests.support.faulty_sandbox import Sandbox

AIRFLOW_VERSION = tuple(map(int, version("apache-airflow").split(".")[:2]))
KEPT, EDITED = "a0e2ce03-kept", "3f0a6c1e-edited"
PLANS = {KEPT: 700, EDITED: 30}
BUCKET = "lake"
#: Where plans are in the UI of AchieveIt.
PLAN_URL = "https://app.example.com/plans/{plan_id}"
#: S3 as it is called in the real world; its requests go to the loopback server by way of a proxy.
REAL_S3 = "http://s3.eu-west-1.amazonaws.com"


class Stage:
    """The sandbox, the object store and the Airflow between them."""

    def __init__(self, sandbox: Sandbox, s3: Any, airflow: LocalAirflow, results: Path, events: Path) -> None:
        self.sandbox, self.s3, self.airflow, self._results, self._events = sandbox, s3, airflow, results, events

    def result(self, name: str) -> Any:
        """Wait for what a task of the DAGs saved, and return it."""
        path = self._results / f"{name}.json"
        self.airflow.wait_until(path.exists, f"the result {name!r}; tasks: {self.states()}")
        return json.loads(path.read_text())

    def states(self) -> dict[str, str]:
        """Return the state of every task instance of the DAG `waiting`, by its task's id."""
        assert not (errors := self._query("SELECT stacktrace FROM import_error")), errors
        return dict(self._query("SELECT task_id, state FROM task_instance WHERE dag_id = 'waiting'"))

    def _query(self, sql: str) -> list[Any]:
        database = f"file:{self.airflow.home / 'airflow.db'}?mode=ro"
        with closing(sqlite3.connect(database, uri=True, timeout=60)) as connection:
            return connection.execute(sql).fetchall()

    def wait_for_run(self, dag_id: str) -> str:
        """Wait until the only run of a DAG is over, and return its id."""
        query = f"SELECT run_id FROM dag_run WHERE dag_id = '{dag_id}' AND state IN ('success', 'failed')"
        ((run_id,),) = self.airflow.wait_until(lambda: self._query(query), f"{dag_id} to end", timeout=500)
        return str(run_id)

    def events(self) -> list[dict[str, Any]]:
        """Return the events that Airflow's OpenLineage provider has written."""
        return [json.loads(line) for line in self._events.read_text().splitlines()]

    def wait_for_states(self, state: str, tasks: set[str]) -> None:
        """Wait until tasks of the DAG `waiting` are in a state; fail if one of them failed."""

        def reached() -> bool:
            states = self.states()
            assert "failed" not in states.values(), states
            return all(states.get(task) == state for task in tasks)

        self.airflow.wait_until(reached, f"{tasks} to be {state}")

    def wait_for_watchers(self, count: int) -> None:
        """Wait until so many watchers run: what changes before the first look of one is not news to it."""
        running = (
            "SELECT 1 FROM trigger WHERE classpath LIKE '%.AchieveItPlanChangeTrigger' AND triggerer_id IS NOT NULL"
        )
        self.airflow.wait_until(lambda: len(self._query(running)) >= count, f"{count} watchers to run")

    def triggerer(self) -> set[psutil.Process]:
        """Return the processes of the triggerer."""
        return set(self.airflow.programs["triggerer"].family())

    def triggerer_log(self) -> str:
        """Return what the triggerer has printed."""
        return self.airflow.programs["triggerer"].log.read_text(errors="replace")

    def let_looks_pass(self, plan_id: str, count: int) -> None:
        """Wait until the plan has been looked at so many times more."""
        before = self.sandbox.traffic(plan_id).requests
        self.airflow.wait_until(
            lambda: self.sandbox.traffic(plan_id).requests >= before + count, f"{count} more looks at {plan_id}"
        )

    def wait_for_age(self, seconds: float, since: float) -> None:
        """Wait until so many seconds have passed since a moment of `time.monotonic()`."""
        self.airflow.wait_until(lambda: time.monotonic() - since >= seconds, f"{seconds} s to pass")


@pytest.fixture(scope="session")
def s3() -> Iterator[Any]:
    """An S3 server on the loopback interface, with a bucket; gives a client of it."""
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    keys = {"aws_access_key_id": "someone", "aws_secret_access_key": "secret", "region_name": "eu-west-1"}
    client = boto3.client("s3", endpoint_url=f"http://{host}:{port}", **keys)
    for bucket in (BUCKET, "console"):
        client.create_bucket(Bucket=bucket, CreateBucketConfiguration={"LocationConstraint": keys["region_name"]})
    yield client
    server.stop()


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory, s3: Any) -> Iterator[Stage]:
    """The DAGs of this folder, under way: they start by themselves."""
    folder = tmp_path_factory.mktemp("matrix")
    results = folder / "results"
    results.mkdir()
    with Sandbox(PLANS) as sandbox:
        store = {"endpoint_url": s3.meta.endpoint_url, "region_name": "eu-west-1"}
        extras = urlencode({"page_size": 500, "plan_url": PLAN_URL})
        proxied = {**store, "endpoint_url": REAL_S3, "config_kwargs": {"proxies": {"http": s3.meta.endpoint_url}}}
        aws = {"conn_type": "aws", "login": "someone", "password": "secret"}
        connections = {
            "achieveit_default": f"achieveit://:{quote(sandbox.key)}@{quote(sandbox.url, safe='')}/?{extras}",
            "lake_store": {**aws, "extra": json.dumps(store)},
            "real_store": {**aws, "extra": json.dumps(proxied)},
        }
        events = folder / "events.json"
        environment = {
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "MATRIX_LAKE": f"s3://{BUCKET}/some/prefix",
            "MATRIX_PLANS": f"{KEPT} {EDITED}",
            "MATRIX_RESULTS": str(results),
            "AIRFLOW__OPENLINEAGE__TRANSPORT": json.dumps(
                {"type": "file", "log_file_path": str(events), "append": True}
            ),
            # On a busy machine the default of 10 seconds is too short.
            "AIRFLOW__OPENLINEAGE__EXECUTION_TIMEOUT": "120",
        }
        dags = Path(__file__).parent / "dags"
        with LocalAirflow(folder / "airflow", dags, connections=connections, environment=environment) as airflow:
            yield Stage(sandbox, s3, airflow, results, events)
