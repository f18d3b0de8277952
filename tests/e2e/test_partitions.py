"""One partition a plan, in a whole Airflow 3.3, as docs/assets.md shows it."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import PLAN, SMALL_PLAN, Stage

pytestmark = [pytest.mark.e2e, pytest.mark.timeout(900)]


def test_a_dag_runs_once_for_each_plan_that_landed(stage: Stage) -> None:
    """The runs know their plan by `dag_run.partition_key`."""
    for dag_id in ("each_partition", "export_partitions"):
        stage.airflow.unpause(dag_id)
    assert stage.airflow.wait_for_run("export_partitions", stage.airflow.trigger("export_partitions")) == "success"
    stage.wait_for_runs("each_partition", 2)
    runs = [run["dag_run_id"] for run in stage.runs("each_partition")]
    keys = [stage.airflow.xcom("each_partition", run_id, "show") for run_id in runs]
    assert sorted(keys) == sorted([PLAN, SMALL_PLAN])
