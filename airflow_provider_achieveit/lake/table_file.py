"""Finished local Parquet files of tables: the only thing that passes between reading, deriving and landing."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pyarrow.parquet as pq

if TYPE_CHECKING:
    from airflow_provider_achieveit.lake.manifest import TableEntry

#: Rows that are moved together. Parquet ends its data pages where a chunk ends, so chunks have a fixed size as well:
#: the API's pages leave no trace.
_CHUNK = 1_500
#: Rows of a row group: about 15 MB of typical items wait for it. Larger ones cost an export more memory than they save
#: elsewhere.
ROW_GROUP = 4 * _CHUNK
#: What writes files here, as their footers name it. Another version of pyarrow gives the same rows other bytes.
WRITER = f"parquet-cpp-arrow version {pa.cpp_version}"


def open_parquet(source: Any) -> pq.ParquetFile:
    """Open a Parquet file that will be read part by part: as pyarrow would open it, all parts stay in memory.

    Args:
        source: A path, or a file that is open.
    """
    return pq.ParquetFile(source, pre_buffer=False)


def is_written_alike(entry: TableEntry) -> bool:
    """Return whether a landed table, written again here, has the bytes that its manifest tells of.

    Only a table format names the writer; a plain file is not written again.
    """
    return entry.get("written_by", WRITER) == WRITER


@dataclass(frozen=True)
class TableFile:
    """A finished local Parquet file of one table.

    Attributes:
        table: Name of the table, such as `plan_items`.
        path: The file, which nobody changes any more.
        rows: Number of its rows.
    """

    table: str
    path: Path
    rows: int

    @cached_property
    def bytes(self) -> int:
        """Size of the file."""
        return self.path.stat().st_size

    @cached_property
    def sha256(self) -> str:
        """SHA-256 of the file, in hex."""
        with self.path.open("rb") as file:
            return hashlib.file_digest(file, "sha256").hexdigest()


class TableWriter:
    """Writes record batches into one Parquet file whose bytes depend on the schema and the rows alone.

    Args:
        path: The file, which must not exist.
        schema: Columns and metadata of the file.
        dictionary: Parquet paths of the columns that get a dictionary.
        statistics: Columns whose smallest and largest value are noted for each row group.
    """

    def __init__(self, path: Path, schema: pa.Schema, *, dictionary: Sequence[str], statistics: Sequence[str]) -> None:
        self._schema = schema
        self._loose: list[pa.RecordBatch] = []
        self._loose_rows = 0
        self._chunks: list[pa.Table] = []
        self._writer = pq.ParquetWriter(
            path,
            self._schema,
            compression="zstd",
            use_dictionary=list(dictionary),
            write_statistics=list(statistics),
            write_page_index=False,
        )

    def __enter__(self) -> TableWriter:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        if kind is None:
            self._gather(self._loose_rows)
            self._write()
            self._writer.close()
        else:
            # Nobody will read this file; what closing it may complain about (a full disk) would hide the real error.
            with suppress(Exception):
                self._writer.close()

    def add(self, rows: pa.RecordBatch) -> None:
        """Append rows; whole row groups are written at once."""
        self._loose.append(rows)
        self._loose_rows += rows.num_rows
        while self._loose_rows >= _CHUNK:
            self._gather(_CHUNK)
            if len(self._chunks) * _CHUNK == ROW_GROUP:
                self._write()

    def _gather(self, count: int) -> None:
        """Move `count` rows into a chunk."""
        if not count:
            return
        table = pa.Table.from_batches(self._loose)
        self._chunks.append(table.slice(0, count).combine_chunks())
        self._loose = table.slice(count).to_batches()
        self._loose_rows -= count

    def _write(self) -> None:
        """Write the chunks as a row group."""
        if self._chunks:
            group = pa.concat_tables(self._chunks).replace_schema_metadata(self._schema.metadata)
            self._chunks.clear()
            self._writer.write_table(group, row_group_size=ROW_GROUP)
