"""A snapshot's Parquet file, read a few row groups and columns at a time."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import accumulate
from pathlib import Path
from types import TracebackType

import pyarrow as pa

from airflow_provider_achieveit.lake.table_file import open_parquet


class SnapshotFile:
    """An open file of a snapshot.

    Attributes:
        columns: Names of its columns.
        groups: The numbers of its row groups.
        sizes: The bytes of each row group, not compressed.
        starts: The number of each row group's first row, and in the end the number of rows.
    """

    def __init__(self, path: Path) -> None:
        self._bytes = path.open("rb")
        # No buffers beyond the column that is read.
        self._file = open_parquet(path)
        self._metadata = self._file.metadata
        self.columns: list[str] = self._file.schema_arrow.names
        self.groups = range(self._metadata.num_row_groups)
        self.sizes = [self._metadata.row_group(group).total_byte_size for group in self.groups]
        self.starts = list(accumulate((self._metadata.row_group(group).num_rows for group in self.groups), initial=0))
        #: For each column the numbers of the Parquet columns that it consists of: a list of objects has several.
        self._leaves: dict[str, list[int]] = {}
        for leaf in range(self._metadata.num_columns):
            column, _, _ = self._metadata.schema.column(leaf).path.partition(".")
            self._leaves.setdefault(column, []).append(leaf)

    def __enter__(self) -> SnapshotFile:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None) -> None:
        self._bytes.close()
        self._file.close()

    def read(self, groups: Sequence[int], columns: Sequence[str]) -> pa.Table:
        """Return some columns of some row groups, each in one chunk."""
        return self._file.read_row_groups(list(groups), list(columns), use_threads=False).combine_chunks()

    def read_column(self, groups: Sequence[int], column: str) -> pa.Array:
        """Return a column of some row groups."""
        return self.read(groups, [column]).column(column).combine_chunks()

    def has_same_bytes(self, group: int, other: SnapshotFile, other_group: int, column: str) -> bool:
        """Whether a column of a row group is byte for byte that of another file, so that it need not be decoded."""
        mine, theirs = self._stored(group, column), other._stored(other_group, column)
        return all(one == another for one, another in zip(mine, theirs, strict=True))

    def _stored(self, group: int, column: str) -> Iterator[bytes]:
        """Yield the bytes of the Parquet columns that make up a column of a row group, compressed as they are."""
        for leaf in self._leaves[column]:
            chunk = self._metadata.row_group(group).column(leaf)
            self._bytes.seek(chunk.dictionary_page_offset or chunk.data_page_offset)
            yield self._bytes.read(chunk.total_compressed_size)
