"""Sort the rows of a table that need not fit in memory."""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

#: Rows are sorted in memory as soon as they take so many bytes.
_RUN_BYTES = 16 * 2**20
#: The output may be cut at so many places of each run, and is cut at every so many of them all.
_SAMPLES = 64


def sorted_rows(
    rows: Iterable[pa.RecordBatch], schema: pa.Schema, keys: Sequence[str], path: Path
) -> Iterator[pa.RecordBatch]:
    """Sort rows by text columns, nulls last.

    Runs of some megabytes are sorted as the rows come, and put into a temporary file. Then the runs are merged, a range
    of the first key's values at a time. A range is about as large as a run, and a little larger for each run there is.

    Args:
        rows: The rows.
        schema: Their columns, of which the first one is the first key.
        keys: Names of the columns to sort by.
        path: The temporary file, which must not exist, and does not afterwards.
    """
    try:
        with pa.ipc.new_file(str(path), schema) as writer:
            for batches in _runs(rows):
                writer.write_table(_sorted(batches, schema, keys))
        with pa.memory_map(str(path)) as file:
            reader = pa.ipc.open_file(file)
            runs = [reader.get_batch(number) for number in range(reader.num_record_batches)]
            starts = [0] * len(runs)
            for end in [*_cuts(runs), None]:
                ends = [_first_at(run, end, start) for run, start in zip(runs, starts, strict=True)]
                ranges = zip(runs, starts, ends, strict=True)
                batches = [run.slice(start, stop - start) for run, start, stop in ranges if start < stop]
                yield from _sorted(batches, schema, keys).to_batches()
                starts = ends
    finally:
        path.unlink(missing_ok=True)


def _runs(rows: Iterable[pa.RecordBatch]) -> Iterator[list[pa.RecordBatch]]:
    """Gather batches until they are worth a run."""
    run: list[pa.RecordBatch] = []
    size = 0
    for batch in rows:
        run.append(batch)
        size += batch.nbytes
        if size >= _RUN_BYTES:
            yield run
            run, size = [], 0
    yield run


def _sorted(rows: Sequence[pa.RecordBatch], schema: pa.Schema, keys: Sequence[str]) -> pa.Table:
    """Return the rows in order, each column in one chunk."""
    table = pa.Table.from_batches(rows, schema).combine_chunks()
    return table.take(pc.sort_indices(table, sort_keys=[(key, "ascending") for key in keys]))


def _cuts(runs: Sequence[pa.RecordBatch]) -> list[str]:
    """Return the values of the first key at which the output is cut."""
    samples = [
        run.column(0)[row].as_py() for run in runs for row in range(0, run.num_rows, max(1, run.num_rows // _SAMPLES))
    ]
    return sorted(sample for sample in samples if sample is not None)[_SAMPLES::_SAMPLES]


def _first_at(run: pa.RecordBatch, value: str | None, start: int) -> int:
    """Return the first row, from `start` on, whose first key is not below a value; None is above all."""
    if value is None:
        return int(run.num_rows)
    return bisect_left(run.column(0), (False, value), lo=start, key=lambda key: (not key.is_valid, key.as_py() or ""))
