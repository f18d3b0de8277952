"""Previous + changes = current, for random plans: the values are applied as a reader of the table would."""

import json
import tempfile
from collections.abc import Sequence
from datetime import datetime
from decimal import Context, Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from airflow_provider_achieveit.lake.schema import RESCUED
from airflow_provider_achieveit.lake.table_file import TableFile
from tests.lake.items import Raw, item
from tests.lake.tables.support import compare, rows, snapshot

POSITIONS = ("row_number", "sequence_id", "plan_name")

texts = st.sampled_from(["", "x", "y", "null", 'é"', "&amp;"])
numbers = st.sampled_from(["0", "1.5", "1.50", "-0.000000001", "9" * 29, "none"])
moments = st.sampled_from(["2026-01-01", "2026-01-01T00:00:00.1234567Z", "0001-01-01", "soon"])
indices = st.sampled_from([None, 0, 1, 2, "3"])
people = st.fixed_dictionaries({}, optional={"id": st.sampled_from("abc"), "name": texts, "type": texts, "odd": texts})
steps = st.fixed_dictionaries({}, optional={"id": st.sampled_from("abc"), "sortIndex": indices, "doneOn": moments})


def lists(entries: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    """A list of objects, in which other things stand as well."""
    return st.one_of(st.none(), st.lists(st.one_of(entries, entries, st.none(), st.just(7)), max_size=3))


checklists = st.fixed_dictionaries({}, optional={"id": texts, "sortIndex": indices, "items": lists(steps)})
goals = st.fixed_dictionaries(
    {}, optional={"goalId": texts, "metricBucketValue": st.sampled_from([0.5, Raw("-0.0"), 0]), "sortOrder": indices}
)
fields = st.fixed_dictionaries(
    {},
    optional={
        "name": st.one_of(st.none(), texts),
        "description": st.one_of(st.none(), texts),
        "target": numbers,
        "due": moments,
        "status": st.one_of(st.none(), st.integers(-1, 1)),
        "isPastDue": st.booleans(),
        "rowNumber": st.integers(0, 9),
        "planName": texts,
        "members": lists(people),
        "tags": lists(people),
        "checklists": lists(checklists),
        "advancedMetricGoals": lists(goals),
        "unknown": st.sampled_from([None, 1, True, "1", Raw("1.50"), Raw("15e-1"), [0], {"a": 1, "b": 2}]),
    },
)
plans = st.lists(st.tuples(st.sampled_from("abcdefghijkl"), fields), unique_by=lambda pair: pair[0], max_size=10).map(
    lambda pairs: [item(**{**values, "id": item_id}) for item_id, values in pairs]
)
row_groups = st.sampled_from([2, 1_000])


def with_lists_reversed(old: dict[str, Any]) -> dict[str, Any]:
    """The same item in another order, which is no change."""
    return {key: value[::-1] if isinstance(value, list) else value for key, value in old.items()}


@st.composite
def later(draw: st.DrawFn, items: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A later state of a plan: most items as they were or edited, some gone, some new, perhaps in another order."""
    edits = st.one_of(st.just(dict), st.just(with_lists_reversed), fields.map(lambda new: lambda old: {**old, **new}))
    kept = [draw(edits)(old) for old in items if draw(st.integers(0, 4))]
    known = {old["id"] for old in kept}
    everything = kept + [new for new in draw(plans) if new["id"] not in known]
    return draw(st.permutations(everything)) if draw(st.booleans()) else everything


@settings(max_examples=40, deadline=None, derandomize=True, suppress_health_check=list(HealthCheck))
@given(st.data())
def test_previous_plus_changes_is_current(data: st.DataObject) -> None:
    """Also along a chain of snapshots, from nothing on, with items that go and come back."""
    states = [data.draw(plans)]
    states += [data.draw(later(states[-1])), data.draw(st.one_of(later(states[0]), st.just([])))]
    with tempfile.TemporaryDirectory() as directory:
        files = [snapshot(Path(directory), *items, row_group=data.draw(row_groups)) for items in states]
        held: dict[str, dict[str, Any]] = {}
        for previous, current in zip([None, *files], files, strict=False):
            table, counts = compare(previous, current)
            changes = rows(table)
            after = items_of(current)
            assert set(held) | {row["item_id"] for row in changes} >= set(after)
            held = applied(held, changes, after)
            assert held == after
            assert counts == counted(changes)
            assert changes == sorted(changes, key=lambda row: (row["item_id"], row["field"] or ""))


def applied(
    held: dict[str, dict[str, Any]], changes: Sequence[dict[str, Any]], after: dict[str, dict[str, Any]]
) -> dict[str, dict[str, Any]]:
    """Apply changes to a snapshot's items; the values of an added item are those of the snapshot it is in."""
    items = {item_id: dict(values) for item_id, values in held.items()}
    for row in changes:
        item_id, change, column = row["item_id"], row["change"], row["field"]
        if change == "added":
            assert item_id not in items
            items[item_id] = after[item_id]
        elif change == "removed":
            del items[item_id]
        else:
            old, new = (None if row[name] is None else read_json(row[name]) for name in ("old_value", "new_value"))
            assert items[item_id][column] == old != new
            items[item_id][column] = new
    return items


def counted(changes: Sequence[dict[str, Any]]) -> dict[str, int]:
    """The counts of the manifest, from the rows."""
    kinds = {(row["item_id"], row["change"]) for row in changes if row["field_kind"] != "clock"}
    return {change: sum(kind == change for _, kind in kinds) for change in ("added", "removed", "changed")}


def items_of(table: TableFile) -> dict[str, dict[str, Any]]:
    """A snapshot's items by id, their values in the form in which JSON values compare."""
    found = pq.read_table(table.path).drop_columns(list(POSITIONS))
    return {
        row["id"]: {name: value_of(value, found.schema.field(name)) for name, value in row.items()}
        for row in found.to_pylist()
    }


def value_of(value: Any, field: pa.Field) -> Any:
    """What a typed value is as JSON, read back."""
    if value is None or value == []:
        return None
    return read_json(value if field.name == RESCUED else json.dumps(plain(value)))


def plain(value: Any) -> Any:
    """Python's own types for what JSON has no type for; a null list in an object is an empty one."""
    if isinstance(value, dict):
        return {key: [] if inner is None and key == "items" else plain(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return [plain(inner) for inner in value]
    if isinstance(value, Decimal):
        return NUMBER + format(value, "f")
    if isinstance(value, datetime):
        return value.isoformat(timespec="microseconds").replace("+00:00", "Z")
    return value


NUMBER = "a number: "


def read_json(text: str) -> Any:
    """Read JSON; numbers by value, and lists without their order: their objects carry their sort index."""
    return unordered(json.loads(text, parse_int=Decimal, parse_float=Decimal))


def unordered(value: Any) -> Any:
    """The same for what compares as equal, and for nothing else."""
    if isinstance(value, dict):
        return {key: unordered(inner) for key, inner in value.items()}
    if isinstance(value, list):
        return sorted((unordered(inner) for inner in value), key=repr)
    if isinstance(value, Decimal):
        return ("number", value.normalize(Context(prec=99)) if value else Decimal(0))
    if isinstance(value, str) and value.startswith(NUMBER):
        return unordered(Decimal(value.removeprefix(NUMBER)))
    return value
