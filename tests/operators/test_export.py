"""The export operator, with an empty context: what lands, and what it returns."""

from __future__ import annotations

import copy
import hashlib
import io
import json
import logging
import pickle
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow.parquet as pq
import pytest
from airflow.sdk import Asset, AssetAlias
from airflow.sdk.exceptions import AirflowFailException
from airflow.sdk.execution_time.context import OutletEventAccessors

from airflow_provider_achieveit import __version__
from airflow_provider_achieveit.lake.layout import FORMAT_KEY, PLAN_ITEMS_TABLE, latest_key, manifest_key, table_key
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS, SCHEMA_HASH

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from airflow_provider_achieveit.operators.achieveit import AchieveItExportOperator
    from tests.lake.stores import LocalStores, S3Stores
    from tests.support.faulty_sandbox import Sandbox

    Export = Callable[..., AchieveItExportOperator]

DATA = table_key(PLAN_ITEMS_TABLE, "p1", "now")
MANIFEST = manifest_key("p1", "now")
CHANGES = table_key("plan_item_changes", "p1", "now")
LATEST = latest_key("p1")

#: The keys of a manifest, in their order.
KEYS = [
    "plan_id", "plan_name", "snapshot", "rows", "version", "consistent", "content_hash", "schema_hash",
    "rescued_values", "table_format", "files", "previous", "changes", "version_read_at", "started_at", "finished_at",
    "requests", "attempts", "provider_version", "dag_id", "run_id", "task_id", "map_index", "try_number",
]  # fmt: skip


def test_a_plan_lands_with_its_changes_and_a_manifest(export: Export, lake: LocalStores, sandbox: Sandbox) -> None:
    """Data, changes, manifest, its copy `latest.json` and the format: nothing else lies under the destination."""
    manifest = export().execute({})
    objects = lake.objects()
    assert set(objects) == {DATA, CHANGES, MANIFEST, LATEST, FORMAT_KEY}
    assert json.loads(objects[MANIFEST]) == json.loads(objects[LATEST]) == manifest
    table = pq.read_table(io.BytesIO(objects[DATA]))
    assert table.column("id").to_pylist() == [item["id"] for item in sandbox.plan("p1").items()]


def test_the_manifest_says_what_landed(export: Export, lake: LocalStores, sandbox: Sandbox) -> None:
    """Every key is there, JSON throughout, and true."""
    manifest = export().execute({})
    assert list(manifest) == KEYS
    data = lake.objects()[DATA]
    digest = hashlib.sha256(data).hexdigest()
    items = sandbox.plan("p1").items()
    newest = max(item["lastUpdated"] for item in items)
    assert manifest["rows"] == manifest["version"]["total_count"] == 25
    assert manifest["version"]["last_updated"] == newest[:26] + "Z"
    assert manifest["plan_name"] == items[0]["planName"]
    assert manifest["content_hash"] == digest
    assert manifest["schema_hash"] == SCHEMA_HASH
    assert [file["table"] for file in manifest["files"]] == ["plan_items", "plan_item_changes"]
    assert manifest["files"][:1] == [
        {
            "table": "plan_items",
            "path": f"{lake.uri}/{DATA}",
            "key": DATA,
            "rows": 25,
            "bytes": len(data),
            "sha256": digest,
        }
    ]
    assert manifest["requests"] == len(sandbox.requests)
    assert (manifest["attempts"], manifest["consistent"], manifest["rescued_values"]) == (1, True, 0)
    assert manifest["provider_version"] == __version__
    assert (
        manifest["started_at"]
        <= manifest["version_read_at"]
        <= manifest["finished_at"]
        <= f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%S.%fZ}"
    )
    assert [manifest[key] for key in ("dag_id", "run_id", "task_id", "map_index", "try_number")] == [None] * 5


def test_the_default_label_is_the_utc_date_of_the_export(export: Export, lake: LocalStores) -> None:
    """Not the logical date: the API has no history that a backfill could ask for."""
    before = datetime.now(UTC)
    manifest = export(snapshot=None).execute({})
    assert manifest["snapshot"] in {f"{moment:%Y-%m-%d}" for moment in (before, datetime.now(UTC))}


@pytest.mark.parametrize("label", ["manual__2026-11-23T100203.123456+0000", "a@b_c-d.e", "x" * 128])
def test_a_label_comes_through_as_it_is(export: Export, lake: LocalStores, label: str) -> None:
    """Plus and at signs come through to the object's name as they are."""
    export(snapshot=label).execute({})
    assert f"plan_items/plan=p1/snapshot={label}/plan_items.parquet" in lake.objects()


def test_the_same_label_replaces_and_another_one_leaves_it_alone(
    export: Export, lake: LocalStores, sandbox: Sandbox
) -> None:
    """An overwritten snapshot holds today's values; the objects of other labels are byte for byte what they were."""
    export(snapshot="first").execute({})
    first = lake.objects()
    sandbox.plan("p1").edit(0, name="Renamed")
    export(snapshot="second").execute({})
    assert {key: body for key, body in lake.objects().items() if "=first" in key} == {
        key: body for key, body in first.items() if "=first" in key
    }
    export(snapshot="first").execute({})
    table = pq.read_table(io.BytesIO(lake.objects()["plan_items/plan=p1/snapshot=first/plan_items.parquet"]))
    assert table.column("name")[0].as_py() == "Renamed"


def test_an_empty_plan_lands_with_the_full_schema_and_no_rows(export: Export, lake: LocalStores) -> None:
    """Queries over the plan go on working when its last item is gone."""
    manifest = export(plan_id="empty").execute({})
    body = lake.objects()["plan_items/plan=empty/snapshot=now/plan_items.parquet"]
    table = pq.read_table(io.BytesIO(body))
    assert table.num_rows == manifest["rows"] == 0
    assert table.schema.equals(PLAN_ITEMS)
    assert manifest["version"] == {"total_count": 0, "last_updated": None, "item_id": None}
    assert manifest["plan_name"] is None


def test_a_connection_within_the_destination_stays_out_of_the_manifest(export: Export, s3: S3Stores) -> None:
    """`s3://conn@bucket/key` is Airflow's own way to write it; readers of the lake have no use for the connection."""
    manifest = export(destination=s3.uri.replace("s3://", "s3://aws_lake@")).execute({})
    assert manifest["files"][0]["path"] == f"{s3.uri}/{DATA}"
    assert "aws_lake" not in json.dumps(manifest)


def test_the_log_shows_progress_and_not_every_item(
    export: Export, lake: LocalStores, caplog: pytest.LogCaptureFixture
) -> None:
    """A person who watches the task sees pages, items, speed, and where the snapshot went."""
    caplog.set_level(logging.INFO)
    export().execute({})
    lines = [record.getMessage() for record in caplog.records if record.name.startswith("airflow_provider_achieveit")]
    assert any("page 3 of 3, 25 of 25 items" in line and "items/s" in line for line in lines)
    assert any(f"landed in {lake.uri}/ as snapshot now: 25 rows" in line for line in lines)
    assert len(lines) < 10


def test_declared_outlets_get_the_manifest_as_well(export: Export) -> None:
    """The event of a DAG's own outlet says the same as that of the plan's asset."""
    outlet, events = Asset("mine"), OutletEventAccessors()
    manifest = export(outlets=[outlet]).execute({"outlet_events": events})
    assert events[outlet].extra == manifest
    [landed] = events[AssetAlias("achieveit_landed_plans")].asset_alias_events
    assert landed.extra == manifest
    where = manifest["files"][0]["path"].partition("/snapshot=")[0]
    assert landed.dest_asset_key.uri == landed.dest_asset_key.name == where


@pytest.mark.parametrize(
    ("folder", "encoded"),
    [("données", "donn%C3%A9es"), ("a b", "a%20b"), ("a#b", "a%23b"), ("100%", "100%25"), ("a+b=c@d", "a+b=c@d")],
)
def test_an_asset_has_an_encoded_uri_where_airflow_needs_one(
    export: Export, tmp_path: Path, folder: str, encoded: str
) -> None:
    """Airflow takes ASCII only and cuts at a number sign; URIs that were plain stay as they are."""
    events = OutletEventAccessors()
    manifest = export(destination=str(tmp_path / folder)).execute({"outlet_events": events})
    [landed] = events[AssetAlias("achieveit_landed_plans")].asset_alias_events
    assert landed.dest_asset_key.uri == f"{tmp_path.as_uri()}/{encoded}/plan_items/plan=p1"
    assert (tmp_path / folder / DATA).stat().st_size == manifest["files"][0]["bytes"]


@pytest.mark.parametrize("name", [None, "okr"])
def test_a_plan_whose_asset_is_declared_has_one_event(export: Export, lake: LocalStores, name: str | None) -> None:
    """Whatever name it has there: Airflow would start whoever waits for the URI twice."""
    uri = f"{lake.uri}/plan_items/plan=p1"
    outlet, events = Asset(uri) if name is None else Asset(name=name, uri=uri), OutletEventAccessors()
    manifest = export(outlets=[outlet]).execute({"outlet_events": events})
    assert events[outlet].extra == manifest
    assert events[AssetAlias("achieveit_landed_plans")].asset_alias_events == []


def test_the_log_says_what_landed(export: Export, lake: LocalStores, caplog: pytest.LogCaptureFixture) -> None:
    """Plan, label, size, version, time and requests, in one line for a person."""
    with caplog.at_level(logging.INFO):
        manifest = export().execute({})
    [line] = [record.getMessage() for record in caplog.records if " landed in " in record.getMessage()]
    size = sum(file["bytes"] for file in manifest["files"])
    assert line.startswith(f"Plan {manifest['plan_name']!r} (p1) landed in {lake.uri}/ as snapshot now: 25 rows, ")
    assert f" {size} bytes, last updated " in line
    assert manifest["version"]["last_updated"] in line
    assert line.endswith(f" s, requests: {manifest['requests']}")
    assert "plans done" not in caplog.text, "that is for a task that has many"


NOW = datetime.now(UTC)
DAY = timedelta(days=1)


@pytest.mark.parametrize(
    ("context", "warned"),
    [
        ({}, False),
        ({"logical_date": NOW}, False),
        ({"logical_date": NOW - DAY, "data_interval_end": NOW}, False),
        ({"logical_date": NOW - 8 * DAY, "data_interval_end": NOW - 7 * DAY}, True),
        ({"logical_date": NOW - DAY}, True),
        ({"logical_date": None}, False),
    ],
)
def test_a_run_for_another_day_says_that_it_has_the_values_of_today(
    export: Export, caplog: pytest.LogCaptureFixture, context: dict[str, Any], warned: bool
) -> None:
    """A backfill cannot bring back the values of the past; the run of last night's interval is no backfill."""
    export().execute(context)
    lines = [record.getMessage() for record in caplog.records if record.levelno == logging.WARNING]
    assert any("the API has today's values only" in line and "label now" in line for line in lines) is warned


@pytest.mark.parametrize("snapshot", ["%Y-%m-%dT%H%M%SZ", "week-%G-%V"])
def test_a_label_can_be_made_of_the_time_of_the_export(export: Export, lake: LocalStores, snapshot: str) -> None:
    """In UTC, by a strftime pattern."""
    before = datetime.now(UTC)
    manifest = export(snapshot=snapshot).execute({})
    assert f"{before.replace(microsecond=0):{snapshot}}" <= manifest["snapshot"] <= f"{datetime.now(UTC):{snapshot}}"


@pytest.mark.parametrize("outcome", ["landed", "failed"])
def test_a_task_can_be_copied_and_pickled_after_it_ran(export: Export, sandbox: Sandbox, outcome: str) -> None:
    """Airflow, and callbacks, do so; a client with its sockets could not be."""
    operator = export()
    if outcome == "failed":
        sandbox.key = "another"
        with pytest.raises(AirflowFailException):
            operator.execute({})
    else:
        operator.execute({})
    for twin in (copy.deepcopy(operator), pickle.loads(pickle.dumps(operator))):
        assert twin.plan_id == "p1"
        assert twin.on_kill() is None


def test_the_log_says_whether_the_content_is_what_it_was(
    export: Export, sandbox: Sandbox, caplog: pytest.LogCaptureFixture
) -> None:
    """Compared with the snapshot before."""
    caplog.set_level(logging.INFO)
    for label in ("first", "second"):
        export(snapshot=label).execute({})
    sandbox.plan("p1").edit(0, name="Renamed")
    export(snapshot="third").execute({})
    lines = [record.getMessage() for record in caplog.records if " landed in " in record.getMessage()]
    assert "content" not in lines[0]
    assert lines[1].endswith("; the content is that of snapshot first")
    assert lines[2].endswith("; the content differs from that of snapshot second")
