"""Verification of a lake: whatever is removed, damaged, swapped or added is found, and nothing else."""

from __future__ import annotations

import hashlib
import json
import os
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from deltalake import DeltaTable

from airflow_provider_achieveit.api.errors import AchieveItConfigError
from airflow_provider_achieveit.lake import layout
from airflow_provider_achieveit.lake import verify as module
from airflow_provider_achieveit.lake.options import ExportOptions
from airflow_provider_achieveit.lake.portfolio import export_plans
from airflow_provider_achieveit.lake.sinks.delta import open_delta_sink
from airflow_provider_achieveit.lake.sinks.objects import Store
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from airflow_provider_achieveit.lake.verify import Finding, verify
from tests.lake.stores import LocalStores, Stores

if TYPE_CHECKING:
    from pathlib import Path

    from airflow_provider_achieveit.api.client import AchieveItClient
    from airflow_provider_achieveit.lake.sinks.base import Sink
    from tests.support.faulty_sandbox import Sandbox

NOW = timedelta(0)
DAYS = ("mon", "tue", "wed")
MON, TUE, WED = (layout.manifest_key("p", day) for day in DAYS)
ITEMS = layout.table_key("plan_items", "p", "tue")
CHANGES = layout.table_key("plan_item_changes", "p", "tue")
MEMBERS = layout.table_key("plan_item_members", "p", "tue")
LATEST = layout.latest_key("p")
#: What a task that never succeeded left, and a copy that was to be swapped in when its export was killed.
RUN = layout.run_key("dag", "run", "export", -1)
STAGED = f"{layout.STAGING_PREFIX}a1b2c3/0"


def export(client: AchieveItClient, sink: Sink, label: str, *plans: str) -> None:
    """Land plans as a task would."""
    options = ExportOptions(tables="normalized")
    report = export_plans(client, sink, plans or ("p", "one", "empty"), snapshot=label, options=options)
    assert not report.failures


@pytest.fixture
def fill(client: AchieveItClient, sandbox: Sandbox) -> Callable[[Sink], None]:
    """Lands a plan of ten items on three days, edited in between, and two others."""

    def fill(sink: Sink) -> None:
        plan = sandbox.put_plan("p", 10)
        for day in DAYS:
            export(client, sink, day)
            plan.edit(name=f"edited after {day}")
            plan.delete()

    return fill


@pytest.fixture
def lake(tmp_path: Path, fill: Callable[[Sink], None]) -> LocalStores:
    """A whole lake of local files."""
    lake = LocalStores(tmp_path / "lake")
    fill(lake.sink())
    return lake


@pytest.fixture(autouse=True)
def _no_pause(monkeypatch: pytest.MonkeyPatch) -> None:
    """What does not match is looked at once more without a pause."""
    monkeypatch.setattr(module, "_PAUSE", 0.0)


def found(sink: Sink, grace: timedelta = NOW) -> list[tuple[str, str]]:
    """Kinds and keys of all findings."""
    return [(finding.kind, finding.key) for finding in verify(sink, grace=grace)]


@pytest.mark.slow  # it downloads and changes every object of a lake, several times over
def test_it_is_alike_in_every_store(stores: Stores, fill: Callable[[Sink], None]) -> None:
    """On local files, S3 and GCS: nothing is found in a whole lake; then what is removed, truncated, swapped, added.

    Only an export to local files makes a staging folder.
    """
    fill(stores.sink())
    assert list(verify(stores.sink(), grace=NOW)) == []
    objects, added = stores.objects(), "plan_items/plan=p/snapshot=tue/part-0.parquet"
    removed, swapped = (layout.table_key("plan_items", plan, "mon") for plan in ("one", "empty"))
    stores.put(removed, None)
    stores.put(CHANGES, objects[CHANGES][:-1])
    stores.put(swapped, objects[ITEMS])
    left = [added, RUN, *([STAGED] if stores.sink().store.is_local else [])]
    for key in left:
        stores.put(key, b"left")
    notes = [("note", layout.manifest_key(plan, "tue")) for plan in ("empty", "one")]
    problems = [("problem", key) for key in (removed, CHANGES, swapped)]
    assert sorted(found(stores.sink())) == sorted([*notes, *problems, *(("orphan", key) for key in left)])
    assert not [key for kind, key in found(stores.sink(), timedelta(hours=1)) if kind == "orphan"]


def test_a_lake_of_the_first_version_has_no_findings(lake: LocalStores) -> None:
    """Its manifests have fewer keys, and it has no other tables than `plan_items`."""
    objects = lake.objects()
    for key in [key for key in objects if key.split("/")[0] not in ("plan_items", "_manifests")]:
        lake.put(key, None)
    for key in [key for key in objects if "/plan=" in key and key.endswith(".json")]:
        manifest = json.loads(objects[key])
        [items] = [entry for entry in manifest["files"] if entry["table"] == "plan_items"]
        later = ("previous", "changes", "version_read_at", "table_format")
        first = {name: value for name, value in manifest.items() if name not in later}
        lake.put(key, json.dumps({**first, "files": [{k: v for k, v in items.items() if k != "key"}]}).encode())
    lake.put(layout.FORMAT_KEY, None)
    assert list(verify(lake.sink(), grace=NOW)) == []


def test_what_was_removed_is_found(lake: LocalStores) -> None:
    """A table; a manifest, whose tables are orphans and whose successor cannot be checked; a latest.json."""
    lake.put(MEMBERS, None)
    assert list(verify(lake.sink(), grace=NOW)) == [Finding("problem", MEMBERS, "is not there")]
    tables = [layout.table_key(table, "p", "tue") for table in SCHEMAS]
    lake.put(TUE, None)
    lake.put(LATEST, None)
    expected = [("note", WED), ("problem", LATEST), *(("orphan", key) for key in tables if key != MEMBERS)]
    assert sorted(found(lake.sink())) == sorted(expected)


@pytest.mark.parametrize("key", [ITEMS, CHANGES, MEMBERS])
def test_what_was_damaged_is_found(lake: LocalStores, key: str) -> None:
    """Truncated, with another byte in it, and replaced by the file of another plan."""
    body, other = lake.objects()[key], lake.objects()[key.replace("plan=p", "plan=one")]
    for damaged in (body[:-1], b"", body[:100] + bytes([body[100] ^ 1]) + body[101:], other):
        lake.put(key, damaged)
        findings = [finding for finding in verify(lake.sink(), grace=NOW) if finding.kind != "note"]
        assert [(finding.kind, finding.key) for finding in findings] == [("problem", key)]
        assert "SHA-256" in findings[0].what
    notes = [("note", WED)] if key == ITEMS else []
    assert sorted(found(lake.sink())) == sorted([*notes, ("problem", key)])


def test_what_was_added_is_found(lake: LocalStores) -> None:
    """Beside a table's file, in a folder of its own, among the manifests; what is not below our folders is not ours."""
    strays = [
        "plan_items/plan=p/snapshot=tue/part-0.parquet",
        "plan_items/plan=gone/snapshot=tue/plan_items.parquet",
        "plan_items/notes.txt",
        "plan_item_tags/plan=p/snapshot=never/plan_item_tags.parquet",
        "_manifests/plan=p/readme.txt",
    ]
    for key in [*strays, "other/plan=p/snapshot=tue/other.parquet", "plan_items.parquet", "readme.txt"]:
        lake.put(key, b"added")
    assert sorted(found(lake.sink())) == sorted(("orphan", key) for key in strays)
    assert found(lake.sink(), timedelta(hours=1)) == []


def test_what_tasks_leave_behind_is_found_once_it_is_old(lake: LocalStores) -> None:
    """The note of a task that never succeeded, the copies of an export that was killed."""
    for key in (RUN, STAGED):
        lake.put(key, b"left")
        old = time.time() - 7_200
        os.utime(lake.root / key, (old, old))
    assert sorted(found(lake.sink(), timedelta(hours=1))) == sorted([("orphan", RUN), ("orphan", STAGED)])
    assert found(lake.sink(), timedelta(hours=3)) == []


def rewrite(lake: LocalStores, key: str, **changed: Any) -> None:
    """Let a manifest, or `latest.json`, say something else."""
    lake.put(key, json.dumps({**json.loads(lake.objects()[key]), **changed}, indent=2).encode())


def other_entry(lake: LocalStores, table: str, **changed: Any) -> list[dict[str, Any]]:
    """The files of Tuesday's manifest, with something else said of one."""
    files = json.loads(lake.objects()[TUE])["files"]
    return [{**entry, **changed} if entry["table"] == table else entry for entry in files]


def test_a_manifest_that_is_none_is_a_problem_and_its_tables_are_no_orphans(lake: LocalStores) -> None:
    """Whoever removes what is called an orphan must lose nothing."""
    lake.put(TUE, b"{")
    assert sorted(found(lake.sink())) == [("note", WED), ("problem", TUE)]
    lake.put(TUE, lake.objects()[MON])
    assert sorted(found(lake.sink())) == [("note", WED), ("problem", TUE)]


def test_what_a_manifest_says_is_compared_with_the_file(lake: LocalStores) -> None:
    """Rows, bytes, columns, hash and counts of changes, even where each file has its SHA-256."""
    manifest = json.loads(lake.objects()[TUE])
    changes = {**manifest["changes"], "changed": 7}
    for changed, key in [
        ({"files": other_entry(lake, "plan_items", rows=99)}, ITEMS),
        ({"files": other_entry(lake, "plan_item_members", bytes=99)}, MEMBERS),
        ({"files": other_entry(lake, "plan_item_members", key="plan_items/elsewhere.parquet")}, MEMBERS),
        ({"schema_hash": "0" * 64}, ITEMS),
        ({"content_hash": "0" * 64}, TUE),
        ({"rows": 99}, TUE),
        ({"changes": changes}, CHANGES),
        ({"changes": None}, CHANGES),
        ({"consistent": False}, CHANGES),
        ({"table_format": "delta"}, TUE),
    ]:
        lake.put(TUE, json.dumps({**manifest, **changed}).encode())
        assert ("problem", key) in found(lake.sink()), changed
    lake.put(TUE, json.dumps(manifest, indent=2).encode())


def as_parquet(table: pa.Table) -> bytes:
    """The file of a table."""
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return bytes(sink.getvalue())


def noting(body: bytes, name: str, value: str, without: str | None = None) -> bytes:
    """A file that notes something else about itself."""
    table = pq.read_table(pa.BufferReader(body))
    table = table if without is None else table.drop_columns([without])
    return as_parquet(table.replace_schema_metadata({**table.schema.metadata, f"achieveit.{name}".encode(): value}))


#: What can stand in a file although its manifest has the right hash, and what verification says of it.
OTHER_FILES: dict[str, Callable[[bytes], bytes]] = {
    "is not Parquet: ": lambda _: b"text",
    "is not Parquet: Parquet": lambda body: body[: len(body) // 2],
    "rows, but its manifest says ": lambda body: as_parquet(pq.read_table(pa.BufferReader(body)).slice(1)),
    "has other columns than it says": lambda body: noting(body, "plan_id", "p", without="name"),
    "is a file of plan 'q'": lambda body: noting(body, "plan_id", "q"),
}


def test_a_file_that_its_manifest_describes_is_looked_into_as_well(lake: LocalStores) -> None:
    """The right hash of what is no snapshot of the plan makes it none; it is a problem and ends nothing."""
    whole = lake.objects()[MEMBERS]
    for what, other in OTHER_FILES.items():
        body = other(whole)
        lake.put(MEMBERS, body)
        same = {"sha256": hashlib.sha256(body).hexdigest(), "bytes": len(body)}
        rewrite(lake, TUE, files=other_entry(lake, "plan_item_members", **same))
        [finding] = verify(lake.sink(), grace=NOW)
        assert (finding.kind, finding.key) == ("problem", MEMBERS)
        assert what in finding.what


@pytest.mark.parametrize("day", ["mon", "tue"])
def test_columns_of_another_version_are_no_problem(lake: LocalStores, day: str) -> None:
    """A snapshot whose manifest and file name another schema is whole; neither it nor what follows it is compared."""
    key = layout.table_key("plan_items", "p", day)
    body = noting(lake.objects()[key], "schema_hash", "of another version", without="units")
    lake.put(key, body)
    digest = hashlib.sha256(body).hexdigest()
    files = json.loads(lake.objects()[layout.manifest_key("p", day)])["files"]
    same = {"sha256": digest, "bytes": len(body)}
    files = [{**entry, **same} if entry["table"] == "plan_items" else entry for entry in files]
    rewrite(lake, layout.manifest_key("p", day), files=files, content_hash=digest, schema_hash="of another version")
    follows = TUE if day == "mon" else WED
    rewrite(lake, follows, previous={**json.loads(lake.objects()[follows])["previous"], "content_hash": digest})
    lake.put(LATEST, lake.objects()[WED])
    assert list(verify(lake.sink(), grace=NOW)) == [
        Finding("note", layout.manifest_key("p", day), "has other columns, so that its changes cannot be checked"),
        Finding("note", follows, f"was compared with snapshot {day}, which has other columns"),
    ]


@pytest.mark.parametrize("age", [timedelta(minutes=59), timedelta(minutes=61)])
def test_an_orphan_is_one_after_an_hour(lake: LocalStores, age: timedelta) -> None:
    """An export that is under way writes its manifest last."""
    key = "plan_items/plan=p/snapshot=now/plan_items.parquet"
    lake.put(key, b"just written")
    moment = (datetime.now(UTC) - age).timestamp()
    os.utime(lake.root / key, (moment, moment))
    findings = list(verify(lake.sink()))
    assert [finding.key for finding in findings] == ([key] if age > timedelta(hours=1) else [])
    assert all(f"{datetime.fromtimestamp(moment, UTC):%Y-%m-%d %H:%M} UTC" in finding.what for finding in findings)


def test_a_latest_that_is_missing_is_a_problem_only_where_something_landed(lake: LocalStores) -> None:
    """What is called like one in the folder of no plan is a stray at most."""
    lake.put(LATEST, None)
    assert found(lake.sink()) == [("problem", LATEST)]
    for day in DAYS:
        lake.put(layout.manifest_key("p", day), None)
    assert {kind for kind, _ in found(lake.sink())} == {"orphan"}


def test_changes_are_what_the_two_snapshots_differ_by(lake: LocalStores) -> None:
    """A table of changes that is whole, but that of another day, is found."""
    wrong = layout.table_key("plan_item_changes", "p", "wed")
    entry = next(file for file in json.loads(lake.objects()[WED])["files"] if file["table"] == "plan_item_changes")
    lake.put(CHANGES, lake.objects()[wrong])
    same = {name: entry[name] for name in ("rows", "bytes", "sha256")}
    rewrite(lake, TUE, files=other_entry(lake, "plan_item_changes", **same))
    findings = list(verify(lake.sink(), grace=NOW))
    assert {(finding.kind, finding.key) for finding in findings} == {("problem", CHANGES)}
    assert all("is not what changed" in finding.what for finding in findings)


def test_a_previous_that_was_replaced_is_a_note(lake: LocalStores, client: AchieveItClient, sandbox: Sandbox) -> None:
    """Today's values stand under Monday's label: Tuesday's changes cannot be checked any more, and nothing is wrong."""
    export(client, lake.sink(), "mon", "p")
    [finding] = verify(lake.sink(), grace=NOW)
    assert (finding.kind, finding.key) == ("note", TUE)
    assert finding.what == "was compared with snapshot mon, which was replaced since"


def test_latest_is_a_copy_of_a_manifest(lake: LocalStores) -> None:
    """Of any; not of none, of another plan, or with another content."""
    lake.put(LATEST, lake.objects()[MON])
    assert found(lake.sink()) == []
    for body in (b"", lake.objects()[layout.latest_key("one")], lake.objects()[LATEST].replace(b"mon", b"sun")):
        lake.put(LATEST, body)
        assert found(lake.sink()) == [("problem", LATEST)]


class BusyStore(Store):
    """A store in which something happens after Tuesday's manifest was read, and before its first table is."""

    happens: Callable[[], object] | None = None

    def download(self, key: str, into: Path) -> str | None:
        if "snapshot=tue" in key and "plan=p/" in key and self.happens is not None:
            happens, self.happens = self.happens, None
            happens()
        return super().download(key, into)


def test_an_export_that_comes_in_between_is_no_problem(
    tmp_path: Path, fill: Callable[[Sink], None], client: AchieveItClient
) -> None:
    """What does not match is looked at once more, with the manifest that is there then."""
    lake = LocalStores(tmp_path / "lake")
    fill(lake.sink())
    store = BusyStore(lake.store().fs, str(lake.root))
    store.happens = lambda: export(client, lake.sink(), "tue", "p")
    assert found(ParquetSink(store)) == [("note", WED)]
    assert store.happens is None


def test_a_snapshot_that_is_removed_in_between_is_no_problem(tmp_path: Path, fill: Callable[[Sink], None]) -> None:
    """Its manifest is gone at the second look."""
    lake = LocalStores(tmp_path / "lake")
    fill(lake.sink())

    def remove() -> None:
        lake.put(TUE, None)
        for table in SCHEMAS:
            lake.put(layout.table_key(table, "p", "tue"), None)

    store = BusyStore(lake.store().fs, str(lake.root))
    store.happens = remove
    assert found(ParquetSink(store)) == [("note", WED)]


def test_a_lake_without_manifests_cannot_be_verified(stores: Stores) -> None:
    """Most likely it is another place than the one that was meant."""
    with pytest.raises(AchieveItConfigError, match="no manifest"):
        list(verify(stores.sink()))


@pytest.fixture
def delta(tmp_path: Path, fill: Callable[[Sink], None]) -> LocalStores:
    """The same lake in Delta tables."""
    stores = LocalStores(tmp_path / "delta")
    fill(open_delta_sink(stores.store()))
    return stores


def test_delta_tables_are_verified_alike(delta: LocalStores) -> None:
    """Rows that are gone, rows without a manifest, and a table that is gone."""
    sink = open_delta_sink(delta.store())
    assert list(verify(sink, grace=NOW)) == []
    DeltaTable(str(delta.root / "plan_item_members")).delete("plan = 'p' AND snapshot = 'tue'")
    delta.put(layout.manifest_key("one", "wed"), None)
    delta.put(layout.latest_key("one"), delta.objects()[layout.manifest_key("one", "tue")])
    findings = found(sink)
    assert [key for kind, key in findings if kind == "problem"] == [MEMBERS]
    orphans = [key for kind, key in findings if kind == "orphan"]
    assert layout.table_key("plan_items", "one", "wed") in orphans
    assert all("plan=one/snapshot=wed" in key for key in orphans)
    delta.put(RUN, b"left")
    assert set(found(sink)) - set(findings) == {("orphan", RUN)}


@pytest.mark.parametrize("keep", [None, 0, 100], ids=["removed", "empty", "truncated"])
def test_a_damaged_data_file_of_a_delta_table_is_a_problem(delta: LocalStores, keep: int | None) -> None:
    """Of each snapshot that has rows in it; verification goes on with the others."""
    actions = pa.table(DeltaTable(str(delta.root / "plan_items")).get_add_actions()).to_pylist()
    [path] = [action["path"] for action in actions if action["partition"]["snapshot"] == "tue"]
    file = delta.root / "plan_items" / path
    body = file.read_bytes()
    file.unlink()
    if keep is not None:
        file.write_bytes(body[:keep])
    findings = found(open_delta_sink(delta.store()))
    assert ("problem", ITEMS) in findings
    assert {key for kind, key in findings if kind == "problem"} == {ITEMS, layout.table_key("plan_items", "one", "tue")}
