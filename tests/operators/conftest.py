"""What the tests of the operator share: connections as Airflow finds them, and destinations to look into."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import pytest

from tests.lake.stores import LocalStores, S3Stores, Stores

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
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


@pytest.fixture(scope="session")
def running_s3() -> Iterator[S3Stores]:
    """One server for all tests."""
    with S3Stores() as stores:
        yield stores


@pytest.fixture
def s3(running_s3: S3Stores, monkeypatch: pytest.MonkeyPatch) -> Stores:
    """An empty S3 bucket, and the connection `aws_lake` to it."""
    running_s3.empty()
    connection = {
        "conn_type": "aws",
        "login": running_s3.key,
        "password": running_s3.secret,
        "extra": {"endpoint_url": running_s3.endpoint, "region_name": "us-east-1"},
    }
    monkeypatch.setenv("AIRFLOW_CONN_AWS_LAKE", json.dumps(connection))
    return running_s3
