"""What is read as a manifest: those of every version of this package, and nothing else."""

from __future__ import annotations

import json
import tracemalloc
from typing import TYPE_CHECKING, Any

import pytest

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.api.plan_version import PlanVersion
from airflow_provider_achieveit.lake.errors import AchieveItManifestError
from airflow_provider_achieveit.lake.layout import FORMAT_KEY, latest_key, manifest_key, table_key
from airflow_provider_achieveit.lake.manifest import Manifest, NotAManifestError, decode, encode, landed_version
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plan
from tests.lake.stores import LocalStores

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from tests.support.faulty_sandbox import Sandbox

#: As version 0.1.0 wrote it, from its own tests.
OLD = {
    "plan_id": "p", "plan_name": "Plan", "snapshot": "manual__2026-11-23T10:02:03+00:00", "rows": 1,
    "version": {"total_count": 1, "last_updated": "2026-11-23T10:02:03.123456Z", "item_id": "i"}, "consistent": True,
    "content_hash": "0" * 64, "schema_hash": "1" * 64, "rescued_values": 0,
    "files": [{"table": "plan_items", "path": "s3://lake/x", "rows": 1, "bytes": 5, "sha256": "0" * 64}],
    "started_at": "2026-11-23T10:02:04.000000Z", "finished_at": "2026-11-23T10:02:05.000000Z", "requests": 1,
    "attempts": 1, "provider_version": "0.1.0", "dag_id": None, "run_id": None, "task_id": None, "try_number": None,
}  # fmt: skip


def changed(**values: Any) -> bytes:
    """The old manifest with other values."""
    return json.dumps({**OLD, **values}).encode()


def entry(**values: Any) -> bytes:
    """The old manifest with other values in the entry of its table."""
    return changed(files=[{**OLD["files"][0], **values}])  # type: ignore[index]  # a list, as above


def without(key: str) -> bytes:
    """The old manifest without a key."""
    return json.dumps({name: value for name, value in OLD.items() if name != key}).encode()


HOSTILE = {
    "empty": b"",
    "a list": b"[]",
    "a number": b"7",
    "cut short": changed()[:200],
    "not UTF-8": b"\xff" * 10_000,
    "nested too deeply": b"[" * 100_000,
    "an object nested too deeply": b'{"version":' * 100_000,
    "5 MB": b'{"plan_id": "' + b"x" * 5 * 2**20,
    "negative rows": changed(rows=-5),
    "endless rows": changed(rows=10**400),
    "more digits than Python reads": b'{"rows": 1' + b"0" * 5000 + b"}",
    "true rows": changed(rows=True),
    "rows as text": changed(rows="1" * 10_000),
    "no files": changed(files=[]),
    "files of text": changed(files=["x"]),
    "no plan_items": entry(table="plan_item_tags"),
    "a table that climbs out": changed(files=[*OLD["files"], {**OLD["files"][0], "table": "../../x"}]),  # type: ignore[index,misc]
    "a table with a line break": changed(files=[*OLD["files"], {**OLD["files"][0], "table": "x\ny"}]),  # type: ignore[index,misc]
    "negative bytes": entry(bytes=-1),
    "a hash that is none": entry(sha256="x"),
    "a label that climbs out": changed(snapshot="../x"),
    "another plan's": changed(plan_id="q"),
    "a plan id that climbs out": changed(plan_id="../p"),
    "a version that is none": changed(version={"total_count": -1, "last_updated": None, "item_id": None}),
    "a time that is none": changed(started_at="yesterday"),
    "an unknown format": changed(table_format="csv" * 1000),
    "previous is text": changed(previous="x"),
    "no rows": without("rows"),
    "no version": without("version"),
    "no time": without("started_at"),
}


def test_a_manifest_of_version_0_1_0_is_read() -> None:
    """With the keys that came later filled in: it was written in Parquet, and its read began with the export."""
    manifest = decode(changed(), "p")
    assert manifest["files"][0]["key"] == table_key("plan_items", "p", str(OLD["snapshot"]))
    assert (manifest["table_format"], manifest["previous"], manifest["changes"]) == ("parquet", None, None)
    assert manifest["version_read_at"] == OLD["started_at"]
    assert landed_version(manifest) == PlanVersion.from_json(OLD["version"])


def test_a_manifest_with_keys_of_a_later_version_is_read() -> None:
    """They are left as they are."""
    manifest = decode(changed(weight=7, version_read_at="2026-11-23T10:02:06.000000Z"), "p")
    assert manifest["weight"] == 7  # type: ignore[typeddict-item]  # what is tested
    assert decode(encode(manifest), "p") == manifest


@pytest.mark.parametrize("name", HOSTILE)
def test_what_is_no_manifest_is_refused_in_few_words(name: str) -> None:
    """Whatever it is: one error, whose message has a bounded length."""
    with pytest.raises(NotAManifestError) as caught:
        decode(HOSTILE[name], "p")
    assert 0 < len(str(caught.value)) < 300


@pytest.mark.parametrize("name", HOSTILE)
def test_the_next_export_replaces_what_is_no_manifest(
    name: str, client: AchieveItClient, plan: object, tmp_path: Path
) -> None:
    """Guards that would have to look at it refuse; an export that does not need it goes on."""
    lake = LocalStores(tmp_path / "lake")
    for key in (latest_key("p"), manifest_key("p", "now")):
        lake.put(key, HOSTILE[name])
    with pytest.raises(AchieveItManifestError, match=r"latest\.json is not a manifest") as caught:
        export_plan(client, lake.sink(), "p", snapshot="now", options=ExportOptions(max_shrink=0.5))
    assert len(str(caught.value)) < 600
    options = ExportOptions(if_unchanged="skip")
    landed: Manifest | None = export_plan(client, lake.sink(), "p", snapshot="now", options=options)
    assert landed == lake.sink().latest("p") == lake.sink().landed("p", "now")


@pytest.mark.parametrize("name", HOSTILE)
def test_a_note_of_the_table_format_that_is_none_is_named(
    name: str, client: AchieveItClient, plan: object, sandbox: Sandbox, tmp_path: Path
) -> None:
    """Nobody knows then what the tables are, so nothing is written over them."""
    lake = LocalStores(tmp_path / "lake")
    lake.put(FORMAT_KEY, HOSTILE[name])
    with pytest.raises(
        AchieveItConfigError, match=r"format\.json names the table format .*, which is not known"
    ) as caught:
        export_plan(client, lake.sink(), "p", snapshot="now")
    assert len(str(caught.value)) < 600
    assert set(lake.objects()) == {FORMAT_KEY}
    assert sandbox.requests == []


def test_of_a_huge_object_only_the_beginning_is_read(tmp_path: Path) -> None:
    """500 MB in the place of a manifest cost no memory."""
    lake = LocalStores(tmp_path / "lake")
    lake.put(latest_key("p"), b"{")
    with (lake.root / latest_key("p")).open("r+b") as file:
        file.truncate(500 * 2**20)
    tracemalloc.start()
    try:
        with pytest.raises(AchieveItManifestError):
            lake.sink().latest("p")
        assert tracemalloc.get_traced_memory()[1] < 60 * 2**20
    finally:
        tracemalloc.stop()
