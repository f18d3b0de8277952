"""What the tests of the operator share: connections as Airflow finds them, and destinations to look into."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.lake.stores import CONNECTED, EVERY, LocalStores, empty_stores

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import RemoteStores, S3Stores, Stores
    from tests.support.faulty_sandbox import Sandbox

Export = "Callable[..., AchieveItExportOperator]"


@pytest.fixture(autouse=True)
def achieveit_connection(sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch) -> None:
    """The default connection leads to the sandbox."""
    extra = {"page_size": 10, "max_retry_seconds": 0}
    connection = {"conn_type": "achieveit", "host": sandbox.url, "password": sandbox.key, "extra": extra}
    monkeypatch.setenv("AIRFLOW_CONN_ACHIEVEIT_DEFAULT", json.dumps(connection))


@pytest.fixture
def lake(tmp_path: Path) -> LocalStores:
    """A local destination, which does not exist yet."""
    return LocalStores(tmp_path / "lake")


@pytest.fixture
def export(lake: LocalStores) -> Callable[..., AchieveItExportOperator]:
    """Makes operators that export the plan `p1` to the local lake as `now`, unless a test says otherwise."""
    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator

    def export(**arguments: Any) -> AchieveItExportOperator:
        defaults = {"task_id": "export", "plan_id": "p1", "destination": lake.uri, "snapshot": "now"}
        return AchieveItExportOperator(**{**defaults, **arguments})

    return export


@pytest.fixture
def s3(running_s3: S3Stores, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """An empty S3 bucket, and the connection `aws_lake` to it."""
    running_s3.empty()
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps(running_s3.connection))
    return running_s3


@pytest.fixture(params=CONNECTED)
def remote(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> RemoteStores:
    """An empty store of one kind behind real HTTP, and the connection `lake_store` to it, where there can be one."""
    stores: RemoteStores = request.getfixturevalue(f"running_{request.param}")
    stores.empty()
    if request.param in CONNECTED:  # the tests of GCS, which the emulator plays, bring their own filesystem
        monkeypatch.setenv("AIRFLOW_CONN_LAKE_STORE", json.dumps(stores.connection))
    return stores


@pytest.fixture(params=EVERY)
def stores(request: pytest.FixtureRequest) -> Stores:
    """An empty destination of one kind."""
    return empty_stores(request)
