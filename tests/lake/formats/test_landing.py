"""What lands in the tables of a table format, and what is replaced by it."""

from __future__ import annotations

import base64
import random
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.api.cancellation import Cancellation
from airflow_provider_achieveit.api.errors import AchieveItClosedError, AchieveItConfigError
from airflow_provider_achieveit.lake.errors import AchieveItOutdatedError, AchieveItStoreError
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.lake.sinks.parquet import ParquetSink
from airflow_provider_achieveit.lake.table_file import ROW_GROUP
from tests.lake.formats.lakes import BEGINNING, Lake, item, items_file, land, problems, snapshot_of

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

FAR_PAST, FAR_FUTURE = datetime(1, 1, 1, tzinfo=UTC), datetime(9999, 12, 31, 23, 59, 59, 999999, tzinfo=UTC)
STEP = {"id": "i", "name": "", "sort_index": 2, "done_on": FAR_PAST}
GOAL = {"goal_id": "g", "goal_name": "", "goal_color": None, "metric_bucket_value": 0.1, "sort_order": 0}


def checklist(steps: list[dict[str, Any]] | None) -> dict[str, Any]:
    """An entry of `checklists`."""
    return {"id": "c", "name": "n", "sort_index": 1, "items": steps}


#: Values that formats and their readers are known to change.
ODD = [
    item("far", start=FAR_PAST, due=FAR_FUTURE, created=datetime(2025, 1, 1, 1, 2, 3, 456789, tzinfo=UTC)),
    item("exact", baseline=Decimal("9" * 29 + "." + "9" * 9), target=Decimal("-0.000000001"), current_value=Decimal(0)),
    item("rescued", name='"&amp;" \u2028 \U0001f600', _rescued_data='{"target":"about 5","x[0]":null}'),
    item("integers", status=2**31 - 1, units=-(2**31), is_orphan=False, has_metric=True),
    item("members", members=[{"id": "m", "name": None, "type": "User"}, None], admins=[], tags=None),
    item("checklists", checklists=[checklist([STEP]), checklist([]), checklist(None)]),
    item("goals", advanced_metric_goals=[GOAL]),
    item("nothing"),
]  # fmt: skip


def test_a_task_commits_once_to_a_table_whatever_the_number_of_plans(lake: Lake, tmp_path: Path) -> None:
    """The rows have their plan, label and place, and the manifests say where they are."""
    manifests = land(lake.sink(), tmp_path, {"a": ["1", "2"], "b": ["1"], "c": []})
    assert lake.ids() == [("monday", "a", "1"), ("monday", "a", "2"), ("monday", "b", "1")]
    assert lake.table().sort_by("plan").column("position").to_pylist() == [0, 1, 0]
    assert lake.commits() == 1
    for manifest, rows in zip(manifests, [2, 1, 0], strict=True):
        assert lake.sink().landed(manifest["plan_id"], "monday") == manifest
        assert lake.sink().latest(manifest["plan_id"]) == manifest
        [file] = manifest["files"]
        assert (file["table"], file["rows"]) == ("plan_items", rows)
        assert file["version"] is not None
        assert lake.sink().is_whole(manifest)
    assert list(lake.sink().orphans()) == []


def test_the_items_are_committed_last(lake: Lake, tmp_path: Path) -> None:
    """Whoever is told of new items finds what was derived from them."""
    member = {"plan_id": "a", "item_id": "1", "position": 0, "id": "m", "name": "M", "type": "User"}
    for _ in range(2):
        land(lake.sink(), tmp_path, {"a": ["1"]}, derived={"a": {"plan_item_members": [member]}})
        assert lake.committed_at("plan_items") >= lake.committed_at("plan_item_members")


def test_columns_are_those_of_the_files_then_plan_snapshot_and_position(lake: Lake, tmp_path: Path) -> None:
    """Names, order and types are the same in every format."""
    land(lake.sink(), tmp_path, {"a": ["1"]})
    schema = lake.table().schema
    assert schema.names == [*PLAN_ITEMS.names, "plan", "snapshot", "position"]
    for name in ("id", "start", "baseline", "status", "is_orphan"):
        assert str(schema.field(name).type).removeprefix("large_") == str(PLAN_ITEMS.field(name).type)
    assert schema.field("position").type == pa.int32()


def test_exactly_the_rows_of_the_plans_and_the_label_are_replaced(lake: Lake, tmp_path: Path) -> None:
    """Also where another commit has put other plans into the same file; other labels stay."""
    land(lake.sink(), tmp_path, {"a": ["1", "2"], "b": ["3"], "c": ["4"]})
    land(lake.sink(), tmp_path, {"b": ["5"]}, "tuesday")
    before = lake.commits()
    land(lake.sink(), tmp_path, {"c": ["8", "9"], "a": ["7"]})
    assert lake.ids() == [
        ("monday", "a", "7"),
        ("monday", "b", "3"),
        ("monday", "c", "8"),
        ("monday", "c", "9"),
        ("tuesday", "b", "5"),
    ]
    assert lake.commits() == before + 1
    sink = lake.sink()
    assert all(sink.is_whole(manifest) for manifest in sink.manifests())
    assert [problem for manifest in sink.manifests() for problem in problems(sink, manifest, tmp_path)] == []


def test_an_empty_plan_replaces_the_rows_that_were_there(lake: Lake, tmp_path: Path) -> None:
    """And the table exists even if nothing but an empty plan ever landed."""
    land(lake.sink(), tmp_path, {"a": []})
    assert lake.ids() == []
    land(lake.sink(), tmp_path, {"a": ["1"], "b": ["2"]})
    [manifest] = land(lake.sink(), tmp_path, {"a": []})
    assert lake.ids() == [("monday", "b", "2")]
    assert lake.sink().is_whole(manifest)
    assert problems(lake.sink(), manifest, tmp_path) == []


@pytest.mark.parametrize("compacted", [False, True], ids=["as landed", "compacted"])
def test_every_value_comes_back_and_the_bytes_of_the_file_too(lake: Lake, tmp_path: Path, compacted: bool) -> None:
    """Far dates, decimals, nested lists, nulls, rescued data, and more rows than a row group has."""
    many = [item(f"{number}", row_number=number) for number in range(ROW_GROUP + 100)]
    sink = lake.sink()
    file = items_file(tmp_path, "a", ODD + many)
    other = items_file(tmp_path, "b", [item("1")])
    with sink.begin(Cancellation()) as commit:
        commit.add(snapshot_of(sink, other, "b", "monday"), [other])
        commit.add(snapshot_of(sink, file, "a", "monday"), [file])
        manifest = commit.finish()[1]
    if compacted:
        land(lake.sink(), tmp_path, {"c": ["1"]})
        lake.compact()
    back = lake.sink().fetch(manifest, "plan_items", tmp_path / "back")
    assert (back.rows, back.bytes, back.sha256) == tuple(
        manifest["files"][0][key] for key in ("rows", "bytes", "sha256")
    )
    assert manifest["content_hash"] == file.sha256
    assert (back.sha256 == file.sha256) is sink.keeps_null_lists
    wanted = pa.compute.field("plan") == "a"
    rows = lake.table().filter(wanted).sort_by("position").drop_columns(["plan", "snapshot", "position"])
    expected = ODD if sink.keeps_null_lists else [without_null_lists(row, PLAN_ITEMS) for row in ODD]
    assert rows.slice(0, len(ODD)).to_pylist() == expected
    assert pq.read_table(back.path).slice(0, len(ODD)).to_pylist() == expected


def without_null_lists(row: dict[str, Any], fields: Iterable[pa.Field]) -> dict[str, Any]:
    """What Iceberg's readers make of a row."""
    made = {}
    for field in fields:
        value = row[field.name]
        if pa.types.is_list(field.type):
            inner = field.type.value_type
            value = [entry if entry is None else without_null_lists(entry, inner) for entry in value or []]
        made[field.name] = value
    return made


def test_a_derived_table_that_is_no_longer_asked_for_loses_the_rows_of_the_label(lake: Lake, tmp_path: Path) -> None:
    """Child tables have a `position` of their own, and the place in the file is `row_position` there."""
    member = {"plan_id": "a", "item_id": "1", "position": 4, "id": "m", "name": "M", "type": "User"}
    derived = {plan: {"plan_item_members": [member, member]} for plan in ("a", "b")}
    manifests = land(lake.sink(), tmp_path, {"a": ["1"], "b": ["1"]}, derived=derived)
    members = lake.table("plan_item_members")
    assert members.schema.names[-3:] == ["plan", "snapshot", "row_position"]
    assert [file["table"] for file in manifests[0]["files"]] == ["plan_items", "plan_item_members"]
    assert lake.sink().fetch(manifests[1], "plan_item_members", tmp_path / "back").rows == 2
    land(lake.sink(), tmp_path, {"a": ["1"]})
    assert lake.table("plan_item_members").column("plan").to_pylist() == ["b", "b"]
    assert list(lake.sink().orphans()) == []


def test_an_earlier_read_does_not_replace_a_later_one(lake: Lake, tmp_path: Path) -> None:
    """Neither when it is handed over, nor when the later one lands between that and the commit."""
    land(lake.sink(), tmp_path, {"a": ["new"]}, read_at=BEGINNING + timedelta(days=2))
    with pytest.raises(AchieveItOutdatedError, match="later"):
        land(lake.sink(), tmp_path, {"a": ["old"]}, read_at=BEGINNING + timedelta(days=1))
    old = items_file(tmp_path, "b", [item("old")])
    sink = lake.sink()
    with sink.begin(Cancellation()) as commit:
        commit.add(snapshot_of(sink, old, "b", "monday", BEGINNING + timedelta(days=1)), [old])
        land(lake.sink(), tmp_path, {"b": ["new"]}, read_at=BEGINNING + timedelta(days=2))
        with pytest.raises(AchieveItOutdatedError, match="later"):
            commit.finish()
    assert lake.ids() == [("monday", "a", "new"), ("monday", "b", "new")]


def test_an_earlier_read_that_is_refused_when_it_is_handed_over_stops_no_other_plan(lake: Lake, tmp_path: Path) -> None:
    """It is that plan's own error: the others land in the same commit."""
    land(lake.sink(), tmp_path, {"a": ["new"]}, read_at=BEGINNING + timedelta(days=2))
    sink = lake.sink()
    old, other = items_file(tmp_path, "a", [item("old")]), items_file(tmp_path, "b", [item("1")])
    with sink.begin(Cancellation()) as commit:
        with pytest.raises(AchieveItOutdatedError, match="later"):
            commit.add(snapshot_of(sink, old, "a", "monday", BEGINNING + timedelta(days=1)), [old])
        commit.add(snapshot_of(sink, other, "b", "monday"), [other])
        assert [manifest["plan_id"] for manifest in commit.finish()] == ["b"]
    assert lake.ids() == [("monday", "a", "new"), ("monday", "b", "1")]


def test_a_cancelled_export_lands_nothing(lake: Lake, tmp_path: Path) -> None:
    """Neither rows nor manifests."""
    land(lake.sink(), tmp_path, {"a": ["1"]})
    cancellation = Cancellation()
    file = items_file(tmp_path, "a", [item("2")])
    sink = lake.sink()
    with sink.begin(cancellation) as commit:
        commit.add(snapshot_of(sink, file, "a", "monday"), [file])
        cancellation.cancel()
        with pytest.raises(AchieveItClosedError):
            commit.finish()
    assert lake.ids() == [("monday", "a", "1")]


def test_rows_without_a_manifest_and_manifests_without_rows_are_found(lake: Lake, tmp_path: Path) -> None:
    """Verification names the plan and the label, as it names the keys of plain files."""
    [_, b, c] = land(lake.sink(), tmp_path, {"a": ["1"], "b": ["1", "2"], "c": ["1"]})
    (lake.root / "_manifests/plan=a/snapshot=monday.json").unlink()
    [(key, state)] = lake.sink().orphans()
    assert (key, state.size) == ("plan_items/plan=a/snapshot=monday/plan_items.parquet", 1)
    assert abs(datetime.now(UTC) - state.modified) < timedelta(minutes=10)
    b["files"][0]["rows"] = 3
    assert not lake.sink().is_whole(b)
    [problem] = problems(lake.sink(), b, tmp_path)
    assert "2 rows" in problem
    c["files"][0]["sha256"] = "0" * 64
    [problem] = problems(lake.sink(), c, tmp_path)
    assert "SHA-256" in problem
    with pytest.raises(AchieveItStoreError, match="SHA-256"):
        lake.sink().fetch(c, "plan_items", tmp_path / "back")
    with pytest.raises(AchieveItStoreError, match="no table"):
        lake.sink().fetch(c, "plan_item_members", tmp_path / "back")


def test_a_destination_holds_one_format(lake: Lake, tmp_path: Path) -> None:
    """The other one is refused before anything is read."""
    land(lake.sink(), tmp_path, {"a": ["1"]})
    with pytest.raises(AchieveItConfigError, match=lake.sink().format):
        ParquetSink(lake.store()).check()
    lake.sink().check()


def test_rows_that_another_pyarrow_wrote_are_counted_and_not_compared_byte_by_byte(lake: Lake, tmp_path: Path) -> None:
    """The file that is written again has other bytes then; this is no damage, and the next changes can be made."""
    [manifest] = land(lake.sink(), tmp_path, {"a": ["1", "2"]})
    [entry] = manifest["files"]
    assert entry["written_by"] == pq.read_metadata(items_file(tmp_path, "a", [item("1")]).path).created_by
    entry["sha256"] = "0" * 64
    assert problems(lake.sink(), manifest, tmp_path) != []
    entry["written_by"] = "parquet-cpp-arrow version 1.0.0"
    assert problems(lake.sink(), manifest, tmp_path) == []
    assert lake.sink().fetch(manifest, "plan_items", tmp_path / "back").rows == 2
    entry["rows"] = 3
    assert problems(lake.sink(), manifest, tmp_path) != []


def test_many_small_plans_are_read_back_side_by_side(lake: Lake, tmp_path: Path) -> None:
    """In any order, by several threads, also where somebody has landed another plan since the table was looked at."""
    plans = {f"p{number:02}": [f"{row}" for row in range(number % 7)] for number in range(60)}
    manifests = land(lake.sink(), tmp_path, plans)
    sink = lake.sink()
    with ThreadPoolExecutor(4) as pool:
        fetched = list(
            pool.map(lambda each: sink.fetch(each, "plan_items", tmp_path / each["plan_id"]), manifests[::-1])
        )
    assert [file.rows for file in fetched] == [manifest["rows"] for manifest in manifests[::-1]]
    for manifest in (*land(lake.sink(), tmp_path, {"p03": ["new"]}), *land(lake.sink(), tmp_path, {"x": ["1"]})):
        assert sink.fetch(manifest, "plan_items", tmp_path / "later").rows == 1
        (tmp_path / "later").unlink()


def test_the_usual_readers_see_labels_and_plans_alike(lake: Lake, tmp_path: Path) -> None:
    """DuckDB, Polars, pyarrow: some take the label from the path, some from the log, whatever characters it has."""
    labels = ["2026-01-01", "2026-01-02T00+01@x._-y"]
    for label in labels:
        land(lake.sink(), tmp_path, {"a": ["1", "2"], "b": ["3"]}, label)
    expected = [(label, plan, row) for label in labels for plan, row in (("a", "1"), ("a", "2"), ("b", "3"))]
    assert lake.ids() == expected
    items = lake.in_polars().sort("snapshot", "plan", "position").select("snapshot", "plan", "id")
    assert items.collect().rows() == expected
    assert lake.in_polars().filter(pl.col("snapshot") == labels[1]).select(pl.len()).collect().item() == 3
    rows = lake.dataset()
    query = "select snapshot, plan, id from rows where snapshot = $1 order by plan, position"
    assert duckdb.execute(query, [labels[1]]).fetchall() == expected[3:]
    assert rows.count_rows(filter=pa.compute.field("snapshot") == labels[1]) == 3


def test_a_row_group_that_is_too_large_for_memory_is_filtered_while_it_is_read(lake: Lake, tmp_path: Path) -> None:
    """Rows of a megabyte each, of two plans in one row group."""
    plans = {plan: [item(f"{plan}{number}", description=f"{number}" * 2**20) for number in range(20)] for plan in "ab"}
    manifests = land(lake.sink(), tmp_path, plans)
    assert [problems(lake.sink(), manifest, tmp_path) for manifest in manifests] == [[], []]


@pytest.mark.slow
def test_a_large_commit_has_several_data_files(lake: Lake, tmp_path: Path) -> None:
    """The next one begins where one has 128 MiB; all are in the one commit, and replaced like any other."""
    chance = random.Random(0)

    def text() -> str:  # that no compression makes smaller than three quarters
        return base64.b64encode(chance.randbytes(4_500)).decode()

    plans = {plan: [item(f"{number}", description=text()) for number in range(3 * ROW_GROUP)] for plan in "abc"}
    manifests = land(lake.sink(), tmp_path, plans)
    assert len(lake.files()) == 2
    assert lake.commits() == 1
    assert [problems(lake.sink(), manifest, tmp_path) for manifest in manifests] == [[], [], []]
    land(lake.sink(), tmp_path, {"a": ["1"], "c": ["1"]})
    assert [(plan, id_) for _, plan, id_ in lake.ids() if plan != "b"] == [("a", "1"), ("c", "1")]
    assert problems(lake.sink(), manifests[1], tmp_path) == []
