"""A whole Airflow with the event-driven example DAGs, started once for all tests that want it."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import requests
from fsspec.implementations.local import LocalFileSystem

from airflow_provider_achieveit.api.client import AchieveItClient
from airflow_provider_achieveit.api.settings import ClientSettings
from airflow_provider_achieveit.lake import ParquetSink, Store, export_plans
from dev.local_airflow import LocalAirflow
from dev.stage import EXAMPLE_DAGS, sandbox_and_airflow
from tests.support.faulty_sandbox import Plan, Sandbox

if TYPE_CHECKING:
    from collections.abc import Iterator

PLAN = "3f0a6c1e-52d4-4b8e-9c37-d1f6a2b40e01"
SMALL_PLAN = "8b7d2e94-0c15-4f6a-a3d8-27e9b5c14f02"
WATCHED = {PLAN: 2000, SMALL_PLAN: 30, "c5e19a70-6f38-4d2b-8a14-9e0b7d52c603": 30}
WATCHER = "achieveit_event_driven"
REPORT = "achieveit_report"
POLL_INTERVAL = 2


class Stage:
    """The sandbox, Airflow, the lake between them, and where Airflow's programs keep temporary files."""

    def __init__(self, sandbox: Sandbox, airflow: LocalAirflow, lake: Path, spool: Path) -> None:
        self.sandbox, self.airflow, self.lake, self.spool = sandbox, airflow, lake, spool

    @property
    def plan(self) -> Plan:
        return self.sandbox.plan(PLAN)

    def runs(self, dag_id: str) -> list[dict[str, Any]]:
        return self.airflow.runs(dag_id)

    def manifest(self, plan_id: str) -> dict[str, Any]:
        """The latest manifest of a plan."""
        found: dict[str, Any] = json.loads((self.lake / f"_manifests/plan={plan_id}/latest.json").read_text())
        return found

    def wait_for_runs(self, dag_id: str, count: int) -> dict[str, Any]:
        """Wait until so many runs of a DAG have succeeded, and return the last one."""

        def last() -> dict[str, Any] | None:
            runs = self.runs(dag_id)
            assert len(runs) <= count, [run["dag_run_id"] for run in runs]
            assert all(run["state"] != "failed" for run in runs), self.logs(dag_id)
            return runs[-1] if len(runs) == count and runs[-1]["state"] == "success" else None

        found = self.airflow.wait_until(last, f"run {count} of {dag_id}")
        assert found is not None
        return found

    def logs(self, dag_id: str) -> str:
        run = self.runs(dag_id)[-1]
        instances = self.airflow.task_instances(dag_id, str(run["dag_run_id"]))
        return "\n".join(self.airflow.task_log(instance) for instance in instances)

    def let_polls_pass(self, count: int) -> None:
        """Wait until the watcher has looked so many times more."""
        before = self.sandbox.traffic(PLAN).requests
        self.airflow.wait_until(
            lambda: self.sandbox.traffic(PLAN).requests >= before + count, f"{count} more looks at the plan"
        )

    def change_event(self) -> dict[str, Any]:
        """Return the payload of the watched asset's last event."""

        def events() -> list[dict[str, Any]]:
            try:
                return self.airflow.asset_events()
            except requests.HTTPError:  # Airflow 3.3.2 can't show an event whose run has not started yet
                return []

        found = self.airflow.wait_until(events, "the asset events")
        return [event["extra"]["payload"] for event in found if "payload" in (event["extra"] or {})][-1]


@pytest.fixture(scope="session")
def stage(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """Run the example DAGs of this feature, as they stand, against a sandbox plan of two pages."""
    dags = Path(shutil.copytree(EXAMPLE_DAGS, tmp_path_factory.mktemp("dags"), dirs_exist_ok=True))
    shutil.copytree(Path(__file__).parent / "dags", dags, dirs_exist_ok=True)
    folder = tmp_path_factory.mktemp("event-driven")
    lake = folder / "lake"
    spool = folder / "spool"
    spool.mkdir()
    environment = {
        "TMPDIR": str(spool),
        "ACHIEVEIT_EXAMPLE_PLAN": PLAN,
        "ACHIEVEIT_EXAMPLE_PLANS": ",".join(WATCHED),
        "ACHIEVEIT_EXAMPLE_LAKE": f"file://{lake}",
        "ACHIEVEIT_EXAMPLE_POLL_INTERVAL": str(POLL_INTERVAL),
        "ACHIEVEIT_TEST_PLANS": f"{PLAN} {SMALL_PLAN}",
    }
    with sandbox_and_airflow(
        folder / "airflow", dags_folder=dags, plans=WATCHED, environment=environment, make=Sandbox
    ) as (sandbox, airflow):
        with AchieveItClient(sandbox.key, ClientSettings(base_url=sandbox.url)) as client:
            export_plans(client, ParquetSink(Store(LocalFileSystem(), str(lake))), list(WATCHED), snapshot="before")
        for dag_id in (WATCHER, REPORT):
            airflow.unpause(dag_id)
        yield Stage(sandbox, airflow, lake, spool)
