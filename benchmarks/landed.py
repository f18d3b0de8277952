"""What a program has landed, counted alike for all: `landed.py OUT` prints rows, distinct ids and nested members.

The members of an item are a list column here, JSON text there and a child table elsewhere; their number must agree.
"""

import json
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq


def main(out: str) -> None:
    ids, members, size = [], 0, 0
    for path in Path(out).rglob("*.parquet"):
        file = pq.ParquetFile(path)
        names = file.schema_arrow.names
        size += path.stat().st_size
        if "members" in path.parent.name:
            members += file.metadata.num_rows
        elif {"id", "description"} <= set(names):
            ids.append(file.read(columns=["id"]).column("id"))
            if "members" in names:
                members += _members(file.read(columns=["members"]).column("members"))
    column = pa.chunked_array([chunk for one in ids for chunk in one.chunks])
    print(
        json.dumps(
            {"rows": len(column), "distinct": pc.count_distinct(column).as_py(), "members": members, "bytes": size}
        )
    )


def _members(column: pa.ChunkedArray) -> int:
    if pa.types.is_list(column.type):
        return pc.sum(pc.list_value_length(column)).as_py()
    return sum(len(json.loads(text)) for text in column.to_pylist() if text)


if __name__ == "__main__":
    main(*sys.argv[1:])
