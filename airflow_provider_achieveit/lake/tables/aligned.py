"""Two snapshots of a plan side by side: the rows of the items that both have, and of those that only one has."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from itertools import pairwise
from typing import TypeAlias, TypeVar

import pyarrow as pa
import pyarrow.compute as pc

from airflow_provider_achieveit.lake.tables.arrays import integers
from airflow_provider_achieveit.lake.tables.snapshot_file import SnapshotFile

#: Row groups of the later snapshot are compared together, a column at a time, as long as they have so many bytes in
#: all: about eight of usual items. Where a plan's order is another than before, the whole earlier snapshot is read for
#: each of these blocks.
_BLOCK_BYTES = 64 * 2**20

#: Bytes of the hash of an id.
_HASH_SIZE = 16

#: Row numbers. Rows that follow each other are a range, so that taking them copies nothing.
Rows: TypeAlias = "range | pa.Array"
#: A column or a table.
Values = TypeVar("Values", pa.Array, pa.Table)


@dataclass(frozen=True)
class Overlap:
    """The items that a row group of the earlier snapshot and a block of the later one have in common.

    Attributes:
        old_group: The row group.
        old_rows: The items' rows in it.
        new_rows: Their rows in the block, in the same order.
        new_group: The row group of the later snapshot that has the same items in the same order, and no others, if
            there is one.
    """

    old_group: int
    old_rows: Rows
    new_rows: Rows
    new_group: int | None


class Alignment:
    """Which row of an earlier snapshot has the same item as a row of a later one.

    Keeps four bytes an item. While it is made, a hash of each item's id is in memory: with 128 bits, no two ids meet
    by chance.
    """

    def __init__(self, old: SnapshotFile, new: SnapshotFile) -> None:
        self._old, self._new = old, new
        #: For each row of the later snapshot the row of the earlier one, or null.
        self._old_rows = pc.index_in(_id_hashes(new), value_set=_id_hashes(old))

    def removed(self) -> Iterator[tuple[int, pa.Array]]:
        """Yield the row groups of the earlier snapshot with items that the later one does not have, and their rows."""
        rows = integers(range(self._old.starts[-1])).cast(pa.int32())
        gone = pc.invert(pc.is_in(rows, value_set=self._old_rows))
        for group, (start, end) in enumerate(pairwise(self._old.starts)):
            here = pc.indices_nonzero(gone.slice(start, end - start))
            if len(here):
                yield group, here

    def added(self, block: Sequence[int]) -> pa.Array:
        """Return the rows of a block of the later snapshot with items that the earlier one does not have."""
        return pc.indices_nonzero(self._old_rows_of(block).is_null())

    def overlaps(self, block: Sequence[int]) -> Iterator[Overlap]:
        """Yield what a block of the later snapshot has in common with row groups of the earlier one."""
        old_rows = self._old_rows_of(block)
        for group, (start, end) in enumerate(pairwise(self._old.starts)):
            within = pc.and_(pc.greater_equal(old_rows, integers([start])[0]), pc.less(old_rows, integers([end])[0]))
            new_rows = pc.indices_nonzero(within)
            if len(new_rows):
                here = _as_range(pc.subtract(old_rows.take(new_rows), integers([start])[0]))
                there = _as_range(new_rows)
                whole = here == range(end - start)
                yield Overlap(group, here, there, self._same_group(block, there) if whole else None)

    def _same_group(self, block: Sequence[int], rows: Rows) -> int | None:
        """Return the row group of the later snapshot that consists of these rows of a block, if there is one."""
        if not isinstance(rows, range):
            return None
        first = self._new.starts[block[0]]
        ends = (first + rows.start, first + rows.stop)
        return next((group for group in block if ends == tuple(self._new.starts[group : group + 2])), None)

    def _old_rows_of(self, block: Sequence[int]) -> pa.Array:
        start, end = self._new.starts[block[0]], self._new.starts[block[-1] + 1]
        return self._old_rows.slice(start, end - start)


def blocks(file: SnapshotFile) -> Iterator[range]:
    """Yield the row groups of a snapshot, a block at a time."""
    first, size = 0, 0
    for group in file.groups:
        if group > first and size + file.sizes[group] > _BLOCK_BYTES:
            yield range(first, group)
            first, size = group, 0
        size += file.sizes[group]
    if file.groups:
        yield range(first, len(file.groups))


def take(values: Values, rows: Rows) -> Values:
    """Return the values in some rows."""
    return values.slice(rows.start, len(rows)) if isinstance(rows, range) else values.take(rows)


def _id_hashes(file: SnapshotFile) -> pa.Array:
    """Return a hash of each item's id."""
    hashes = bytearray()
    for group in file.groups:
        for item_id in file.read_column([group], "id").to_pylist():
            hashes += blake2b(item_id.encode(), digest_size=_HASH_SIZE).digest()
    kind = pa.binary(_HASH_SIZE)
    return pa.Array.from_buffers(kind, len(hashes) // _HASH_SIZE, [None, pa.py_buffer(hashes)])


def _as_range(rows: pa.Array) -> Rows:
    """Return row numbers, of which there is one, as a range if they follow each other."""
    first, count = rows[0].as_py(), len(rows)
    if rows[-1].as_py() - first != count - 1:
        return rows
    following = range(first, first + count)
    return following if rows.equals(integers(following).cast(rows.type)) else rows
