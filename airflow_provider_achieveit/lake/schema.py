"""The columns of `plan_items`, declared once: how the API writes a field, and which type it has in the lake."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

from airflow_provider_achieveit.lake.column_type import ColumnType
from airflow_provider_achieveit.lake.column_types import BOOL, DECIMAL, DOUBLE, INT32, TEXT, TIMESTAMP

#: Name of the column that keeps what no other column can hold.
RESCUED = "_rescued_data"


@dataclass(frozen=True)
class Field:
    """One field of an item, or of an object nested in it.

    Attributes:
        api_name: The name as the API spells it.
        type: The type of the column; for a list of objects, None.
        fields: The fields of the objects, for a list of objects.
        distinct: Whether nearly every item has a value of its own, so that a dictionary would cost time and room.
    """

    api_name: str
    type: ColumnType | None = None
    fields: tuple[Field, ...] = ()
    distinct: bool = False

    @cached_property
    def column(self) -> str:
        """The snake_case name: engines such as Athena fold case."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.api_name).lower()

    @cached_property
    def lake_type(self) -> pa.DataType:
        """The Arrow type in the lake."""
        if self.type is None:
            return pa.list_(pa.struct([(field.column, field.lake_type) for field in self.fields]))
        return self.type.arrow

    @cached_property
    def wire_type(self) -> pa.DataType:
        """The Arrow type in JSON: times and decimals are text there."""
        if self.type is None:
            return pa.list_(wire_item(self.fields))
        return self.type.wire


def wire_item(fields: Iterable[Field]) -> pa.StructType:
    """Return what pyarrow's JSON reader is told to expect of an object with these fields."""
    return pa.struct([(field.api_name, field.wire_type) for field in fields])


_PERSON = (
    Field("id", TEXT),
    Field("name", TEXT),
    Field("type", TEXT),
)
_METRIC_GOAL = (
    Field("goalId", TEXT, distinct=True),
    Field("goalName", TEXT),
    Field("goalColor", TEXT),
    Field("metricBucketValue", DOUBLE),
    Field("sortOrder", INT32),
)
_CHECKLIST_ITEM = (
    Field("id", TEXT, distinct=True),
    Field("name", TEXT),
    Field("sortIndex", INT32),
    Field("doneOn", TIMESTAMP),
)
_CHECKLIST = (
    Field("id", TEXT, distinct=True),
    Field("name", TEXT),
    Field("sortIndex", INT32),
    Field("items", fields=_CHECKLIST_ITEM),
)
_TAG = (
    Field("id", TEXT),
    Field("organizationId", TEXT),
    Field("name", TEXT),
)

#: The fields of an item, in the API's order ("Exporting Plan Items", section Response).
ITEM_FIELDS: tuple[Field, ...] = (
    Field("id", TEXT, distinct=True),
    Field("sourceId", TEXT, distinct=True),
    Field("rowNumber", INT32),
    Field("sequenceId", TEXT, distinct=True),
    Field("planId", TEXT),
    Field("planName", TEXT),
    Field("sourcePlanId", TEXT),
    Field("sourcePlanName", TEXT),
    Field("alignsTo", TEXT),
    Field("alignsToId", TEXT),
    Field("dependentOn", TEXT),
    Field("dependentOnId", TEXT),
    Field("levelId", TEXT),
    Field("level", TEXT),
    Field("name", TEXT, distinct=True),
    Field("indentedName", TEXT, distinct=True),
    Field("description", TEXT, distinct=True),
    Field("status", INT32),
    Field("statusName", TEXT),
    Field("start", TIMESTAMP),
    Field("due", TIMESTAMP),
    Field("created", TIMESTAMP),
    Field("hasMetric", BOOL),
    Field("hasAdvancedMetric", BOOL),
    Field("units", INT32),
    Field("detail", INT32),
    Field("baseline", DECIMAL),
    Field("target", DECIMAL),
    Field("currentValue", DECIMAL),
    Field("advancedMetricGoals", fields=_METRIC_GOAL),
    Field("lastUpdated", TIMESTAMP),
    Field("assignedToId", TEXT),
    Field("assignedToFullName", TEXT),
    Field("assignedById", TEXT),
    Field("assignedByFullName", TEXT),
    Field("members", fields=_PERSON),
    Field("admins", fields=_PERSON),
    Field("updateFrequency", TEXT),
    Field("updateFrequencyDescription", TEXT),
    Field("isPastDue", BOOL),
    Field("lateUpdates", INT32),
    Field("pendingUpdates", INT32),
    Field("updates", INT32),
    Field("lastCommentId", TEXT, distinct=True),
    Field("lastComment", TEXT, distinct=True),
    Field("lastUpdateCommentId", TEXT, distinct=True),
    Field("lastUpdateComment", TEXT, distinct=True),
    Field("files", INT32),
    Field("checklists", fields=_CHECKLIST),
    Field("tags", fields=_TAG),
    Field("isOrphan", BOOL),
)

#: The columns in the lake, without the metadata that depends on the plan.
PLAN_ITEMS = pa.schema([(field.column, field.lake_type) for field in ITEM_FIELDS] + [(RESCUED, pa.string())])

SCHEMA_HASH = hashlib.sha256(json.dumps([[field.name, str(field.type)] for field in PLAN_ITEMS]).encode()).hexdigest()


def _dictionary_columns(fields: tuple[Field, ...], prefix: str = "") -> Iterator[str]:
    for field in fields:
        if field.fields:
            yield from _dictionary_columns(field.fields, f"{prefix}{field.column}.list.element.")
        elif field.type in (TEXT, INT32) and not field.distinct:
            yield prefix + field.column


#: Parquet paths of the columns that get a dictionary: those that repeat few values.
DICTIONARY_COLUMNS = list(_dictionary_columns(ITEM_FIELDS))

#: Columns whose smallest and largest value are noted for each row group. Text is in no order that would let an engine
#: skip a row group, so it has none.
STATISTICS_COLUMNS = [field.column for field in ITEM_FIELDS if field.type not in (None, TEXT)]


def plan_schema(plan_id: str) -> pa.Schema:
    """Return the schema of one plan's file: the columns, with the plan id and the schema's hash as metadata."""
    return PLAN_ITEMS.with_metadata({"achieveit.plan_id": plan_id, "achieveit.schema_hash": SCHEMA_HASH})
