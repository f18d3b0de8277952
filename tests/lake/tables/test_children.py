"""Child tables: a row for each entry of a list, and what it belongs to."""

from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from airflow_provider_achieveit.lake.schema import PLAN_ITEMS, SCHEMA_HASH
from airflow_provider_achieveit.lake.tables.children import child_tables
from airflow_provider_achieveit.lake.tables.declared import CHILD_TABLES, SCHEMAS, schema_hash, table_schema
from airflow_provider_achieveit.sandbox.generate import generate_items, plan_name
from tests.lake.items import item
from tests.lake.tables.support import rows, snapshot

NAMES = [child.name for child in CHILD_TABLES]


def children(directory: Path, *items: Any, row_group: int = 6_000) -> dict[str, list[dict[str, Any]]]:
    """The rows of the child tables of a plan with these items, by table."""
    found = snapshot(directory, *items, row_group=row_group)
    target = directory / f"children-{found.path.stem}"
    target.mkdir()
    return {table.table: rows(table) for table in child_tables(found, "p", target)}


def test_every_list_is_a_table(tmp_path: Path) -> None:
    """Its entries have their own fields, typed as in the nested column, the item's id and their index."""
    found = children(
        tmp_path,
        item(
            members=[{"id": "u1", "name": "Ann", "type": "User"}, {"id": "t1", "name": "IT", "type": "Team"}],
            admins=[{"id": "u2", "name": "Bob", "type": "User"}],
            tags=[{"id": "x", "organizationId": "o", "name": "2026"}],
            advancedMetricGoals=[{"goalId": "g", "goalName": "G", "metricBucketValue": 1.5, "sortOrder": 3}],
            checklists=[
                {"id": "c", "name": "C", "sortIndex": 2, "items": [{"id": "i"}, {"id": "j", "doneOn": "2026-01-01"}]}
            ],
        ),
    )
    of_a = {"plan_id": "p", "item_id": "a"}
    step = {**of_a, "checklist_id": "c", "name": None, "sort_index": None, "done_on": None}
    assert found == {
        "plan_item_members": [
            {**of_a, "position": 0, "id": "u1", "name": "Ann", "type": "User"},
            {**of_a, "position": 1, "id": "t1", "name": "IT", "type": "Team"},
        ],
        "plan_item_admins": [{**of_a, "position": 0, "id": "u2", "name": "Bob", "type": "User"}],
        "plan_item_tags": [{**of_a, "position": 0, "id": "x", "organization_id": "o", "name": "2026"}],
        "plan_item_metric_goals": [
            {
                **of_a, "position": 0, "goal_id": "g", "goal_name": "G", "goal_color": None, "metric_bucket_value": 1.5,
                "sort_order": 3,
            }
        ],
        "plan_item_checklists": [{**of_a, "position": 0, "id": "c", "name": "C", "sort_index": 2}],
        "plan_item_checklist_items": [
            {**step, "position": 0, "id": "i"},
            {**step, "position": 1, "id": "j", "done_on": datetime(2026, 1, 1, tzinfo=UTC)},
        ],
    }  # fmt: skip


def test_columns_and_metadata_of_each_table(tmp_path: Path) -> None:
    """Also of a table without rows: the contract's columns, the plan's id, and a hash of the table's own schema."""
    for table in child_tables(snapshot(tmp_path), "p", tmp_path):
        schema = pq.read_schema(table.path)
        assert table.rows == 0
        assert schema.equals(SCHEMAS[table.table])
        assert schema.names[:3] == ["plan_id", "item_id", "position"]
        assert schema.field("position").type == pa.int32()
        assert schema.metadata[b"achieveit.plan_id"] == b"p"
        assert schema.metadata[b"achieveit.schema_hash"].decode() == schema_hash(SCHEMAS[table.table])
    assert SCHEMAS["plan_item_checklist_items"].names[3:] == ["checklist_id", "id", "name", "sort_index", "done_on"]
    assert "items" not in SCHEMAS["plan_item_checklists"].names


def test_the_hash_of_plan_items_is_the_one_in_its_files() -> None:
    """All tables are declared in one place, with one way to hash a schema."""
    assert SCHEMAS["plan_items"] is PLAN_ITEMS
    assert table_schema("plan_items", "p").metadata[b"achieveit.schema_hash"].decode() == SCHEMA_HASH


def test_null_lists_and_empty_lists_have_no_rows(tmp_path: Path) -> None:
    """Also between others, and inside a checklist."""
    ann, bob = {"id": "u1"}, {"id": "u2"}
    lists = {"a": [ann], "b": None, "c": [], "d": [bob, ann], "e": None}
    found = children(
        tmp_path,
        *(
            item(id=name, members=members, checklists=[{"id": name, "items": members}])
            for name, members in lists.items()
        ),
        row_group=2,
    )
    wanted = [("a", 0, "u1"), ("d", 0, "u2"), ("d", 1, "u1")]
    assert [(row["item_id"], row["position"], row["id"]) for row in found["plan_item_members"]] == wanted
    steps = found["plan_item_checklist_items"]
    assert [(row["item_id"], row["position"], row["id"]) for row in steps] == wanted
    assert [row["checklist_id"] for row in steps] == ["a", "d", "d"]
    assert [row["item_id"] for row in found["plan_item_checklists"]] == list("abcde")


def test_an_entry_that_is_no_object_keeps_its_position(tmp_path: Path) -> None:
    """Its own fields are null; a checklist of that kind has no items; what stood there is in `_rescued_data`."""
    found = children(
        tmp_path, item(members=[{"id": "u1"}, None, 7, {"id": "u2"}], checklists=[None, {"items": [None, {"id": "i"}]}])
    )
    assert [(row["position"], row["id"]) for row in found["plan_item_members"]] == [
        (0, "u1"), (1, None), (2, None), (3, "u2"),
    ]  # fmt: skip
    assert [row["position"] for row in found["plan_item_checklists"]] == [0, 1]
    assert [(row["checklist_id"], row["position"], row["id"]) for row in found["plan_item_checklist_items"]] == [
        (None, 0, None), (None, 1, "i"),
    ]  # fmt: skip


def test_the_nested_columns_can_be_made_again(tmp_path: Path) -> None:
    """For a made-up plan, however its file lies in row groups, and with the same bytes each time."""
    generated = generate_items("p", plan_name("p", 0), 0)
    items = [next(generated)[1] for _ in range(60)]
    once, again = snapshot(tmp_path, *items, row_group=7), snapshot(tmp_path, *items)
    tables = {}
    for number, source in enumerate((once, again)):
        (directory := tmp_path / str(number)).mkdir()
        tables[number] = {table.table: table for table in child_tables(source, "p", directory)}
    assert [table.sha256 for table in tables[0].values()] == [table.sha256 for table in tables[1].values()]
    entries = {name: rows(table) for name, table in tables[0].items()}
    for nested in pq.read_table(once.path).to_pylist():
        for child in CHILD_TABLES:
            own = [row for row in entries[child.name] if row["item_id"] == nested["id"]]
            lists = [nested[child.column]]
            if child.inner is not None:
                lists = [checklist[child.inner] for checklist in nested[child.column]]
            wanted = [(position, entry) for entries in lists for position, entry in enumerate(entries)]
            fields = [field.name for field in child.fields]
            assert [(row["position"], [row[field] for field in fields]) for row in own] == [
                (position, [entry[field] for field in fields]) for position, entry in wanted
            ]
    assert all(entries[name] for name in NAMES)
