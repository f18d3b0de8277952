"""The columns of `plan_items`, declared once: how the API writes a field, and which type it has in the lake."""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property

import pyarrow as pa

TIMESTAMP = pa.timestamp("us", "UTC")
#: BigQuery's NUMERIC; also fits Snowflake, Athena, Spark and DuckDB.
DECIMAL = pa.decimal128(38, 9)

#: Name of the table of a plan's items.
PLAN_ITEMS_TABLE = "plan_items"

RESCUED = "_rescued_data"

#: One letter per field: how the lake types it. Capital S is text of which nearly every value is different.
_TYPES = {
    "s": pa.string(),
    "S": pa.string(),
    "i": pa.int32(),
    "b": pa.bool_(),
    "f": pa.float64(),
    "t": TIMESTAMP,
    "d": DECIMAL,
}


@dataclass(frozen=True)
class Field:
    """One field of an item, or of an object nested in it.

    Attributes:
        api_name: The name as the API spells it.
        type: The type in the lake; for a list of objects, None.
        fields: The fields of the objects, for a list of objects.
        repetitive: Whether few values make up the column.
    """

    api_name: str
    type: pa.DataType | None
    fields: tuple[Field, ...] = ()
    repetitive: bool = False

    @cached_property
    def column(self) -> str:
        """The snake_case name: engines such as Athena fold case."""
        return re.sub(r"(?<=[a-z])(?=[A-Z])", "_", self.api_name).lower()

    @cached_property
    def lake_type(self) -> pa.DataType:
        """The type of the column."""
        if self.type is not None:
            return self.type
        return pa.list_(pa.struct([(field.column, field.lake_type) for field in self.fields]))

    @cached_property
    def wire_type(self) -> pa.DataType:
        """The type in JSON: times and decimals are text there."""
        if self.type is None:
            return pa.list_(pa.struct([(field.api_name, field.wire_type) for field in self.fields]))
        return pa.string() if self.type in (TIMESTAMP, DECIMAL) else self.type


def _fields(text: str, **nested: tuple[Field, ...]) -> tuple[Field, ...]:
    """Parse `name:type` pairs; a name without a type is a list of the objects given under it."""
    pairs = [word.partition(":") for word in text.split()]
    return tuple(
        Field(name, _TYPES[kind], repetitive=kind in "si") if kind else Field(name, None, nested[name])
        for name, _, kind in pairs
    )


_PERSON = _fields("id:s name:s type:s")

#: The fields of an item, in the API's order ("Exporting Plan Items", section Response).
ITEM_FIELDS = _fields(
    """
    id:S sourceId:S rowNumber:i sequenceId:S planId:s planName:s sourcePlanId:s sourcePlanName:s alignsTo:s
    alignsToId:s dependentOn:s dependentOnId:s levelId:s level:s name:S indentedName:S description:S status:i
    statusName:s start:t due:t created:t hasMetric:b hasAdvancedMetric:b units:i detail:i baseline:d target:d
    currentValue:d advancedMetricGoals lastUpdated:t assignedToId:s assignedToFullName:s assignedById:s
    assignedByFullName:s members admins updateFrequency:s updateFrequencyDescription:s isPastDue:b lateUpdates:i
    pendingUpdates:i updates:i lastCommentId:S lastComment:S lastUpdateCommentId:S lastUpdateComment:S files:i
    checklists tags isOrphan:b
    """,
    advancedMetricGoals=_fields("goalId:S goalName:s goalColor:s metricBucketValue:f sortOrder:i"),
    members=_PERSON,
    admins=_PERSON,
    checklists=_fields("id:S name:s sortIndex:i items", items=_fields("id:S name:s sortIndex:i doneOn:t")),
    tags=_fields("id:s organizationId:s name:s"),
)

#: The columns in the lake, without the metadata that depends on the plan.
PLAN_ITEMS = pa.schema([(field.column, field.lake_type) for field in ITEM_FIELDS] + [(RESCUED, pa.string())])

SCHEMA_HASH = hashlib.sha256(json.dumps([[field.name, str(field.type)] for field in PLAN_ITEMS]).encode()).hexdigest()


def _repetitive(fields: tuple[Field, ...], prefix: str = "") -> Iterator[str]:
    for field in fields:
        if field.fields:
            yield from _repetitive(field.fields, f"{prefix}{field.column}.list.element.")
        elif field.repetitive:
            yield prefix + field.column


#: Parquet paths of the columns that get a dictionary. For text that is nearly unique one costs time and room.
DICTIONARY_COLUMNS = list(_repetitive(ITEM_FIELDS))

#: Columns whose smallest and largest value are noted for each row group. Text is in no order that would let an engine
#: skip one, so it is not compared.
STATISTICS_COLUMNS = [field.column for field in ITEM_FIELDS if not field.fields and field.type != pa.string()]


def wire_item(fields: Iterable[Field]) -> pa.StructType:
    """Return what pyarrow's JSON reader is told to expect of an item."""
    return pa.struct([(field.api_name, field.wire_type) for field in fields])


def plan_schema(plan_id: str) -> pa.Schema:
    """Return the schema of one plan's file: the columns, with the plan id and the schema's hash as metadata."""
    return PLAN_ITEMS.with_metadata({"achieveit.plan_id": plan_id, "achieveit.schema_hash": SCHEMA_HASH})
