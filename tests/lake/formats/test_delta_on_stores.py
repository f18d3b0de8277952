"""Delta Lake on S3 and Azure, with the credentials of an Airflow connection."""

from __future__ import annotations

import json
import os
from typing import TYPE_CHECKING

import pytest
from deltalake import DeltaTable

from airflow_provider_achieveit.lake.errors import AchieveItStoreError
from airflow_provider_achieveit.lake.sinks.delta import DeltaSink, open_delta_sink
from airflow_provider_achieveit.lake.sinks.storage_options import storage_options
from tests.lake.formats.lakes import item, land, problems
from tests.lake.stores import CONNECTED, RemoteStores, S3Stores

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.parametrize("remote", CONNECTED, indirect=True)


@pytest.fixture
def sink(remote: RemoteStores, monkeypatch: pytest.MonkeyPatch) -> DeltaSink:
    """A sink whose store comes from an Airflow connection with keys that are nowhere in the environment."""
    pytest.importorskip("airflow", reason="make test-oldest has no Airflow")
    from airflow_provider_achieveit._destination import open_store

    for name in os.environ:
        if name.startswith(("AWS_", "AZURE_")):
            monkeypatch.delenv(name)
    connection = remote.connection
    if isinstance(remote, S3Stores):
        connection["extra"]["region_name"] = "eu-central-1"
    monkeypatch.setenv("AIRFLOW_CONN_DELTA", json.dumps(connection))
    return open_delta_sink(open_store(remote.uri, "delta"))


def test_it_lands_and_reads_back_with_the_credentials_of_the_connection(
    sink: DeltaSink, remote: RemoteStores, tmp_path: Path
) -> None:
    """It gets the region and the endpoint of the connection as well."""
    options = storage_options(sink.store)
    assert options.get("aws_region", "eu-central-1") == "eu-central-1"
    land(sink, tmp_path, {"a": ["1"], "b": ["2"]})
    [manifest] = land(sink, tmp_path, {"a": ["3"]})
    rows = DeltaTable(f"{remote.uri}/plan_items", storage_options=options).to_pyarrow_table().sort_by("plan")
    assert rows.select(["plan", "id"]).to_pylist() == [{"plan": "a", "id": "3"}, {"plan": "b", "id": "2"}]
    assert manifest["files"][0]["path"] == f"{remote.uri}/plan_items"
    assert sink.fetch(manifest, "plan_items", tmp_path / "back").rows == 1
    assert sink.is_whole(manifest)


def test_no_object_holds_a_credential(sink: DeltaSink, remote: RemoteStores, tmp_path: Path) -> None:
    """Neither the tables, nor their logs, nor the manifests."""
    land(sink, tmp_path, {"a": ["1"]})
    assert not [key for key, body in remote.objects().items() if remote.secret.encode() in body]


def test_a_commit_that_is_refused_says_so_without_a_credential(
    sink: DeltaSink, remote: RemoteStores, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Whichever write of the export the store refuses; earlier rows stay as they were, and the next export lands."""
    land(sink, tmp_path, {"a": ["1"]})
    for refused in range(1, 40):
        remote.writes, remote.before_write = 0, lambda number, refused=refused: number >= refused
        try:
            land(sink, tmp_path, {"a": [f"{refused}"]})
        except AchieveItStoreError as error:
            assert remote.secret not in f"{error}{error.__cause__!r}{error.__context__!r}"
        else:
            break
        finally:
            remote.before_write = None
        options = storage_options(sink.store)
        rows = DeltaTable(f"{remote.uri}/plan_items", storage_options=options).to_pyarrow_table()
        assert rows.column("id").to_pylist() in (["1"], [f"{refused - 1}"], [f"{refused}"])
    else:
        pytest.fail("so many writes are not needed")
    assert refused > 3
    assert remote.secret not in caplog.text
    [manifest] = land(sink, tmp_path, {"a": [item("last")]})
    assert sink.is_whole(manifest)
    assert problems(sink, manifest, tmp_path) == []
