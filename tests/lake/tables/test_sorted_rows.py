"""Rows that are sorted by way of a file."""

from collections.abc import Iterator
from pathlib import Path

import pyarrow as pa
import pytest

from airflow_provider_achieveit.lake.tables.sorted_rows import sorted_rows

SCHEMA = pa.schema([("key", pa.string()), ("second", pa.string()), ("payload", pa.string())])
#: So large that a few rows fill a run.
PAYLOAD = "x" * 2**19


def batch(keys: list[tuple[str | None, str | None]], payload: str = "") -> pa.RecordBatch:
    """Rows with these keys."""
    return pa.RecordBatch.from_pylist(
        [{"key": key, "second": second, "payload": payload} for key, second in keys], SCHEMA
    )


def test_more_rows_than_are_sorted_in_memory(tmp_path: Path) -> None:
    """Several runs, each with keys of the whole range, come out in order, in several batches."""
    keys = [(f"k{number * 37 % 100:02}", str(number % 3)) for number in range(150)]
    batches = (batch(keys[first : first + 7], PAYLOAD) for first in range(0, len(keys), 7))
    found = list(sorted_rows(batches, SCHEMA, ["key", "second"], tmp_path / "spill"))
    assert [(row["key"], row["second"]) for part in found for row in part.to_pylist()] == sorted(keys)
    assert len(found) > 1
    assert list(tmp_path.iterdir()) == []


def test_nulls_come_last(tmp_path: Path) -> None:
    """In the first key as in the second, also where several runs are merged."""
    keys = [(None, None), ("a", None), ("a", "b")]
    batches = [batch(keys, PAYLOAD) for _ in range(12)] + [batch([])]
    found = list(sorted_rows(batches, SCHEMA, ["key", "second"], tmp_path / "spill"))
    order = [(row["key"], row["second"]) for part in found for row in part.to_pylist()]
    assert order == [("a", "b")] * 12 + [("a", None)] * 12 + [(None, None)] * 12


def test_no_rows(tmp_path: Path) -> None:
    """Nothing comes out."""
    assert sum(part.num_rows for part in sorted_rows([], SCHEMA, ["key"], tmp_path / "spill")) == 0


def test_the_temporary_file_goes_when_the_rows_fail(tmp_path: Path) -> None:
    """The error is the one of whoever gives the rows."""

    def broken() -> Iterator[pa.RecordBatch]:
        yield batch([("a", "b")], PAYLOAD)
        raise OSError("no more rows")

    with pytest.raises(OSError, match="no more rows"):
        list(sorted_rows(broken(), SCHEMA, ["key"], tmp_path / "spill"))
    assert list(tmp_path.iterdir()) == []
