"""Airflow on workers and triggerers that share no disk, and what they talk to: sandbox, Ceph, Postgres, Redis."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any

import boto3
import pytest
from deltalake import DeltaTable

from dev.distributed_airflow import WORKERS, DistributedAirflow
from tests.support.faulty_sandbox import Sandbox
from tests.support.servers import Ceph, Postgres, Redis

if TYPE_CHECKING:
    from collections.abc import Iterator

BUCKET = "lake"
PLANS = {f"plan-{number}": 150 + 700 * (number % 3) for number in range(6)}
WATCHED = [f"watched-{number}" for number in range(3)]


class Stage:
    """All of it, and a look into each part."""

    def __init__(
        self,
        airflow: DistributedAirflow,
        sandbox: Sandbox,
        database: Postgres,
        ceph: Ceph,
        store: dict[str, Any],
    ) -> None:
        self.airflow, self.sandbox, self._database, self._ceph, self._store = airflow, sandbox, database, ceph, store
        keys = {"aws_access_key_id": ceph.key, "aws_secret_access_key": ceph.secret, "region_name": "us-east-1"}
        self.s3 = boto3.client("s3", endpoint_url=f"http://127.0.0.1:{ceph.port}", **keys)

    def query(self, sql: str) -> list[tuple[Any, ...]]:
        """Ask Airflow's database."""
        import psycopg2  # only `make test-distributed` has it

        with psycopg2.connect(self._database.address.replace("+psycopg2", "")) as connection:
            cursor = connection.cursor()
            cursor.execute(sql)
            return cursor.fetchall()

    def running(self, dag_id: str) -> dict[str, int]:
        """How many tasks of a DAG each worker runs."""
        where = f"dag_id = '{dag_id}' AND state = 'running'"
        found = dict(self.query(f"SELECT unixname, count(*) FROM task_instance WHERE {where} GROUP BY unixname"))
        return {name: found.get(name, 0) for name in WORKERS}

    def triggers(self) -> dict[str | None, int]:
        """How many triggers each triggerer has; those that nobody has under None."""
        jobs = "trigger LEFT JOIN job ON job.id = triggerer_id"
        return dict(self.query(f"SELECT unixname, count(*) FROM {jobs} GROUP BY unixname"))

    def states(self, dag_id: str) -> list[tuple[str, int, str, int]]:
        """Task, map index, state and try of each task instance of a DAG's runs."""
        columns = "task_id, map_index, state, try_number"
        return self.query(f"SELECT {columns} FROM task_instance WHERE dag_id = '{dag_id}' ORDER BY task_id, map_index")  # type: ignore[return-value]

    def keys(self, prefix: str) -> list[str]:
        """The objects below a prefix."""
        pages = self.s3.get_paginator("list_objects_v2").paginate(Bucket=BUCKET, Prefix=prefix)
        return [entry["Key"] for page in pages for entry in page.get("Contents", [])]

    def manifest(self, lake: str, plan_id: str) -> dict[str, Any]:
        """The latest manifest of a plan."""
        key = f"{lake}/_manifests/plan={plan_id}/latest.json"
        found: dict[str, Any] = json.loads(self.s3.get_object(Bucket=BUCKET, Key=key)["Body"].read())
        return found

    def delta(self, lake: str) -> Any:
        """The rows of the Delta table of a lake: plan, snapshot and id."""
        options = {
            "aws_endpoint": f"http://127.0.0.1:{self._ceph.port}",
            "allow_http": "true",
            "aws_access_key_id": self._ceph.key,
            "aws_secret_access_key": self._ceph.secret,
            "aws_region": "us-east-1",
        }
        return DeltaTable(f"s3://{BUCKET}/{lake}/plan_items", storage_options=options).to_pyarrow_table(
            columns=["plan", "snapshot", "id"]
        )

    def verify(self, lake: str, *arguments: str) -> str:
        """Run the command that verifies a lake, as a user would, and return what it prints."""
        command = [sys.executable, "-m", "airflow_provider_achieveit.verify", f"s3://{BUCKET}/{lake}"]
        command += ["--destination-conn-id", "lake_store", *arguments]
        # Outside its own programs, Airflow 3 looks for connections in the environment and not in its database.
        environment = {**self.airflow.environment, "AIRFLOW_CONN_LAKE_STORE": json.dumps(self._store)}
        done = subprocess.run(command, env=environment, capture_output=True, text=True)
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def wait(self, dag_id: str, run_id: str) -> None:
        """Wait until a run has succeeded."""
        state = self.airflow.wait_for_run(dag_id, run_id, timeout=900)
        assert state == "success", self.states(dag_id)


def tell(what: str, since: float) -> None:
    """Print how long something took: `make test-distributed` shows it, and nothing is compared with it."""
    print(f"\n{time.monotonic() - since:6.1f} s  {what}")


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Airflow with its DAGs under way, and a bucket that is empty."""
    folder = tmp_path_factory.mktemp("distributed")
    started = time.monotonic()
    with ExitStack() as stack:
        sandbox = stack.enter_context(Sandbox({**PLANS, **dict.fromkeys(WATCHED, 40)}, gzip=True))
        ceph, postgres, redis = (stack.enter_context(server()) for server in (Ceph, Postgres, Redis))
        tell("Ceph, Postgres and Redis are there", started)
        extra = {"endpoint_url": f"http://127.0.0.1:{ceph.port}", "region_name": "us-east-1"}
        store = {"conn_type": "aws", "login": ceph.key, "password": ceph.secret, "extra": json.dumps(extra)}
        connections = {
            "achieveit_default": {
                "conn_type": "achieveit",
                "host": sandbox.url,
                "password": sandbox.key,
                "extra": json.dumps({"page_size": 100, "max_concurrency": 2}),
            },
            "lake_store": store,
        }
        environment = {
            "AIRFLOW__CORE__DAGS_ARE_PAUSED_AT_CREATION": "False",
            "DISTRIBUTED_PLANS": " ".join(PLANS),
            "DISTRIBUTED_WATCHED": " ".join(WATCHED),
            "DISTRIBUTED_LAKE": f"s3://{BUCKET}",
        }
        airflow = DistributedAirflow(
            folder / "airflow",
            Path(__file__).parent / "dags",
            database=postgres.address,
            broker=redis.address,
            connections=connections,
            environment=environment,
        )
        stage = Stage(airflow, sandbox, postgres, ceph, store)
        stage.s3.create_bucket(Bucket=BUCKET)
        stack.enter_context(airflow)
        airflow.wait_for_workers()
        airflow.wait_for_dag("watching")
        tell("Airflow is there", started)
        yield stage
