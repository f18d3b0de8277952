"""The tables of a lake, declared once: what writing, documentation and verification know of their columns."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from airflow_provider_achieveit.lake.column_types import TIMESTAMP
from airflow_provider_achieveit.lake.layout import PLAN_ITEMS_TABLE
from airflow_provider_achieveit.lake.schema import PLAN_ITEMS
from airflow_provider_achieveit.lake.table_file import TableWriter

#: Name of the table of what changed since the snapshot before.
CHANGES_TABLE = "plan_item_changes"

PLAN_ITEM_CHANGES = pa.schema(
    [
        ("plan_id", pa.string()),
        ("item_id", pa.string()),
        ("item_name", pa.string()),
        ("change", pa.string()),
        ("field", pa.string()),
        ("field_kind", pa.string()),
        ("old_value", pa.string()),
        ("new_value", pa.string()),
        ("from_snapshot", pa.string()),
        ("to_snapshot", pa.string()),
        ("detected_at", TIMESTAMP.arrow),
    ]
)


@dataclass(frozen=True)
class ChildTable:
    """A table with a row for each entry of a list column of `plan_items`.

    Attributes:
        name: Name of the table.
        column: The list column of `plan_items`.
        inner: Name of the list inside the entries of that list, for a table of those.
    """

    name: str
    column: str
    inner: str | None = None

    @property
    def fields(self) -> list[pa.Field]:
        """The columns that are an entry's own fields; lists among them are other tables."""
        entry = PLAN_ITEMS.field(self.column).type.value_type
        if self.inner is not None:
            entry = entry.field(self.inner).type.value_type
        return [field for field in entry if not pa.types.is_list(field.type)]

    @property
    def schema(self) -> pa.Schema:
        """The columns: what an entry belongs to, its index in the list, and its own fields."""
        parent = [("plan_id", pa.string()), ("item_id", pa.string()), ("position", pa.int32())]
        if self.inner is not None:
            parent.append(("checklist_id", pa.string()))
        return pa.schema([*parent, *((field.name, field.type) for field in self.fields)])


CHILD_TABLES = (
    ChildTable("plan_item_members", "members"),
    ChildTable("plan_item_admins", "admins"),
    ChildTable("plan_item_tags", "tags"),
    ChildTable("plan_item_metric_goals", "advanced_metric_goals"),
    ChildTable("plan_item_checklists", "checklists"),
    ChildTable("plan_item_checklist_items", "checklists", "items"),
)

#: The columns of every table, by its name.
SCHEMAS: dict[str, pa.Schema] = {
    PLAN_ITEMS_TABLE: PLAN_ITEMS,
    CHANGES_TABLE: PLAN_ITEM_CHANGES,
    **{child.name: child.schema for child in CHILD_TABLES},
}

#: What a row of each table is, for people.
DESCRIPTIONS: dict[str, str] = {
    PLAN_ITEMS_TABLE: "A row for each item of a plan, as the AchieveIt API gave it, in each snapshot.",
    CHANGES_TABLE: "A row for each change of an item since the snapshot before.",
    **{child.name: "A row for each entry of a list of plan_items." for child in CHILD_TABLES},
}


def schema_hash(schema: Iterable[pa.Field]) -> str:
    """Return the SHA-256 of names and types of the columns, in hex."""
    return hashlib.sha256(json.dumps([[field.name, str(field.type)] for field in schema]).encode()).hexdigest()


def table_schema(table: str, plan_id: str) -> pa.Schema:
    """Return the schema of one plan's file of a table, with the plan id and the schema's hash as metadata."""
    schema = SCHEMAS[table]
    return schema.with_metadata({"achieveit.plan_id": plan_id, "achieveit.schema_hash": schema_hash(schema)})


def table_writer(table: str, plan_id: str, path: Path) -> TableWriter:
    """Return a writer of one plan's file of a derived table.

    Text is noted in statistics only where it is sorted, since only there an engine can skip row groups by it.
    """
    schema = table_schema(table, plan_id)
    text = [field.name for field in schema if pa.types.is_string(field.type)]
    statistics = [name for name in schema.names if name not in text]
    if table == CHANGES_TABLE:
        statistics.append("item_id")
    # Parquet paths: a list's column is none, but no derived table has one.
    return TableWriter(path, schema, dictionary=text, statistics=statistics)
