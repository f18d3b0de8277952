"""What an Arrow-based peer declares: the fields of an item with their JSON types, as a careful user would write them.

It stands apart from the package's own schema, so that these programs run without it.
"""

import pyarrow as pa
import pyarrow.json

KEY = "sandbox-key"
TAKE = 1500

_TYPES = {"s": pa.string(), "i": pa.int64(), "b": pa.bool_(), "f": pa.float64()}


def _struct(text: str, **nested: pa.DataType) -> pa.DataType:
    fields = []
    for word in text.split():
        name, _, kind = word.partition(":")
        fields.append((name, _TYPES[kind] if kind else pa.list_(nested[name])))
    return pa.struct(fields)


_PERSON = _struct("id:s name:s type:s")
ITEM = _struct(
    """
    id:s sourceId:s rowNumber:i sequenceId:s planId:s planName:s sourcePlanId:s sourcePlanName:s alignsTo:s
    alignsToId:s dependentOn:s dependentOnId:s levelId:s level:s name:s indentedName:s description:s status:i
    statusName:s start:s due:s created:s hasMetric:b hasAdvancedMetric:b units:i detail:i baseline:s target:s
    currentValue:s advancedMetricGoals lastUpdated:s assignedToId:s assignedToFullName:s assignedById:s
    assignedByFullName:s members admins updateFrequency:s updateFrequencyDescription:s isPastDue:b lateUpdates:i
    pendingUpdates:i updates:i lastCommentId:s lastComment:s lastUpdateCommentId:s lastUpdateComment:s files:i
    checklists tags isOrphan:b
    """,
    advancedMetricGoals=_struct("goalId:s goalName:s goalColor:s metricBucketValue:f sortOrder:i"),
    members=_PERSON,
    admins=_PERSON,
    checklists=_struct("id:s name:s sortIndex:i items", items=_struct("id:s name:s sortIndex:i doneOn:s")),
    tags=_struct("id:s organizationId:s name:s"),
)
_BODY = pa.schema([("items", pa.list_(ITEM)), ("totalCount", pa.int64())])

#: For these a Parquet dictionary only costs time: nearly every value is different.
_UNIQUE = {
    "id", "sourceId", "sequenceId", "name", "indentedName", "description", "start", "due", "created", "lastUpdated",
    "baseline", "target", "currentValue", "lastCommentId", "lastComment", "lastUpdateCommentId", "lastUpdateComment",
}  # fmt: skip
DICTIONARY = [field.name for field in ITEM if field.name not in _UNIQUE and not pa.types.is_list(field.type)]


def decode(body: bytes) -> tuple[pa.RecordBatch, int]:
    """The whole body as one JSON row of a declared type, and its list of items as a batch; and totalCount."""
    table = pyarrow.json.read_json(
        pa.BufferReader(body),
        read_options=pyarrow.json.ReadOptions(use_threads=False, block_size=len(body) + 1),
        parse_options=pyarrow.json.ParseOptions(explicit_schema=_BODY, newlines_in_values=True),
    )
    items = table.column("items").chunk(0).flatten()
    return pa.RecordBatch.from_arrays(items.flatten(), schema=pa.schema(list(ITEM))), table.column("totalCount")[
        0
    ].as_py()
