"""The table of changes: what counts as one, how it is written, and what is left alone."""

import json
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.lake.table_file import TableFile
from airflow_provider_achieveit.lake.tables.changes import is_comparable, no_changes, problems
from airflow_provider_achieveit.lake.tables.declared import SCHEMAS
from tests.lake.items import Raw, item
from tests.lake.tables.support import DETECTED_AT, compare, rows, snapshot

ANN, BOB = {"id": "u1", "name": "Ann", "type": "User"}, {"id": "u2", "name": "Bob", "type": "User"}


def changes(directory: Path, old: dict[str, Any], new: dict[str, Any]) -> list[tuple[str, str | None, str | None]]:
    """Column, old and new value of each change between two states of one item."""
    table, _ = compare(snapshot(directory, item(**old)), snapshot(directory, item(**new)))
    return [(row["field"], row["old_value"], row["new_value"]) for row in rows(table)]


def test_a_change_says_which_item_and_which_snapshots(tmp_path: Path) -> None:
    """Every column of the contract, in its order."""
    old, new = item(name="Grow", level="Goal"), item(name="Grow more", level="Goal")
    table, counts = compare(snapshot(tmp_path, old), snapshot(tmp_path, new))
    assert rows(table) == [
        {
            "plan_id": "p",
            "item_id": "a",
            "item_name": "Grow more",
            "change": "changed",
            "field": "name",
            "field_kind": "edited",
            "old_value": '"Grow"',
            "new_value": '"Grow more"',
            "from_snapshot": "monday",
            "to_snapshot": "tuesday",
            "detected_at": DETECTED_AT,
        }
    ]
    assert counts == {"added": 0, "removed": 0, "changed": 1}
    schema = pq.read_schema(table.path)
    assert schema.equals(SCHEMAS["plan_item_changes"])
    assert schema.metadata[b"achieveit.plan_id"] == b"p"


def test_the_first_snapshot_adds_all_items(tmp_path: Path) -> None:
    """There is no snapshot before, and no field, kind or value."""
    table, counts = compare(None, snapshot(tmp_path, item(id="b", name="B"), item(id="a", name=None)))
    assert [(row["item_id"], row["item_name"], row["change"]) for row in rows(table)] == [
        ("a", None, "added"),
        ("b", "B", "added"),
    ]
    nulls = ("field", "field_kind", "old_value", "new_value", "from_snapshot")
    assert {row[name] for row in rows(table) for name in nulls} == {None}
    assert counts == {"added": 2, "removed": 0, "changed": 0}


def test_an_item_goes_and_comes_back(tmp_path: Path) -> None:
    """Removed under its last name, once; later added, once."""
    other = item(id="b")
    states = [snapshot(tmp_path, *items) for items in ([item(name="A"), other], [other], [other], [item(), other])]
    steps = [rows(compare(old, new)[0]) for old, new in pairwise(states)]
    assert [[(row["item_id"], row["item_name"], row["change"]) for row in step] for step in steps] == [
        [("a", "A", "removed")],
        [],
        [("a", None, "added")],
    ]


def test_rows_are_sorted_by_item_and_field(tmp_path: Path) -> None:
    """Whatever the order of the items and of the columns."""
    old = [item(id=name, name="x", status=1, level="x") for name in "cabd"]
    new = [item(id=name, name="y", status=2, level="y") for name in "bcae"]
    table, counts = compare(snapshot(tmp_path, *old, row_group=2), snapshot(tmp_path, *new, row_group=1))
    fields = ["level", "name", "status"]
    assert [(row["item_id"], row["field"]) for row in rows(table)] == [
        *((item_id, field) for item_id in "abc" for field in fields), ("d", None), ("e", None),
    ]  # fmt: skip
    assert counts == {"added": 1, "removed": 1, "changed": 3}


@pytest.mark.parametrize(
    ("old", "new"),
    [
        pytest.param({"target": "1.50"}, {"target": "1.5"}, id="decimals by value"),
        pytest.param({"target": "0"}, {"target": "-0.00"}, id="zeros"),
        pytest.param({"due": "2026-01-01"}, {"due": "2026-01-01T01:00:00+01:00"}, id="times by moment"),
        pytest.param({"description": None}, {}, id="null and missing"),
        pytest.param({"members": None}, {"members": []}, id="null list and empty list"),
        pytest.param({"checklists": [{"id": "c"}]}, {"checklists": [{"id": "c", "items": []}]}, id="inner lists"),
        pytest.param({"members": [ANN, BOB]}, {"members": [BOB, ANN]}, id="members are a set"),
        pytest.param({"admins": [ANN, BOB]}, {"admins": [BOB, ANN]}, id="admins are a set"),
        pytest.param({"tags": [{"id": "x"}, {"id": "y"}]}, {"tags": [{"id": "y"}, {"id": "x"}]}, id="tags are a set"),
        pytest.param(
            {"checklists": [{"id": "c", "sortIndex": 1}, {"id": "d", "sortIndex": 2}]},
            {"checklists": [{"id": "d", "sortIndex": 2}, {"id": "c", "sortIndex": 1}]},
            id="checklists by sort index",
        ),
        pytest.param(
            {"checklists": [{"id": "c", "items": [{"id": "i", "sortIndex": 1}, {"id": "j", "sortIndex": 2}]}]},
            {"checklists": [{"id": "c", "items": [{"id": "j", "sortIndex": 2}, {"id": "i", "sortIndex": 1}]}]},
            id="checklist items by sort index",
        ),
        pytest.param(
            {"advancedMetricGoals": [{"goalId": "g", "sortOrder": 1}, {"goalId": "h", "sortOrder": 2}]},
            {"advancedMetricGoals": [{"goalId": "h", "sortOrder": 2}, {"goalId": "g", "sortOrder": 1}]},
            id="metric goals by sort order",
        ),
        pytest.param(
            {"advancedMetricGoals": [{"metricBucketValue": Raw("-0.0")}]},
            {"advancedMetricGoals": [{"metricBucketValue": Raw("0")}]},
            id="zeros of a double",
        ),
        pytest.param(
            {"rowNumber": 1, "sequenceId": "1.1", "planName": "A"},
            {"rowNumber": 9, "sequenceId": "2", "planName": "B"},
            id="positions and the plan's name",
        ),
        pytest.param(
            {"extra": Raw('{"a": 1.50, "b": [true]}'), "more": 1},
            {"more": 1, "extra": Raw('{"b":[true],"a":15e-1}')},
            id="rescued values as JSON",
        ),
    ],
)
def test_what_means_the_same_is_no_change(tmp_path: Path, old: dict[str, Any], new: dict[str, Any]) -> None:
    """Compared are typed values."""
    assert changes(tmp_path, old, new) == []
    assert changes(tmp_path, new, old) == []


@pytest.mark.parametrize(
    ("old", "new", "found"),
    [
        ({"name": "A"}, {"name": None}, ("name", '"A"', None)),
        ({"description": None}, {"description": ""}, ("description", None, '""')),
        ({"description": "null"}, {}, ("description", '"null"', None)),
        ({"description": 'é "'}, {"description": "&amp;"}, ("description", '"é \\""', '"&amp;"')),
        ({"status": 1}, {"status": -2}, ("status", "1", "-2")),
        ({"isOrphan": False}, {"isOrphan": True}, ("is_orphan", "false", "true")),
        ({"target": "1.50"}, {"target": "0.000000001"}, ("target", "1.5", "0.000000001")),
        ({"target": "1000"}, {"target": "-0.5"}, ("target", "1000", "-0.5")),
        (
            {"due": "2026-01-01T01:02:03.1234567Z"}, {"due": "0001-01-01"},
            ("due", '"2026-01-01T01:02:03.123456Z"', '"0001-01-01T00:00:00.000000Z"'),
        ),
        ({"tags": [None]}, {"tags": []}, ("tags", "[null]", None)),
        ({"extra": 1}, {"extra": True}, ("_rescued_data", '{"extra": 1}', '{"extra": true}')),
        ({"extra": "1"}, {}, ("_rescued_data", '{"extra": "1"}', None)),
        ({"extra": Raw("5e-1")}, {"extra": Raw("0.51")}, ("_rescued_data", '{"extra": 5e-1}', '{"extra": 0.51}')),
    ],
)  # fmt: skip
def test_a_change_is_written_as_json_text(
    tmp_path: Path, old: dict[str, Any], new: dict[str, Any], found: tuple[str, str | None, str | None]
) -> None:
    """Null and an empty list are SQL null; everything else is JSON that reads back as the value."""
    assert changes(tmp_path, old, new) == [found]
    for text in found[1:]:
        assert text is None or json.loads(text) is not None


def entry(column: str, **values: Any) -> str:
    """An entry of a list column as JSON text: every field of the table, in its order."""
    names = [field.name for field in PLAN_ITEMS.field(column).type.value_type]
    return json.dumps({name: values.get(name, [] if name == "items" else None) for name in names})


def test_the_entries_of_a_set_are_in_the_order_of_their_ids(tmp_path: Path) -> None:
    """The same id with another name is a change, and so is an id that stands there once more."""
    ann, bob, anna = (entry("members", **person) for person in (ANN, BOB, {**ANN, "name": "Anna"}))
    assert changes(tmp_path, {"members": [BOB, ANN]}, {"members": [{**ANN, "name": "Anna"}]}) == [
        ("members", f"[{ann}, {bob}]", f"[{anna}]")
    ]
    assert changes(tmp_path, {"members": [ANN]}, {"members": [ANN, ANN]}) == [
        ("members", f"[{ann}]", f"[{ann}, {ann}]")
    ]


def test_the_entries_of_a_list_are_in_the_order_of_their_sort_index(tmp_path: Path) -> None:
    """As numbers; an entry without one comes last. Moving an entry is a change of its index."""
    goals = [{"goalId": "a", "sortOrder": 10}, {"goalId": "c"}, {"goalId": "b", "sortOrder": 9}]
    orders = {"a": 10, "b": 9, "c": None}
    a, b, c = (entry("advanced_metric_goals", goal_id=name, sort_order=order) for name, order in orders.items())
    moved = entry("advanced_metric_goals", goal_id="a", sort_order=8)
    assert changes(
        tmp_path, {"advancedMetricGoals": goals}, {"advancedMetricGoals": [{"goalId": "a", "sortOrder": 8}]}
    ) == [("advanced_metric_goals", f"[{b}, {a}, {c}]", f"[{moved}]")]


def test_lists_inside_lists_are_written_in_the_same_way(tmp_path: Path) -> None:
    """A step that was done is a change of the item's checklists."""
    steps = [{"id": "i", "sortIndex": 2}, {"id": "h", "sortIndex": 1}]
    done = [{**steps[0], "doneOn": "2026-01-01"}, steps[1]]
    [(column, old, new)] = changes(
        tmp_path, {"checklists": [{"id": "c", "items": steps}]}, {"checklists": [{"id": "c", "items": done}]}
    )
    first, last = {"id": "h", "name": None, "sort_index": 1}, {"id": "i", "name": None, "sort_index": 2}
    moment = "2026-01-01T00:00:00.000000Z"
    assert column == "checklists"
    assert old == f"[{entry(column, id='c', items=[{**first, 'done_on': None}, {**last, 'done_on': None}])}]"
    assert new == f"[{entry(column, id='c', items=[{**first, 'done_on': None}, {**last, 'done_on': moment}])}]"


def test_a_value_that_does_not_fit_any_more_is_two_changes(tmp_path: Path) -> None:
    """The column loses it, and `_rescued_data` has it now."""
    assert changes(tmp_path, {"target": "5"}, {"target": "five"}) == [
        ("_rescued_data", None, '{"target": "five"}'),
        ("target", "5", None),
    ]


def test_what_moves_with_the_calendar_is_not_edited(tmp_path: Path) -> None:
    """It is of another kind, and an item that differs in nothing else is not counted as changed."""
    old = [item(id="a", isPastDue=False, lateUpdates=0, pendingUpdates=1), item(id="b", isPastDue=False)]
    new = [item(id="a", isPastDue=True, lateUpdates=1, pendingUpdates=0), item(id="b", isPastDue=True, updates=1)]
    table, counts = compare(snapshot(tmp_path, *old), snapshot(tmp_path, *new))
    assert [(row["item_id"], row["field"], row["field_kind"]) for row in rows(table)] == [
        ("a", "is_past_due", "clock"),
        ("a", "late_updates", "clock"),
        ("a", "pending_updates", "clock"),
        ("b", "is_past_due", "clock"),
        ("b", "updates", "edited"),
    ]
    assert counts == {"added": 0, "removed": 0, "changed": 1}


def test_an_insertion_at_the_top_is_one_added_row(tmp_path: Path) -> None:
    """Although it renumbers the 3,000 items below."""
    items = [item(id=f"i{number}", rowNumber=number, sequenceId=str(number)) for number in range(3_000)]
    lower = [{**old, "rowNumber": old["rowNumber"] + 1, "sequenceId": str(old["rowNumber"] + 1)} for old in items]
    old = snapshot(tmp_path, *items, row_group=1_000)
    table, counts = compare(old, snapshot(tmp_path, item(id="top", rowNumber=0), *lower, row_group=1_000))
    assert [(row["item_id"], row["change"]) for row in rows(table)] == [("top", "added")]
    assert counts == {"added": 1, "removed": 0, "changed": 0}


def test_changes_of_many_row_groups_in_another_order(tmp_path: Path) -> None:
    """Every item is elsewhere than before, and differs."""
    names = [f"i{number * 7919 % 10_000}" for number in range(10_000)]
    old = snapshot(tmp_path, *(item(id=name, status=1, name=name) for name in sorted(names)), row_group=1_000)
    new = snapshot(tmp_path, *(item(id=name, status=2, name=name) for name in names), row_group=900)
    table, counts = compare(old, new)
    found = pq.read_table(table.path, columns=["item_id", "item_name", "field", "old_value", "new_value"])
    assert found.column("item_id").to_pylist() == sorted(names)
    assert found.column("item_name").equals(found.column("item_id"))
    assert [set(found.column(name).to_pylist()) for name in ("field", "old_value", "new_value")] == [
        {"status"}, {"1"}, {"2"},
    ]  # fmt: skip
    assert counts == {"added": 0, "removed": 0, "changed": 10_000}


def test_changes_of_more_bytes_than_are_compared_together(tmp_path: Path) -> None:
    """Long descriptions, in another order than before: no item is lost between two blocks, or comes twice."""

    def long(*items: dict[str, Any]) -> TableFile:
        """A snapshot of these items with descriptions of 14 MB."""
        table = pq.read_table(snapshot(tmp_path, *items).path)
        texts = pa.array([old["id"] + "x" * 14 * 2**20 for old in items], pa.string())
        table = table.set_column(table.schema.get_field_index("description"), "description", texts)
        pq.write_table(table, path := tmp_path / f"long-{items[0]['id']}.parquet", row_group_size=1)
        return TableFile("plan_items", path, table.num_rows)

    old = [item(id=name, status=1) for name in "abcdef"]
    new = [item(id=name, status=2) for name in "gfedcb"]
    table, counts = compare(long(*old), long(*new))
    assert [(row["item_id"], row["change"], row["field"]) for row in rows(table)] == [
        ("a", "removed", None), *((name, "changed", "status") for name in "bcdef"), ("g", "added", None),
    ]  # fmt: skip
    assert counts == {"added": 1, "removed": 1, "changed": 5}


def test_a_rerun_gives_the_same_bytes_but_for_the_time(tmp_path: Path) -> None:
    """However the files lie in row groups; and nothing but the table is left behind."""
    old, new = [item(id=name, name="x") for name in "abcd"], [item(id=name, name=name) for name in "bcde"]
    first, _ = compare(snapshot(tmp_path, *old), snapshot(tmp_path, *new))
    second, _ = compare(snapshot(tmp_path, *old, row_group=1), snapshot(tmp_path, *new, row_group=3))
    assert first.sha256 == second.sha256
    assert list(first.path.parent.iterdir()) == [first.path]
    later, _ = compare(
        snapshot(tmp_path, *old), snapshot(tmp_path, *new), detected_at=DETECTED_AT + timedelta(microseconds=1)
    )
    assert later.sha256 != first.sha256
    assert rows(later)[0]["detected_at"] - rows(first)[0]["detected_at"] == timedelta(microseconds=1)


def test_an_unproven_snapshot_has_a_table_without_rows(tmp_path: Path) -> None:
    """With its schema and metadata."""
    table = no_changes("p", tmp_path)
    assert rows(table) == []
    assert pq.read_schema(table.path).equals(SCHEMAS["plan_item_changes"])
    assert pq.read_schema(table.path).metadata[b"achieveit.plan_id"] == b"p"


def test_plans_without_items(tmp_path: Path) -> None:
    """An empty plan compares with an empty one, and with one that was not."""
    empty, full = snapshot(tmp_path), snapshot(tmp_path, item())
    assert compare(None, empty)[0].rows == compare(empty, empty)[0].rows == 0
    assert [row["change"] for row in rows(compare(empty, full)[0])] == ["added"]
    assert [row["change"] for row in rows(compare(full, empty)[0])] == ["removed"]


def test_only_snapshots_with_the_same_columns_are_comparable(tmp_path: Path) -> None:
    """Names and types; not their order, nor the metadata."""
    assert is_comparable(pq.read_schema(snapshot(tmp_path, item()).path))
    assert is_comparable(pa.schema(list(reversed(PLAN_ITEMS))))
    assert not is_comparable(PLAN_ITEMS.remove(3))
    assert not is_comparable(PLAN_ITEMS.append(pa.field("another", pa.string())))
    assert not is_comparable(PLAN_ITEMS.set(0, pa.field("id", pa.large_string())))
    assert is_comparable(PLAN_ITEMS.remove(3), PLAN_ITEMS.remove(3))


def test_problems_of_a_table_of_changes(tmp_path: Path) -> None:
    """None of the right one; of another, which item's change is not what the snapshots say."""
    old, new = snapshot(tmp_path, item(name="x")), snapshot(tmp_path, item(name="y"))
    right, counts = compare(old, new)
    labels = {"plan_id": "p", "from_snapshot": "monday", "to_snapshot": "tuesday"}

    def found(table: Any, detected_at: datetime = DETECTED_AT, **wrong: int) -> list[str]:
        directory = tmp_path / f"check-{len(list(tmp_path.iterdir()))}"
        directory.mkdir()
        return list(
            problems(
                old, new, table, detected_at=detected_at, counts={**counts, **wrong}, directory=directory, **labels
            )
        )

    assert found(right) == []
    other, _ = compare(old, snapshot(tmp_path, item(name="z")))
    message = "the change of item 'a', field 'name', is missing or is not what the two snapshots say"
    assert found(other) == [message]
    assert found(right, datetime(2020, 1, 1, tzinfo=UTC)) == [message]
    [count] = found(right, removed=1)
    assert "'removed': 1" in count
    assert "'removed': 0" in count
    assert found(no_changes("p", tmp_path)) == ["there are 0 changes, and the two snapshots differ by 1"]
